"""Triton kernels for projection and spherical harmonics, forward and backward: `projection.py` in one pass over memory.

A program takes the Gaussians [32 block, 32 block + 32) of one frame. Gradients are written for each frame and added up by torch;
a Gaussian that is not drawn gets none. Twins: `projection.py`, `cpu_project.py`, `cpu_sh.py`.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# pyright: reportPossiblyUnboundVariable=false
# Triton's stubs describe Python; inside a kernel numbers are blocks of them, and constants are passed as they are.
from __future__ import annotations

import triton
import triton.language as tl

from . import constants

BLOCK = 32
ALPHA_MIN, MAX_EXTENT = tl.constexpr(constants.ALPHA_MIN), tl.constexpr(constants.MAX_EXTENT)
MARGIN = tl.constexpr(constants.JACOBIAN_MARGIN)
LONGEST = tl.constexpr(2.0 ** 30)  # px
C0, C1 = tl.constexpr(constants.C0), tl.constexpr(constants.C1)
A2, B2, C2, D2 = (tl.constexpr(value) for value in (constants.A2, constants.B2, constants.C2, constants.D2))
A3, B3, C3 = (tl.constexpr(value) for value in (constants.A3, constants.B3, constants.C3))
D3, E3, F3 = (tl.constexpr(value) for value in (constants.D3, constants.E3, constants.F3))


@triton.jit
def _place(N, BLOCK: tl.constexpr):
    """Of this program: its frame, Gaussians, which of them exist, their splats, and its own number."""
    program = tl.program_id(0).to(tl.int64)
    blocks = (N + BLOCK - 1) // BLOCK
    frame = program // blocks
    n = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    return frame, n, n < N, frame * N + n, program


@triton.jit
def _row(ROWS, frame):
    return tl.load(ROWS + frame).to(tl.int64)


@triton.jit
def _three(P, inside):
    return tl.load(P, mask=inside, other=1.0), tl.load(P + 1, mask=inside, other=1.0), tl.load(P + 2, mask=inside, other=1.0)


@triton.jit
def _turned(V, x, y, z):
    """The rotation of a view matrix times a vector."""
    return (tl.load(V) * x + tl.load(V + 1) * y + tl.load(V + 2) * z,
            tl.load(V + 4) * x + tl.load(V + 5) * y + tl.load(V + 6) * z,
            tl.load(V + 8) * x + tl.load(V + 9) * y + tl.load(V + 10) * z)


@triton.jit
def _turned_back(V, x, y, z):
    """Its transpose times a vector."""
    return (tl.load(V) * x + tl.load(V + 4) * y + tl.load(V + 8) * z,
            tl.load(V + 1) * x + tl.load(V + 5) * y + tl.load(V + 9) * z,
            tl.load(V + 2) * x + tl.load(V + 6) * y + tl.load(V + 10) * z)


@triton.jit
def _unit(Q, inside):
    """The unit quaternion, and 1 / the length of the given one."""
    w, i = tl.load(Q, mask=inside, other=1.0), tl.load(Q + 1, mask=inside, other=0.0)
    j, k = tl.load(Q + 2, mask=inside, other=0.0), tl.load(Q + 3, mask=inside, other=0.0)
    inverse = 1.0 / tl.maximum(tl.sqrt(w * w + i * i + j * j + k * k), 1e-12)
    return w * inverse, i * inverse, j * inverse, k * inverse, inverse


@triton.jit
def _columns(w, i, j, k):
    """A unit quaternion's rotation matrix, column by column."""
    return (1 - 2 * (j * j + k * k), 2 * (i * j + w * k), 2 * (i * k - w * j), 2 * (i * j - w * k), 1 - 2 * (i * i + k * k),
            2 * (j * k + w * i), 2 * (i * k + w * j), 2 * (j * k - w * i), 1 - 2 * (i * i + j * j))


