"""Triton kernels: lists of Gaussians for each tile, and blending forward and backward (docs/rasterizer.md#triton).

One program of a single warp serves a tile of 8 x 8 pixels, two pixels to a lane, so nothing waits for other warps. A Gaussian's
gradients go to one row for each tile it touches and are added up in a fixed order afterwards: no atomics, so two runs agree to
the last bit. Twins: `reference.py`, `kernels.py`.

Importing this module imports triton, and where TRITON_INTERPRET=1 was set before, the kernels run in its interpreter. They follow
the precision of their arguments, float32 or float64. Pointers are in capitals; g = frame * N + Gaussian is a splat.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# pyright: reportPossiblyUnboundVariable=false
# Triton's stubs describe Python; inside a kernel numbers are blocks of them, and constants are passed as they are.
from __future__ import annotations

from collections.abc import Callable

import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.jit import KernelInterface

from . import constants

TILE = 8            # pixels
CHANNELS = 8        # drawn in one pass at most
GEOMETRY = 6        # columns of a row of gradients before the colours: centre 2, conic 3, opacity 1
SPLATS = 32         # splats to a program that makes lists
ROWS = 8            # splats to a program that adds up rows
AT_ONCE = 8         # Gaussians between two looks at whether any light is left
ALPHA_MIN = tl.constexpr(constants.ALPHA_MIN)
ALPHA_MAX = tl.constexpr(constants.ALPHA_MAX)
LEFT_MIN = tl.constexpr(constants.TRANSMITTANCE_MIN)
SLACK = tl.constexpr(1e-3)           # of sigma: a tile whose nearest pixel lies this little outside is still listed
SLACK_PER_TERM = tl.constexpr(1e-6)  # of sigma's terms, whose rounding grows with them
FIXED = ["N", "M", "W", "H", "TILES_X", "TILES"]  # sizes: no kernel is compiled again for a special value of them


def launch(kernel: KernelInterface[Callable[..., None]], programs: int, *given: Tensor | int, **sizes: int | bool) -> None:
    """Runs so many programs of a kernel, a warp each; nothing where there are none."""
    if programs:
        kernel[(programs,)](*given, num_warps=1, **sizes)


@triton.jit
def _sigma(a, b, c, x, y):
    return 0.5 * (a * x * x + c * y * y) + b * x * y


@triton.jit
def _box(XY, RADII, g, inside, W, H, TILE: tl.constexpr):
    """Of splats: first tile column and row, number of columns and rows; none for what is not drawn."""
    x, y = tl.load(XY + g * 2, mask=inside, other=0.0), tl.load(XY + g * 2 + 1, mask=inside, other=0.0)
    rx, ry = tl.load(RADII + g * 2, mask=inside, other=0), tl.load(RADII + g * 2 + 1, mask=inside, other=0)
    columns, rows = (W + TILE - 1) // TILE, (H + TILE - 1) // TILE
    left = tl.minimum(tl.maximum(tl.floor((x - rx) / TILE), 0.0), columns * 1.0).to(tl.int32)
    right = tl.minimum(tl.maximum(tl.ceil((x + rx) / TILE), 0.0), columns * 1.0).to(tl.int32)
    top = tl.minimum(tl.maximum(tl.floor((y - ry) / TILE), 0.0), rows * 1.0).to(tl.int32)
    bottom = tl.minimum(tl.maximum(tl.ceil((y + ry) / TILE), 0.0), rows * 1.0).to(tl.int32)
    drawn = inside & (rx > 0) & (ry > 0)
    return x, y, left, top, tl.where(drawn, right - left, 0), tl.where(drawn, bottom - top, 0)


@triton.jit
def _touches(x, y, a, b, c, limit, column, row, TILE: tl.constexpr):
    """Whether sigma stays below `limit` at some point between the outermost pixel centres of a tile."""
    x0, y0 = column * TILE + 0.5 - x, row * TILE + 0.5 - y
    x1, y1 = x0 + (TILE - 1), y0 + (TILE - 1)
    slope_x, slope_y = b / tl.maximum(a, 1e-30), b / tl.maximum(c, 1e-30)
    best = _sigma(a, b, c, x0, tl.minimum(tl.maximum(-slope_y * x0, y0), y1))
    best = tl.minimum(best, _sigma(a, b, c, x1, tl.minimum(tl.maximum(-slope_y * x1, y0), y1)))
    best = tl.minimum(best, _sigma(a, b, c, tl.minimum(tl.maximum(-slope_x * y0, x0), x1), y0))
    best = tl.minimum(best, _sigma(a, b, c, tl.minimum(tl.maximum(-slope_x * y1, x0), x1), y1))
    best = tl.where((x0 <= 0) & (x1 >= 0) & (y0 <= 0) & (y1 >= 0), 0.0, best)
    terms = a * tl.maximum(x0 * x0, x1 * x1) + c * tl.maximum(y0 * y0, y1 * y1)
    return best <= limit + SLACK + SLACK_PER_TERM * terms


@triton.jit(do_not_specialize=FIXED)
def list_tiles(XY, CONIC, OPACITY, OPACITY_ROW, DEPTH, RADII, START, COUNT, KEYS, IDS, M, N, W, H, TILES_X, TILES,
               TILE: tl.constexpr, BLOCK: tl.constexpr, WRITE: tl.constexpr):
    """The tiles that each splat touches: their number into COUNT [M * N], or with WRITE keys and splats, from START[g] on.

    A key holds frame and tile above, the bits of the depth below: sorted keys are lists of the tiles, front to back.
    """
    g = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = g < M.to(tl.int64) * N
    x, y, left, top, columns, rows = _box(XY, RADII, g, inside, W, H, TILE)
    a = tl.load(CONIC + g * 3, mask=inside, other=1.0)
    b = tl.load(CONIC + g * 3 + 1, mask=inside, other=0.0)
    c = tl.load(CONIC + g * 3 + 2, mask=inside, other=1.0)
    frame = g // N
    opacity_row = tl.load(OPACITY_ROW + frame, mask=inside, other=0).to(tl.int64)
    opacity = tl.load(OPACITY + opacity_row * N + g % N, mask=inside, other=1.0)
    limit = tl.log(tl.maximum(opacity, ALPHA_MIN) / ALPHA_MIN)
    boxed = columns * rows
    count = tl.zeros([BLOCK], tl.int32)
    if WRITE:
        start = tl.load(START + g, mask=inside, other=0)
        depth = tl.load(DEPTH + g, mask=inside, other=0.0).to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64)
    for j in range(0, tl.max(boxed, 0)):
        row, column = top + j // tl.maximum(columns, 1), left + j % tl.maximum(columns, 1)
        hit = (j < boxed) & _touches(x, y, a, b, c, limit, column, row, TILE)
        if WRITE:
            tile = frame * TILES + row * TILES_X + column
            tl.store(KEYS + start + count, (tile << 32) | depth, mask=hit)
            tl.store(IDS + start + count, g.to(tl.int32), mask=hit)
        count += hit.to(tl.int32)
    if not WRITE:
        tl.store(COUNT + g, count, mask=inside)


@triton.jit
def _pixels(t, W, H, TILES_X, TILES, TILE: tl.constexpr):
    """Of tile t of all frames: its frame, its pixels' centres, their place in [M, H, W], and which of them are in the image."""
    p = tl.arange(0, TILE * TILE)
    frame, tile = t // TILES, (t % TILES).to(tl.int32)
    x, y = (tile % TILES_X) * TILE + p % TILE, (tile // TILES_X) * TILE + p // TILE
    return frame, x, y, (frame * H + y) * W + x, (x < W) & (y < H)


@triton.jit
def _splat(XY, CONIC, g, OPACITY, x, y):
    """What a Gaussian does to pixels: offsets from its centre, conic, opacity, exp(-sigma), alpha (0 where it is skipped)."""
    dx, dy = x - tl.load(XY + g * 2), y - tl.load(XY + g * 2 + 1)
    a, b, c = tl.load(CONIC + g * 3), tl.load(CONIC + g * 3 + 1), tl.load(CONIC + g * 3 + 2)
    opacity = tl.load(OPACITY)
    sigma = _sigma(a, b, c, dx, dy)
    fall = tl.exp(-sigma)
    alpha = tl.minimum(opacity * fall, ALPHA_MAX)
    alpha = tl.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, 0.0)
    return dx, dy, a, b, c, opacity, fall, alpha


