"""The tile kernels in numba: depth order, lists per tile, blending and its exact derivative.

A Gaussian touches exactly the pixels where its alpha is at least 1/255, so no result depends on the tile size. Tiles are
dealt to `lanes`; every tile is computed by one thread in one order, so no result depends on the number of threads either.

Row layout of the arrays `splat` [N, 8]: x, y, conic xx, xy, yy, opacity, 2 ln(255 opacity), half height of the ellipse.
Row layout of a gradient: x, y, conic xx, xy, yy, opacity, then one number a channel.
"""
from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import compiled
from .projection import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN

TILE = 16              # pixels a side
GEOMETRY = 6           # gradient columns before the channels


@intrinsic
def _bits_to_float(typing_context, bits):
    """Reinterpret an int32 as a float32."""
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.FloatType())


def exponential(x):
    """e**x for x <= 0; in float32 a branch-free polynomial, about 2 units in the last place."""
    raise NotImplementedError("numba replaces this function at compile time")


@overload(exponential, inline="always")
def _exponential(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp32(x):
        x = max(x, np.float32(-80.0)) * np.float32(1.4426950408889634)
        i = np.int32(x - np.float32(0.5))
        f = x - np.float32(i)
        p = np.float32(0.0013333558146428443)
        p = p * f + np.float32(0.009618129107628477)
        p = p * f + np.float32(0.05550410866482158)
        p = p * f + np.float32(0.2402265069591007)
        p = p * f + np.float32(0.6931471805599453)
        p = p * f + np.float32(1.0)
        return p * _bits_to_float(np.int32((i + np.int32(127)) << np.int32(23)))
    return exp32


@compiled
def tile_lists(means2d, radii, order, tiles_x, tiles_y):
    """Which Gaussians touch which tile: `ids[start[t]:start[t + 1]]` of tile t, in the order of `order` (a counting sort).

    Args: means2d [N, 2], radii [N, 2], order [N] indices by depth. Returns: start int64 [tiles + 1], ids int32 [total].
    """
    n, tiles = order.shape[0], tiles_x * tiles_y
    box = np.zeros((n, 4), np.int32)
    start = np.zeros(tiles + 1, np.int64)
    for s in range(n):
        g = order[s]
        rx, ry = radii[g, 0], radii[g, 1]
        if rx > 0 and ry > 0:
            box[s, 0] = min(max(math.floor((means2d[g, 0] - rx) / TILE), 0), tiles_x)
            box[s, 1] = min(max(math.ceil((means2d[g, 0] + rx) / TILE), 0), tiles_x)
            box[s, 2] = min(max(math.floor((means2d[g, 1] - ry) / TILE), 0), tiles_y)
            box[s, 3] = min(max(math.ceil((means2d[g, 1] + ry) / TILE), 0), tiles_y)
            for ty in range(box[s, 2], box[s, 3]):
                for tx in range(box[s, 0], box[s, 1]):
                    start[ty * tiles_x + tx + 1] += 1
    for t in range(tiles):
        start[t + 1] += start[t]
    position = start[:-1].copy()
    ids = np.empty(start[tiles], np.int32)
    for s in range(n):
        for ty in range(box[s, 2], box[s, 3]):
            for tx in range(box[s, 0], box[s, 1]):
                ids[position[ty * tiles_x + tx]] = order[s]
                position[ty * tiles_x + tx] += 1
    return start, ids


@compiled(inline="always", fastmath=True)
def _rows(my, half, y_lo, y_hi):
    """Rows [first, last) of [y_lo, y_hi) within `half` of `my`."""
    return max(y_lo, int(math.ceil(my - half))), min(y_hi, int(math.floor(my + half)) + 1)


@compiled(inline="always", fastmath=True)
def _columns(mx, dy, a, b, c, limit, x_lo, x_hi):
    """Columns [first, last) of [x_lo, x_hi) with 2 sigma <= limit on the row at distance dy from the centre."""
    half = math.sqrt(max(a * limit - (a * c - b * b) * dy * dy, a * 0)) / a
    middle = mx - b * dy / a
    return max(x_lo, int(math.ceil(middle - half))), min(x_hi, int(math.floor(middle + half)) + 1)


@compiled(fastmath=True)
def blend(lane, lanes, splat, color, start, ids, width, height, tiles_x, channels, image, left, last):
    """Front-to-back blending of tiles lane, lane + lanes, ...

    Args: splat [N, 8]; color [N, D]; channels: a tuple of D anythings (its length is known to the compiler).
    Fills: image [H, W, D]; left [H, W], the light that passes; last int32 [H, W], entries of the tile's list up to the last drawn.
    """
    flt = splat.dtype.type
    d = len(channels)
    light, count, sums = np.empty(TILE * TILE, splat.dtype), np.empty(TILE * TILE, np.int32), np.empty((TILE * TILE, d), splat.dtype)
    for t in range(lane, start.shape[0] - 1, lanes):
        x_lo, y_lo = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        x_hi, y_hi = min(x_lo + TILE, width), min(y_lo + TILE, height)
        light[:], count[:], sums[:] = 1, 0, 0
        alive = (x_hi - x_lo) * (y_hi - y_lo)
        for s in range(start[t], start[t + 1]):
            g = ids[s]
            mx, my, a, b, c = splat[g, 0] - flt(0.5), splat[g, 1] - flt(0.5), splat[g, 2], splat[g, 3], splat[g, 4]
            opacity, limit = splat[g, 5], splat[g, 6]
            rank = np.int32(s - start[t] + 1)
            y0, y1 = _rows(my, splat[g, 7], y_lo, y_hi)
            for y in range(y0, y1):
                dy = flt(y) - my
                x0, x1 = _columns(mx, dy, a, b, c, limit, x_lo, x_hi)
                for x in range(x0, x1):
                    i = np.uintp((y - y_lo) * TILE + x - x_lo)
                    if count[i] < 0:
                        continue
                    dx = flt(x) - mx
                    sigma = flt(0.5) * (a * dx * dx + c * dy * dy) + b * dx * dy
                    alpha = min(opacity * exponential(-sigma), flt(ALPHA_MAX))
                    if sigma < flt(0) or alpha < flt(ALPHA_MIN):
                        continue
                    remaining = light[i] * (flt(1) - alpha)
                    if remaining <= flt(TRANSMITTANCE_MIN):
                        count[i] = ~count[i]                      # the sign marks a finished pixel; ~ restores the count
                        alive -= 1
                        continue
                    weight = alpha * light[i]
                    for k in range(d):
                        sums[i, k] += weight * color[g, k]
                    light[i] = remaining
                    count[i] = rank
            if alive == 0:
                break
        for y in range(y_lo, y_hi):
            for x in range(x_lo, x_hi):
                i = (y - y_lo) * TILE + x - x_lo
                left[y, x] = light[i]
                last[y, x] = max(count[i], ~count[i])
                for k in range(d):
                    image[y, x, k] = sums[i, k]


@compiled(fastmath=True)
def blend_backward(lane, lanes, splat, color, start, ids, width, height, tiles_x, channels, left, last, g_image, g_left, slots):
    """Derivative of `blend`, back to front: one row of `slots` [total, 6 + D] for each entry of the tile lists.

    Args: g_image [H, W, D]: derivative with respect to the image; g_left [H, W]: with respect to `left`.
    """
    flt = splat.dtype.type
    d = len(channels)
    behind, light, count = np.empty(TILE * TILE, splat.dtype), np.empty(TILE * TILE, splat.dtype), np.empty(TILE * TILE, np.int32)
    gi, ga = np.empty((TILE * TILE, d), splat.dtype), np.empty(TILE * TILE, splat.dtype)
    g_color = np.empty(d, splat.dtype)
    for t in range(lane, start.shape[0] - 1, lanes):
        x_lo, y_lo = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        x_hi, y_hi = min(x_lo + TILE, width), min(y_lo + TILE, height)
        behind[:] = 0                                             # sum over the Gaussians behind of weight x (g_image . color + g_alpha)
        top = 0
        for y in range(y_lo, y_hi):
            for x in range(x_lo, x_hi):
                i = (y - y_lo) * TILE + x - x_lo
                light[i], count[i], ga[i] = left[y, x], last[y, x], -g_left[y, x]
                top = max(top, count[i])
                for k in range(d):
                    gi[i, k] = g_image[y, x, k]
        for s in range(start[t] + top - 1, start[t] - 1, -1):
            g = ids[s]
            rank = s - start[t]
            mx, my, a, b, c = splat[g, 0] - flt(0.5), splat[g, 1] - flt(0.5), splat[g, 2], splat[g, 3], splat[g, 4]
            opacity, limit = splat[g, 5], splat[g, 6]
            s_x = s_y = s_a = s_b = s_c = s_o = flt(0)
            g_color[:] = 0
            y0, y1 = _rows(my, splat[g, 7], y_lo, y_hi)
            for y in range(y0, y1):
                dy = flt(y) - my
                x0, x1 = _columns(mx, dy, a, b, c, limit, x_lo, x_hi)
                for x in range(x0, x1):
                    i = np.uintp((y - y_lo) * TILE + x - x_lo)
                    if count[i] <= rank:
                        continue
                    dx = flt(x) - mx
                    sigma = flt(0.5) * (a * dx * dx + c * dy * dy) + b * dx * dy
                    e = exponential(-sigma)
                    alpha = min(opacity * e, flt(ALPHA_MAX))
                    if sigma < flt(0) or alpha < flt(ALPHA_MIN):
                        continue
                    ratio = flt(1) / (flt(1) - alpha)
                    before = light[i] * ratio
                    light[i] = before
                    weight = alpha * before
                    u = ga[i]
                    for k in range(d):
                        u += color[g, k] * gi[i, k]
                        g_color[k] += weight * gi[i, k]
                    g_alpha = before * u - behind[i] * ratio
                    behind[i] += weight * u
                    if opacity * e <= flt(ALPHA_MAX):
                        g_sigma = -opacity * e * g_alpha
                        s_o += e * g_alpha
                        s_x -= g_sigma * (a * dx + b * dy)
                        s_y -= g_sigma * (b * dx + c * dy)
                        s_a += flt(0.5) * g_sigma * dx * dx
                        s_b += g_sigma * dx * dy
                        s_c += flt(0.5) * g_sigma * dy * dy
            slots[s, 0], slots[s, 1], slots[s, 2], slots[s, 3], slots[s, 4], slots[s, 5] = s_x, s_y, s_a, s_b, s_c, s_o
            for k in range(d):
                slots[s, GEOMETRY + k] = g_color[k]


@compiled
def add_slots(ids, slots, out):
    """out[ids[s]] += slots[s] in the order of the lists (not parallel, so the sum does not depend on threads)."""
    for s in range(ids.shape[0]):
        for k in range(slots.shape[1]):
            out[ids[s], k] += slots[s, k]