@triton.jit
def _lens(K, SETTINGS, V, mx, my, mz):
    """A mean in the camera, where it is seen, where the Jacobian is taken, focal lengths by depth, the image's centre."""
    x, y, z = _turned(V, mx, my, mz)
    x, y, z = x + tl.load(V + 3), y + tl.load(V + 7), z + tl.load(V + 11)
    fx, cx, fy, cy = tl.load(K), tl.load(K + 2), tl.load(K + 4), tl.load(K + 5)
    width, height, near, far = tl.load(SETTINGS), tl.load(SETTINGS + 1), tl.load(SETTINGS + 2), tl.load(SETTINGS + 3)
    in_range = (z > near) & (z < far)
    inverse = 1.0 / tl.where(in_range, z, 1.0)
    u, v = x * inverse, y * inverse
    margin_x, margin_y = width * MARGIN / fx, height * MARGIN / fy
    u_j = tl.minimum(tl.maximum(u, -(cx / fx + margin_x)), (width - cx) / fx + margin_x)
    v_j = tl.minimum(tl.maximum(v, -(cy / fy + margin_y)), (height - cy) / fy + margin_y)
    return z, in_range, inverse, u, v, u_j, v_j, fx * inverse, fy * inverse, fx, fy, cx, cy, width, height


@triton.jit
def _rows(V, q0, q1, q2, s, a, b, u, v):
    """Of one column of W R S: its third entry, and its share in the rows A and B of J W R S."""
    m0, m1, m2 = _turned(V, q0 * s, q1 * s, q2 * s)
    return m2, a * (m0 - u * m2), b * (m1 - v * m2)


@triton.jit(do_not_specialize=["N"])
def project(MEANS, MEAN_ROW, QUATS, QUAT_ROW, SCALES, SCALE_ROW, OPACITY, OPACITY_ROW, VIEWS, VIEW_ROW, KS, K_ROW, SETTINGS,
            XY, CONIC, DEPTH, RADII, N, BLOCK: tl.constexpr):
    """XY [M, N, 2], CONIC [M, N, 3], DEPTH [M, N] and RADII int32 [M, N, 2] as `projection.Projected`.

    SETTINGS: width, height, near and far plane, eps2d. *_ROW [M]: the row that a frame reads of what stands before it.
    """
    frame, n, inside, g, _ = _place(N, BLOCK)
    V, K = VIEWS + _row(VIEW_ROW, frame) * 16, KS + _row(K_ROW, frame) * 9
    mx, my, mz = _three(MEANS + (_row(MEAN_ROW, frame) * N + n) * 3, inside)
    z, in_range, inverse, u, v, u_j, v_j, a, b, fx, fy, cx, cy, width, height = _lens(K, SETTINGS, V, mx, my, mz)
    w, i, j, k, _ = _unit(QUATS + (_row(QUAT_ROW, frame) * N + n) * 4, inside)
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = _columns(w, i, j, k)
    s0, s1, s2 = _three(SCALES + (_row(SCALE_ROW, frame) * N + n) * 3, inside)
    _, a0, b0 = _rows(V, r0, r1, r2, s0, a, b, u_j, v_j)
    _, a1, b1 = _rows(V, r3, r4, r5, s1, a, b, u_j, v_j)
    _, a2, b2 = _rows(V, r6, r7, r8, s2, a, b, u_j, v_j)
    blur = tl.load(SETTINGS + 4)
    xx, yy, xy = a0 * a0 + a1 * a1 + a2 * a2 + blur, b0 * b0 + b1 * b1 + b2 * b2 + blur, a0 * b0 + a1 * b1 + a2 * b2
    determinant = xx * yy - xy * xy
    shrink = 1.0 / tl.maximum(determinant, 1e-12)
    x, y = fx * u + cx, fy * v + cy
    tl.store(XY + g * 2, x, mask=inside)
    tl.store(XY + g * 2 + 1, y, mask=inside)
    tl.store(CONIC + g * 3, yy * shrink, mask=inside)
    tl.store(CONIC + g * 3 + 1, -xy * shrink, mask=inside)
    tl.store(CONIC + g * 3 + 2, xx * shrink, mask=inside)
    tl.store(DEPTH + g, z, mask=inside)
    opacity = tl.load(OPACITY + _row(OPACITY_ROW, frame) * N + n, mask=inside, other=0.0)
    extent = tl.minimum(tl.sqrt(2 * tl.log(tl.maximum(opacity / ALPHA_MIN, 1.0))), MAX_EXTENT)
    rx, ry = tl.ceil(extent * tl.sqrt(xx)), tl.ceil(extent * tl.sqrt(yy))
    drawn = in_range & (determinant > 0) & (opacity >= ALPHA_MIN)
    drawn = drawn & (x + rx > 0) & (x - rx < width) & (y + ry > 0) & (y - ry < height)
    tl.store(RADII + g * 2, tl.where(drawn, tl.minimum(rx, LONGEST), 0.0).to(tl.int32), mask=inside)
    tl.store(RADII + g * 2 + 1, tl.where(drawn, tl.minimum(ry, LONGEST), 0.0).to(tl.int32), mask=inside)