@triton.jit(do_not_specialize=FIXED)
def blend(XY, CONIC, OPACITY, OPACITY_ROW, COLOR, COLOR_ROW, STARTS, IDS, IMAGE, LEFT, LAST, N, W, H, TILES_X, TILES,
          D: tl.constexpr, TILE: tl.constexpr, AT_ONCE: tl.constexpr):
    """A tile front to back: IMAGE [M, H, W, D], LEFT [M, H, W] the light left, LAST the rank of the last Gaussian drawn."""
    t = tl.program_id(0).to(tl.int64)
    frame, x, y, q, inside = _pixels(t, W, H, TILES_X, TILES, TILE)
    kind = XY.dtype.element_ty
    x, y = x.to(kind) + 0.5, y.to(kind) + 0.5
    opacities = OPACITY + (tl.load(OPACITY_ROW + frame).to(tl.int64) - frame) * N
    colors = COLOR + (tl.load(COLOR_ROW + frame).to(tl.int64) - frame) * N * D
    light = tl.full([TILE * TILE], 1.0, kind)
    c0 = tl.zeros([TILE * TILE], kind)
    c1, c2, c3, c4, c5, c6, c7 = c0, c0, c0, c0, c0, c0, c0
    last = tl.zeros([TILE * TILE], tl.int32)
    live = inside.to(tl.int32)
    begin, end = tl.load(STARTS + t), tl.load(STARTS + t + 1)
    s = begin
    any_left = tl.max(live, 0)
    while (s < end) & (any_left > 0):
        for j in range(AT_ONCE):
            i = s + j
            there = i < end
            g = tl.load(IDS + i, mask=there, other=0).to(tl.int64)
            g = tl.where(there, g, frame * N)
            dx, dy, a, b, c, opacity, fall, alpha = _splat(XY, CONIC, g, opacities + g, x, y)
            alpha = tl.where(there & (live > 0), alpha, 0.0)
            after = light * (1.0 - alpha)
            used = (alpha > 0) & (after > LEFT_MIN)
            live = tl.where((alpha > 0) & (after <= LEFT_MIN), 0, live)
            weight = tl.where(used, alpha * light, 0.0)
            color = colors + g * D
            c0 += weight * tl.load(color)
            if D > 1:
                c1 += weight * tl.load(color + 1)
            if D > 2:
                c2 += weight * tl.load(color + 2)
            if D > 3:
                c3 += weight * tl.load(color + 3)
            if D > 4:
                c4 += weight * tl.load(color + 4)
            if D > 5:
                c5 += weight * tl.load(color + 5)
            if D > 6:
                c6 += weight * tl.load(color + 6)
            if D > 7:
                c7 += weight * tl.load(color + 7)
            light = tl.where(used, after, light)
            last = tl.where(used, (i - begin + 1).to(tl.int32), last)
        s += AT_ONCE
        any_left = tl.max(live, 0)
    tl.store(LEFT + q, light, mask=inside)
    tl.store(LAST + q, last, mask=inside)
    _store(IMAGE + q * D, c0, c1, c2, c3, c4, c5, c6, c7, inside, D)


