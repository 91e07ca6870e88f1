"""`projection.py` again as numba kernels, forward and backward: one Gaussian at a time, nothing kept in between.

The twin in torch takes some sixty passes over memory and keeps their results for the backward pass; this one takes one.
Gradients reach the Gaussians that are drawn (radii > 0); the others get zero, which is what blending would send them.
Kernels work on points [begin, end) so that threads can share a frame; a point's result does not depend on the portion it is in.
"""
from __future__ import annotations

import math

from .constants import ALPHA_MIN, JACOBIAN_MARGIN, MAX_EXTENT
from .jit import compiled


@compiled(inline="always")
def _rotation(quat, n):
    """Rotation matrix (nine numbers, row by row), the unit quaternion and 1 / length of quat[n]."""
    one = quat.dtype.type(1)
    w, i, j, k = quat[n, 0], quat[n, 1], quat[n, 2], quat[n, 3]
    inverse = one / max(math.sqrt(w * w + i * i + j * j + k * k), quat.dtype.type(1e-12))
    w, i, j, k = w * inverse, i * inverse, j * inverse, k * inverse
    two = one + one
    matrix = (one - two * (j * j + k * k), two * (i * j - w * k), two * (i * k + w * j),
              two * (i * j + w * k), one - two * (i * i + k * k), two * (j * k - w * i),
              two * (i * k - w * j), two * (j * k + w * i), one - two * (i * i + j * j))
    return matrix, (w, i, j, k), inverse


@compiled(inline="always")
def _times(view, r, matrix, c, scale):
    """Entry (r, c) of view[:3, :3] @ matrix, times scale."""
    return (view[r, 0] * matrix[c] + view[r, 1] * matrix[3 + c] + view[r, 2] * matrix[6 + c]) * scale


@compiled(inline="always")
def _factor(view, matrix, scale, n):
    """W R S, nine numbers row by row."""
    s0, s1, s2 = scale[n, 0], scale[n, 1], scale[n, 2]
    return (_times(view, 0, matrix, 0, s0), _times(view, 0, matrix, 1, s1), _times(view, 0, matrix, 2, s2),
            _times(view, 1, matrix, 0, s0), _times(view, 1, matrix, 1, s1), _times(view, 1, matrix, 2, s2),
            _times(view, 2, matrix, 0, s0), _times(view, 2, matrix, 1, s1), _times(view, 2, matrix, 2, s2))


@compiled(inline="always")
def _to_camera(view, mean, n, r):
    return view[r, 0] * mean[n, 0] + view[r, 1] * mean[n, 1] + view[r, 2] * mean[n, 2] + view[r, 3]


@compiled(inline="always")
def _clamped(value, focal, centre, size):
    """Where the Jacobian is taken: at most a margin outside of the image."""
    margin = JACOBIAN_MARGIN * size / focal
    return min(max(value, -(centre / focal + margin)), (size - centre) / focal + margin)


@compiled(inline="always")
def _jacobian_rows(m, a, b, u, v):
    """Rows A and B of J W R S: the 2D covariance is (A.A, A.B, B.B) plus the blur."""
    return (a * (m[0] - u * m[6]), a * (m[1] - u * m[7]), a * (m[2] - u * m[8]),
            b * (m[3] - v * m[6]), b * (m[4] - v * m[7]), b * (m[5] - v * m[8]))