@triton.jit
def _conic_to_covariance(P, G, g, mask):
    """Derivative with respect to (xx, xy, yy) of the covariance: -Q G Q for its inverse Q, the conic."""
    a, b, c = _three(P + g * 3, mask)
    ga, gb, gc = tl.load(G + g * 3, mask=mask, other=0.0), tl.load(G + g * 3 + 1, mask=mask, other=0.0), tl.load(
        G + g * 3 + 2, mask=mask, other=0.0)
    half = gb / 2
    t00, t01, t10, t11 = ga * a + half * b, ga * b + half * c, half * a + gc * b, half * b + gc * c
    return -(a * t00 + b * t10), -2 * (a * t01 + b * t11), -(b * t01 + c * t11)


@triton.jit
def _column_backward(V, q0, q1, q2, s, g_m0, g_m1, g_m2):
    """From the derivative of a column of W R S: that of the scale, and of the column of R."""
    g0, g1, g2 = _turned_back(V, g_m0, g_m1, g_m2)
    return g0 * q0 + g1 * q1 + g2 * q2, g0 * s, g1 * s, g2 * s


@triton.jit
def _add_view(P, r: tl.constexpr, p, mx, my, mz, g0, g1, g2, n00, n01, n02, n10, n11, n12, n20, n21, n22):
    """Row r of the view matrix's derivative: of the mean's position (p times the mean, 1) and of the columns n of R S."""
    tl.store(P + 4 * r, tl.sum(p * mx + g0 * n00 + g1 * n10 + g2 * n20, 0))
    tl.store(P + 4 * r + 1, tl.sum(p * my + g0 * n01 + g1 * n11 + g2 * n21, 0))
    tl.store(P + 4 * r + 2, tl.sum(p * mz + g0 * n02 + g1 * n12 + g2 * n22, 0))
    tl.store(P + 4 * r + 3, tl.sum(p, 0))


@triton.jit
def _store_quat(Q, w, i, j, k, inverse, r0, r1, r2, r3, r4, r5, r6, r7, r8, mask):
    """The quaternion's derivative from that of the rotation matrix (column by column), through the normalisation."""
    gw = 2 * (k * (r1 - r3) + j * (r6 - r2) + i * (r5 - r7))
    gi = 2 * (j * (r3 + r1) + k * (r6 + r2) + w * (r5 - r7) - 2 * i * (r4 + r8))
    gj = 2 * (i * (r3 + r1) + k * (r7 + r5) + w * (r6 - r2) - 2 * j * (r0 + r8))
    gk = 2 * (i * (r6 + r2) + j * (r7 + r5) + w * (r1 - r3) - 2 * k * (r0 + r4))
    radial = gw * w + gi * i + gj * j + gk * k
    tl.store(Q, (gw - w * radial) * inverse, mask=mask)
    tl.store(Q + 1, (gi - i * radial) * inverse, mask=mask)
    tl.store(Q + 2, (gj - j * radial) * inverse, mask=mask)
    tl.store(Q + 3, (gk - k * radial) * inverse, mask=mask)