@triton.jit
def _store(P, c0, c1, c2, c3, c4, c5, c6, c7, mask, D: tl.constexpr):
    """The first D of eight values into neighbouring places from P on."""
    tl.store(P, c0, mask=mask)
    if D > 1:
        tl.store(P + 1, c1, mask=mask)
    if D > 2:
        tl.store(P + 2, c2, mask=mask)
    if D > 3:
        tl.store(P + 3, c3, mask=mask)
    if D > 4:
        tl.store(P + 4, c4, mask=mask)
    if D > 5:
        tl.store(P + 5, c5, mask=mask)
    if D > 6:
        tl.store(P + 6, c6, mask=mask)
    if D > 7:
        tl.store(P + 7, c7, mask=mask)


@triton.jit
def _load(P, k: tl.constexpr, mask, D: tl.constexpr):
    """P[k], or nothing to multiply with where there are not so many channels."""
    value = tl.zeros(mask.shape, P.dtype.element_ty)
    if k < D:
        value = tl.load(P + k, mask=mask, other=0.0)
    return value


@triton.jit(do_not_specialize=FIXED)
def blend_backward(XY, CONIC, OPACITY, OPACITY_ROW, COLOR, COLOR_ROW, STARTS, IDS, PLACE, LEFT, LAST, G_IMAGE, G_LEFT, SLOTS,
                   N, W, H, TILES_X, TILES, D: tl.constexpr, GEOMETRY: tl.constexpr, TILE: tl.constexpr):
    """A tile back to front: a row of gradients for each Gaussian of its list, into SLOTS[PLACE[i]] (centre, conic, opacity, D
    colours). What lies behind the last Gaussian drawn in any of its pixels is left as it is."""
    t = tl.program_id(0).to(tl.int64)
    frame, x, y, q, inside = _pixels(t, W, H, TILES_X, TILES, TILE)
    kind = XY.dtype.element_ty
    x, y = x.to(kind) + 0.5, y.to(kind) + 0.5
    opacities = OPACITY + (tl.load(OPACITY_ROW + frame).to(tl.int64) - frame) * N
    colors = COLOR + (tl.load(COLOR_ROW + frame).to(tl.int64) - frame) * N * D
    light = tl.load(LEFT + q, mask=inside, other=1.0)
    last = tl.load(LAST + q, mask=inside, other=0)
    # Of the light left by the whole list: every weight has its share in 1 - light.
    g_alpha = -tl.load(G_LEFT + q, mask=inside, other=0.0)
    G = G_IMAGE + q * D
    g0, g1, g2, g3 = _load(G, 0, inside, D), _load(G, 1, inside, D), _load(G, 2, inside, D), _load(G, 3, inside, D)
    g4, g5, g6, g7 = _load(G, 4, inside, D), _load(G, 5, inside, D), _load(G, 6, inside, D), _load(G, 7, inside, D)
    behind = tl.zeros([TILE * TILE], kind)
    begin = tl.load(STARTS + t)
    drawn = tl.max(last, 0)
    for r in range(0, drawn):
        rank = drawn - 1 - r
        g = tl.load(IDS + begin + rank).to(tl.int64)
        dx, dy, a, b, c, opacity, fall, alpha = _splat(XY, CONIC, g, opacities + g, x, y)
        alpha = tl.where(last > rank, alpha, 0.0)
        rest = 1.0 / (1.0 - alpha)
        light = light * rest
        weight = alpha * light
        color = colors + g * D
        u = g_alpha + g0 * tl.load(color)
        if D > 1:
            u += g1 * tl.load(color + 1)
        if D > 2:
            u += g2 * tl.load(color + 2)
        if D > 3:
            u += g3 * tl.load(color + 3)
        if D > 4:
            u += g4 * tl.load(color + 4)
        if D > 5:
            u += g5 * tl.load(color + 5)
        if D > 6:
            u += g6 * tl.load(color + 6)
        if D > 7:
            u += g7 * tl.load(color + 7)
        g_sigma = tl.where((alpha > 0) & (opacity * fall <= ALPHA_MAX), alpha * (behind * rest - light * u), 0.0)
        behind += weight * u
        S = SLOTS + tl.load(PLACE + begin + rank) * (GEOMETRY + D)
        tl.store(S, -tl.sum(g_sigma * (a * dx + b * dy), 0))
        tl.store(S + 1, -tl.sum(g_sigma * (b * dx + c * dy), 0))
        tl.store(S + 2, 0.5 * tl.sum(g_sigma * dx * dx, 0))
        tl.store(S + 3, tl.sum(g_sigma * dx * dy, 0))
        tl.store(S + 4, 0.5 * tl.sum(g_sigma * dy * dy, 0))
        tl.store(S + 5, -tl.sum(g_sigma, 0) / opacity)
        tl.store(S + 6, tl.sum(weight * g0, 0))
        if D > 1:
            tl.store(S + 7, tl.sum(weight * g1, 0))
        if D > 2:
            tl.store(S + 8, tl.sum(weight * g2, 0))
        if D > 3:
            tl.store(S + 9, tl.sum(weight * g3, 0))
        if D > 4:
            tl.store(S + 10, tl.sum(weight * g4, 0))
        if D > 5:
            tl.store(S + 11, tl.sum(weight * g5, 0))
        if D > 6:
            tl.store(S + 12, tl.sum(weight * g6, 0))
        if D > 7:
            tl.store(S + 13, tl.sum(weight * g7, 0))


@triton.jit(do_not_specialize=["SPLATS"])
def add_slots(SLOTS, START, COUNT, OUT, SPLATS, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """OUT[g] = the sum of COUNT[g] rows of SLOTS from START[g] on, one after the other."""
    g = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    inside = g < SPLATS
    start, count = tl.load(START + g, mask=inside, other=0), tl.load(COUNT + g, mask=inside, other=0)
    total = tl.zeros([ROWS, COLUMNS], SLOTS.dtype.element_ty)
    for k in range(0, tl.max(count, 0)):
        there = (k < count)[:, None] & (column < WIDTH)[None, :]
        total += tl.load(SLOTS + (start + k)[:, None] * WIDTH + column[None, :], mask=there, other=0.0)
    tl.store(OUT + g[:, None] * WIDTH + column[None, :], total, mask=inside[:, None] & (column < WIDTH)[None, :])