@compiled
def project(begin, end, mean, quat, scale, opacity, view, intrinsic, width, height, near, far, eps2d, splat, depth, radius):
    """Points [begin, end) of one frame.

    Args: mean [N, 3], quat [N, 4], scale [N, 3], opacity [N], view [4, 4], intrinsic [3, 3].
    Fills: splat [N, 8] (x, y, conic xx, xy, yy, opacity, half width, half height), depth [N], radius int32 [N, 2].
    """
    flt = mean.dtype.type
    fx, fy, cx, cy = intrinsic[0, 0], intrinsic[1, 1], intrinsic[0, 2], intrinsic[1, 2]
    w, h, eps, one = flt(width), flt(height), flt(eps2d), flt(1)
    for n in range(begin, end):
        z = _to_camera(view, mean, n, 2)
        depth[n] = z
        radius[n, 0], radius[n, 1] = 0, 0
        inverse_z = one / z if near < z < far else one
        u, v = _to_camera(view, mean, n, 0) * inverse_z, _to_camera(view, mean, n, 1) * inverse_z
        matrix, _, _ = _rotation(quat, n)
        m = _factor(view, matrix, scale, n)
        u_j, v_j = flt(_clamped(u, fx, cx, w)), flt(_clamped(v, fy, cy, h))
        a0, a1, a2, b0, b1, b2 = _jacobian_rows(m, fx * inverse_z, fy * inverse_z, u_j, v_j)
        xx, yy, xy = a0 * a0 + a1 * a1 + a2 * a2 + eps, b0 * b0 + b1 * b1 + b2 * b2 + eps, a0 * b0 + a1 * b1 + a2 * b2
        determinant = xx * yy - xy * xy
        inverse = one / max(determinant, flt(1e-12))
        x, y = fx * u + cx, fy * v + cy
        splat[n, 0], splat[n, 1] = x, y
        splat[n, 2], splat[n, 3], splat[n, 4], splat[n, 5] = yy * inverse, -xy * inverse, xx * inverse, opacity[n]
        splat[n, 6], splat[n, 7] = 0, 0
        if near < z < far and opacity[n] >= flt(ALPHA_MIN) and determinant > flt(0):
            extent = min(math.sqrt(flt(2) * math.log(max(opacity[n] / flt(ALPHA_MIN), one))), flt(MAX_EXTENT))
            half_x, half_y = extent * math.sqrt(xx), extent * math.sqrt(yy)
            rx, ry = math.ceil(half_x), math.ceil(half_y)
            if x + rx > 0 and x - rx < w and y + ry > 0 and y - ry < h:
                radius[n, 0], radius[n, 1] = min(rx, 1 << 30), min(ry, 1 << 30)
                splat[n, 6], splat[n, 7] = half_x, half_y


@compiled
def project_backward(begin, end, mean, quat, scale, view, intrinsic, width, height, conic, radius, g_xy, g_conic, g_depth,
                     g_mean, g_quat, g_scale, g_view):
    """Adds to g_mean [N, 3], g_quat [N, 4], g_scale [N, 3], and to g_view float64 [3, 4], for points [begin, end) of one frame.

    Args: conic [N, 3], radius [N, 2] from `project`; g_xy [N, 2], g_conic [N, 3], g_depth [N]: derivatives of its results.
    """
    flt = mean.dtype.type
    fx, fy, cx, cy = intrinsic[0, 0], intrinsic[1, 1], intrinsic[0, 2], intrinsic[1, 2]
    w, h, one, two = flt(width), flt(height), flt(1), flt(2)
    for n in range(begin, end):
        if radius[n, 0] == 0 or radius[n, 1] == 0:
            continue
        inverse_z = one / _to_camera(view, mean, n, 2)
        u, v = _to_camera(view, mean, n, 0) * inverse_z, _to_camera(view, mean, n, 1) * inverse_z
        u_j, v_j = flt(_clamped(u, fx, cx, w)), flt(_clamped(v, fy, cy, h))
        a, b = fx * inverse_z, fy * inverse_z
        matrix, unit, inverse_length = _rotation(quat, n)
        m = _factor(view, matrix, scale, n)
        a0, a1, a2, b0, b1, b2 = _jacobian_rows(m, a, b, u_j, v_j)
        g_xx, g_off, g_yy = _conic_to_covariance(conic[n, 0], conic[n, 1], conic[n, 2],
                                                 g_conic[n, 0], g_conic[n, 1], g_conic[n, 2])
        ga0, ga1, ga2 = two * g_xx * a0 + g_off * b0, two * g_xx * a1 + g_off * b1, two * g_xx * a2 + g_off * b2
        gb0, gb1, gb2 = two * g_yy * b0 + g_off * a0, two * g_yy * b1 + g_off * a1, two * g_yy * b2 + g_off * a2
        g_u, g_v = fx * g_xy[n, 0], fy * g_xy[n, 1]
        if u_j == u:
            g_u -= a * (ga0 * m[6] + ga1 * m[7] + ga2 * m[8])
        if v_j == v:
            g_v -= b * (gb0 * m[6] + gb1 * m[7] + gb2 * m[8])
        along = ga0 * a0 + ga1 * a1 + ga2 * a2 + gb0 * b0 + gb1 * b1 + gb2 * b2
        p = (g_u * inverse_z, g_v * inverse_z, g_depth[n] - (along + g_u * u + g_v * v) * inverse_z)
        au, bv = a * u_j, b * v_j
        g_m = (a * ga0, a * ga1, a * ga2, b * gb0, b * gb1, b * gb2,
               -au * ga0 - bv * gb0, -au * ga1 - bv * gb1, -au * ga2 - bv * gb2)
        s = (scale[n, 0], scale[n, 1], scale[n, 2])
        for c in range(3):
            g_mean[n, c] += view[0, c] * p[0] + view[1, c] * p[1] + view[2, c] * p[2]
        for r in range(3):
            g_view[r, 3] += p[r]
            for c in range(3):
                g_view[r, c] += p[r] * mean[n, c] + (g_m[3 * r] * matrix[3 * c] * s[0] + g_m[3 * r + 1] * matrix[3 * c + 1] * s[1]
                                                     + g_m[3 * r + 2] * matrix[3 * c + 2] * s[2])
        g_n = _view_transposed(view, g_m)
        for c in range(3):
            g_scale[n, c] += g_n[c] * matrix[c] + g_n[3 + c] * matrix[3 + c] + g_n[6 + c] * matrix[6 + c]
        g = _rotation_to_quat(unit, (g_n[0] * s[0], g_n[1] * s[1], g_n[2] * s[2], g_n[3] * s[0], g_n[4] * s[1], g_n[5] * s[2],
                                     g_n[6] * s[0], g_n[7] * s[1], g_n[8] * s[2]))
        radial = g[0] * unit[0] + g[1] * unit[1] + g[2] * unit[2] + g[3] * unit[3]
        for c in range(4):
            g_quat[n, c] += (g[c] - unit[c] * radial) * inverse_length