@triton.jit(do_not_specialize=["N"])
def project_backward(MEANS, MEAN_ROW, QUATS, QUAT_ROW, SCALES, SCALE_ROW, VIEWS, VIEW_ROW, KS, K_ROW, SETTINGS, CONIC, RADII,
                     G_XY, G_CONIC, G_DEPTH, G_MEAN, G_QUAT, G_SCALE, G_VIEW, N, BLOCK: tl.constexpr):
    """G_MEAN [M, N, 3], G_QUAT [M, N, 4], G_SCALE [M, N, 3], and G_VIEW [M, blocks, 3, 4], each block's share."""
    frame, n, inside, g, program = _place(N, BLOCK)
    drawn = inside & (tl.load(RADII + g * 2, mask=inside, other=0) > 0) & (tl.load(RADII + g * 2 + 1, mask=inside, other=0) > 0)
    V, K = VIEWS + _row(VIEW_ROW, frame) * 16, KS + _row(K_ROW, frame) * 9
    mx, my, mz = _three(MEANS + (_row(MEAN_ROW, frame) * N + n) * 3, inside)
    z, in_range, inverse, u, v, u_j, v_j, a, b, fx, fy, cx, cy, width, height = _lens(K, SETTINGS, V, mx, my, mz)
    w, i, j, k, shrink = _unit(QUATS + (_row(QUAT_ROW, frame) * N + n) * 4, inside)
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = _columns(w, i, j, k)
    s0, s1, s2 = _three(SCALES + (_row(SCALE_ROW, frame) * N + n) * 3, inside)
    m0, a0, b0 = _rows(V, r0, r1, r2, s0, a, b, u_j, v_j)
    m1, a1, b1 = _rows(V, r3, r4, r5, s1, a, b, u_j, v_j)
    m2, a2, b2 = _rows(V, r6, r7, r8, s2, a, b, u_j, v_j)
    g_xx, g_off, g_yy = _conic_to_covariance(CONIC, G_CONIC, g, drawn)
    ga0, ga1, ga2 = 2 * g_xx * a0 + g_off * b0, 2 * g_xx * a1 + g_off * b1, 2 * g_xx * a2 + g_off * b2
    gb0, gb1, gb2 = 2 * g_yy * b0 + g_off * a0, 2 * g_yy * b1 + g_off * a1, 2 * g_yy * b2 + g_off * a2
    g_u = fx * tl.load(G_XY + g * 2, mask=drawn, other=0.0)
    g_v = fy * tl.load(G_XY + g * 2 + 1, mask=drawn, other=0.0)
    g_u = tl.where(u_j == u, g_u - a * (ga0 * m0 + ga1 * m1 + ga2 * m2), g_u)
    g_v = tl.where(v_j == v, g_v - b * (gb0 * m0 + gb1 * m1 + gb2 * m2), g_v)
    along = ga0 * a0 + ga1 * a1 + ga2 * a2 + gb0 * b0 + gb1 * b1 + gb2 * b2
    p0, p1 = tl.where(drawn, g_u * inverse, 0.0), tl.where(drawn, g_v * inverse, 0.0)
    p2 = tl.load(G_DEPTH + g, mask=drawn, other=0.0) - (along + g_u * u + g_v * v) * inverse
    p2 = tl.where(drawn, p2, 0.0)
    gx, gy, gz = _turned_back(V, p0, p1, p2)
    tl.store(G_MEAN + g * 3, gx, mask=inside)
    tl.store(G_MEAN + g * 3 + 1, gy, mask=inside)
    tl.store(G_MEAN + g * 3 + 2, gz, mask=inside)
    au, bv = a * u_j, b * v_j
    x0, y0, z0 = tl.where(drawn, a * ga0, 0.0), tl.where(drawn, b * gb0, 0.0), tl.where(drawn, -au * ga0 - bv * gb0, 0.0)
    x1, y1, z1 = tl.where(drawn, a * ga1, 0.0), tl.where(drawn, b * gb1, 0.0), tl.where(drawn, -au * ga1 - bv * gb1, 0.0)
    x2, y2, z2 = tl.where(drawn, a * ga2, 0.0), tl.where(drawn, b * gb2, 0.0), tl.where(drawn, -au * ga2 - bv * gb2, 0.0)
    P = G_VIEW + program * 12
    n00, n01, n02, n10, n11, n12 = r0 * s0, r1 * s0, r2 * s0, r3 * s1, r4 * s1, r5 * s1
    n20, n21, n22 = r6 * s2, r7 * s2, r8 * s2
    _add_view(P, 0, p0, mx, my, mz, x0, x1, x2, n00, n01, n02, n10, n11, n12, n20, n21, n22)
    _add_view(P, 1, p1, mx, my, mz, y0, y1, y2, n00, n01, n02, n10, n11, n12, n20, n21, n22)
    _add_view(P, 2, p2, mx, my, mz, z0, z1, z2, n00, n01, n02, n10, n11, n12, n20, n21, n22)
    g_s0, g0, g1, g2 = _column_backward(V, r0, r1, r2, s0, x0, y0, z0)
    g_s1, g3, g4, g5 = _column_backward(V, r3, r4, r5, s1, x1, y1, z1)
    g_s2, g6, g7, g8 = _column_backward(V, r6, r7, r8, s2, x2, y2, z2)
    tl.store(G_SCALE + g * 3, g_s0, mask=inside)
    tl.store(G_SCALE + g * 3 + 1, g_s1, mask=inside)
    tl.store(G_SCALE + g * 3 + 2, g_s2, mask=inside)
    _store_quat(G_QUAT + g * 4, w, i, j, k, shrink, g0, g1, g2, g3, g4, g5, g6, g7, g8, inside)


@triton.jit
def _direction(MEANS, MEAN_ROW, V, frame, n, N, inside):
    """Unit vectors from the camera to means, and 1 / distance."""
    mx, my, mz = _three(MEANS + (_row(MEAN_ROW, frame) * N + n) * 3, inside)
    tx, ty, tz = _turned_back(V, tl.load(V + 3), tl.load(V + 7), tl.load(V + 11))
    x, y, z = mx + tx, my + ty, mz + tz
    inverse = 1.0 / tl.maximum(tl.sqrt(x * x + y * y + z * z), 1e-12)
    return x * inverse, y * inverse, z * inverse, inverse


@triton.jit
def _harmonic(k: tl.constexpr, x, y, z):
    """Harmonic k of unit vectors, and its derivatives with respect to x, y and z."""
    nothing = x * 0  # a tensor stands first in every product: the interpreter wants it so
    h, gx, gy, gz = nothing + C0, nothing, nothing, nothing
    if k == 1:
        h, gy = y * -C1, nothing - C1
    if k == 2:
        h, gz = z * C1, nothing + C1
    if k == 3:
        h, gx = x * -C1, nothing - C1
    if k == 4:
        h, gx, gy = x * y * (2 * A2), y * (2 * A2), x * (2 * A2)
    if k == 5:
        h, gy, gz = y * z * -B2, z * -B2, y * -B2
    if k == 6:
        h, gz = z * z * C2 - D2, z * (2 * C2)
    if k == 7:
        h, gx, gz = x * z * -B2, z * -B2, x * -B2
    if k == 8:
        h, gx, gy = (x * x - y * y) * A2, x * (2 * A2), y * (-2 * A2)
    if k == 9:
        h, gx, gy = y * (3 * x * x - y * y) * -A3, x * y * (-6 * A3), (x * x - y * y) * (-3 * A3)
    if k == 10:
        h, gx, gy, gz = x * y * z * (2 * B3), y * z * (2 * B3), x * z * (2 * B3), x * y * (2 * B3)
    if k == 11:
        h, gy, gz = y * (z * z * -C3 + D3), z * z * -C3 + D3, z * y * (-2 * C3)
    if k == 12:
        h, gz = z * (z * z * E3 - F3), z * z * (3 * E3) - F3
    if k == 13:
        h, gx, gz = x * (z * z * -C3 + D3), z * z * -C3 + D3, z * x * (-2 * C3)
    if k == 14:
        h, gx, gy, gz = z * (x * x - y * y) * B3, x * z * (2 * B3), y * z * (-2 * B3), (x * x - y * y) * B3
    if k == 15:
        h, gx, gy = x * (x * x - 3 * y * y) * -A3, (x * x - y * y) * (-3 * A3), x * y * (6 * A3)
    return h, gx, gy, gz