@compiled(inline="always")
def _conic_to_covariance(a, b, c, ga, gb, gc):
    """Derivative with respect to (xx, xy, yy) of the covariance: -Q G Q for its inverse Q."""
    half = gb / 2
    t00, t01, t10, t11 = ga * a + half * b, ga * b + half * c, half * a + gc * b, half * b + gc * c
    return -(a * t00 + b * t10), -2 * (a * t01 + b * t11), -(b * t01 + c * t11)


@compiled(inline="always")
def _view_transposed(view, g):
    """view[:3, :3] transposed @ g, nine numbers row by row."""
    return (view[0, 0] * g[0] + view[1, 0] * g[3] + view[2, 0] * g[6], view[0, 0] * g[1] + view[1, 0] * g[4] + view[2, 0] * g[7],
            view[0, 0] * g[2] + view[1, 0] * g[5] + view[2, 0] * g[8], view[0, 1] * g[0] + view[1, 1] * g[3] + view[2, 1] * g[6],
            view[0, 1] * g[1] + view[1, 1] * g[4] + view[2, 1] * g[7], view[0, 1] * g[2] + view[1, 1] * g[5] + view[2, 1] * g[8],
            view[0, 2] * g[0] + view[1, 2] * g[3] + view[2, 2] * g[6], view[0, 2] * g[1] + view[1, 2] * g[4] + view[2, 2] * g[7],
            view[0, 2] * g[2] + view[1, 2] * g[5] + view[2, 2] * g[8])


@compiled(inline="always")
def _rotation_to_quat(unit, g):
    """Derivative with respect to the unit quaternion, from that of the rotation matrix."""
    w, i, j, k = unit
    return (2 * (k * (g[3] - g[1]) + j * (g[2] - g[6]) + i * (g[7] - g[5])),
            2 * (j * (g[1] + g[3]) + k * (g[2] + g[6]) + w * (g[7] - g[5]) - 2 * i * (g[4] + g[8])),
            2 * (i * (g[1] + g[3]) + k * (g[5] + g[7]) + w * (g[2] - g[6]) - 2 * j * (g[0] + g[8])),
            2 * (i * (g[2] + g[6]) + j * (g[5] + g[7]) + w * (g[3] - g[1]) - 2 * k * (g[0] + g[4])))