@triton.jit(do_not_specialize=["N", "STRIDE"])
def harmonics(MEANS, MEAN_ROW, VIEWS, VIEW_ROW, SH, SH_ROW, RADII, COLOR, N, STRIDE, TERMS: tl.constexpr, BLOCK: tl.constexpr):
    """COLOR [M, N, 3] as `projection.sh_colors`, of SH [R, N, STRIDE / 3, 3]; black where nothing is drawn."""
    frame, n, inside, g, _ = _place(N, BLOCK)
    drawn = inside & (tl.load(RADII + g * 2, mask=inside, other=0) > 0)
    x, y, z, _ = _direction(MEANS, MEAN_ROW, VIEWS + _row(VIEW_ROW, frame) * 16, frame, n, N, inside)
    P = SH + (_row(SH_ROW, frame) * N + n) * STRIDE
    red = x * 0 + 0.5
    green, blue = red, red
    for k in tl.static_range(TERMS):
        h, _, _, _ = _harmonic(k, x, y, z)
        red += h * tl.load(P + 3 * k, mask=drawn, other=0.0)
        green += h * tl.load(P + 3 * k + 1, mask=drawn, other=0.0)
        blue += h * tl.load(P + 3 * k + 2, mask=drawn, other=0.0)
    tl.store(COLOR + g * 3, tl.where(drawn, tl.maximum(red, 0.0), 0.0), mask=inside)
    tl.store(COLOR + g * 3 + 1, tl.where(drawn, tl.maximum(green, 0.0), 0.0), mask=inside)
    tl.store(COLOR + g * 3 + 2, tl.where(drawn, tl.maximum(blue, 0.0), 0.0), mask=inside)


@triton.jit
def _passed(COLOR, G_COLOR, mask):
    """The derivative of a colour where it is not clamped at 0."""
    return tl.where(tl.load(COLOR, mask=mask, other=0.0) > 0, tl.load(G_COLOR, mask=mask, other=0.0), 0.0)


@triton.jit(do_not_specialize=["N", "STRIDE"])
def harmonics_backward(MEANS, MEAN_ROW, VIEWS, VIEW_ROW, SH, SH_ROW, COLOR, G_COLOR, G_MEAN, G_SH, G_EYE, N, STRIDE,
                       TERMS: tl.constexpr, BLOCK: tl.constexpr):
    """G_MEAN [M, N, 3], G_SH [M, N, STRIDE / 3, 3] (its first TERMS), and G_EYE [M, blocks, 3], each block's share in that of the
    camera's position."""
    frame, n, inside, g, program = _place(N, BLOCK)
    x, y, z, inverse = _direction(MEANS, MEAN_ROW, VIEWS + _row(VIEW_ROW, frame) * 16, frame, n, N, inside)
    red, green = _passed(COLOR + g * 3, G_COLOR + g * 3, inside), _passed(COLOR + g * 3 + 1, G_COLOR + g * 3 + 1, inside)
    blue = _passed(COLOR + g * 3 + 2, G_COLOR + g * 3 + 2, inside)
    P, Q = SH + (_row(SH_ROW, frame) * N + n) * STRIDE, G_SH + g * STRIDE
    gx, gy, gz = x * 0, x * 0, x * 0
    for k in tl.static_range(TERMS):
        h, hx, hy, hz = _harmonic(k, x, y, z)
        s0, s1, s2 = _three(P + 3 * k, inside)
        share = red * s0 + green * s1 + blue * s2
        gx, gy, gz = gx + share * hx, gy + share * hy, gz + share * hz
        tl.store(Q + 3 * k, h * red, mask=inside)
        tl.store(Q + 3 * k + 1, h * green, mask=inside)
        tl.store(Q + 3 * k + 2, h * blue, mask=inside)
    radial = gx * x + gy * y + gz * z
    gx, gy, gz = (gx - x * radial) * inverse, (gy - y * radial) * inverse, (gz - z * radial) * inverse
    tl.store(G_MEAN + g * 3, gx, mask=inside)
    tl.store(G_MEAN + g * 3 + 1, gy, mask=inside)
    tl.store(G_MEAN + g * 3 + 2, gz, mask=inside)
    tl.store(G_EYE + program * 3, -tl.sum(tl.where(inside, gx, 0.0), 0))
    tl.store(G_EYE + program * 3 + 1, -tl.sum(tl.where(inside, gy, 0.0), 0))
    tl.store(G_EYE + program * 3 + 2, -tl.sum(tl.where(inside, gz, 0.0), 0))
