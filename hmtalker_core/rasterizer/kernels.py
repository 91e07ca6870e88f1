"""The tile kernels in numba: depth order, lists per tile, blending and its exact derivative.

A Gaussian touches exactly the pixels where its alpha is at least 1/255, so no result depends on the tile size. Tiles are
dealt to `lanes`; every tile is computed by one thread in one order, so no result depends on the number of threads either.

Row layout of the arrays `splat` [N, 8]: x, y, conic xx, xy, yy, opacity, half width, half height
(of the ellipse where alpha is 1/255).
Row layout of a gradient: x, y, conic xx, xy, yy, opacity, then one number a channel.
"""
from __future__ import annotations

import math

import numpy as np

from .jit import compiled
from .lanes import WIDTH
from .rows import BACKWARD_FIELDS, FORWARD_FIELDS, GEOMETRY, blend_rows, blend_rows_backward

TILE = WIDTH           # pixels a side
CHECK_EVERY = 32       # Gaussians drawn between two looks at whether a tile is finished


@compiled
def pack(mean2d, conic, opacity, splat):
    """Fill splat [N, 8] from mean2d [N, 2], conic [N, 3], opacity [N]."""
    flt = splat.dtype.type
    for n in range(splat.shape[0]):
        a, b, c = conic[n, 0], conic[n, 1], conic[n, 2]
        limit = flt(2) * math.log(max(flt(255) * opacity[n], flt(1))) / max(a * c - b * b, flt(1e-30))
        splat[n, 0], splat[n, 1], splat[n, 5] = mean2d[n, 0], mean2d[n, 1], opacity[n]
        splat[n, 2], splat[n, 3], splat[n, 4] = a, b, c
        splat[n, 6], splat[n, 7] = math.sqrt(max(limit * c, flt(0))), math.sqrt(max(limit * a, flt(0)))


@compiled
def depth_order(bits, radius):
    """Indices int32 of the drawn Gaussians (both radii > 0), near to far, equal depths in their own order.

    Args: bits [N], the depths float32 (or float64) seen as int32 (or int64); radius [N, 2].
    Depths are above zero, and the bits of such floats have the order of the floats: a stable sort by 11 bits at a time.
    """
    n = 0
    values, keys = np.empty(bits.shape[0], np.int32), np.empty(bits.shape[0], bits.dtype)
    for i in range(bits.shape[0]):
        if radius[i, 0] > 0 and radius[i, 1] > 0:
            values[n], keys[n] = i, bits[i]
            n += 1
    values, keys, next_values, next_keys = values[:n], keys[:n], np.empty(n, np.int32), np.empty(n, bits.dtype)
    for shift in range(0, 8 * bits.itemsize, 11):
        start = np.zeros(2049, np.int64)
        for i in range(n):
            start[((keys[i] >> shift) & 2047) + 1] += 1
        for i in range(2048):
            start[i + 1] += start[i]
        for i in range(n):
            digit = (keys[i] >> shift) & 2047
            next_keys[start[digit]], next_values[start[digit]] = keys[i], values[i]
            start[digit] += 1
        values, keys, next_values, next_keys = next_values, next_keys, values, keys
    return values


@compiled(inline="always")
def _tiles(centre, half, tiles):
    """Tiles [first, last) that hold a pixel centre within `half` of `centre` (pixels), a little more than exactly."""
    first, last = math.ceil(centre - half - 0.501), math.floor(centre + half - 0.499)
    return min(max(first // TILE, 0), tiles), min(max(last // TILE + 1, 0), tiles)


@compiled
def tile_lists(splat, order, tiles_x, tiles_y):
    """Which Gaussians touch which tile: `ids[start[t]:start[t + 1]]` of tile t, in the order of `order` (a counting sort).

    Args: splat [N, 8]; order [V] indices of the drawn ones by depth. Returns: start int64 [tiles + 1], ids int32 [total].
    """
    n, tiles = order.shape[0], tiles_x * tiles_y
    box = np.zeros((n, 4), np.int32)
    start = np.zeros(tiles + 1, np.int64)
    for s in range(n):
        g = order[s]
        box[s, 0], box[s, 1] = _tiles(splat[g, 0], splat[g, 6], tiles_x)
        box[s, 2], box[s, 3] = _tiles(splat[g, 1], splat[g, 7], tiles_y)
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
    """Rows [first, last) of [y_lo, y_hi) within `half` of `my`, a little more than exactly: the pixels' alpha decides."""
    return max(y_lo, int(math.ceil(my - half - 0.001))), min(y_hi, int(math.floor(my + half + 0.001)) + 1)


@compiled(fastmath=True)
def blend(lane, lanes, splat, color, start, ids, width, height, tiles_x, channels, behind, image, left, last):
    """Front-to-back blending of tiles lane, lane + lanes, ...

    Args: splat [N, 8]; color [N, D]; channels: a tuple of D anythings (the compiler knows its length); behind [D]: background.
    Fills: image [H, W, D]; left [H, W], the light that passes (1 - alpha, but exact for small values); last int32 [H, W]: entries
    of the tile's list up to the last one drawn.
    """
    flt = splat.dtype.type
    d = len(channels)
    stride = (FORWARD_FIELDS + d) * TILE
    flat = color.reshape(-1)
    state = np.empty(TILE * stride, splat.dtype)
    for t in range(lane, start.shape[0] - 1, lanes):
        x_lo, y_lo = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        x_hi, y_hi = min(x_lo + TILE, width), min(y_lo + TILE, height)
        _clear(state, stride, x_hi - x_lo, y_hi - y_lo)
        for s in range(start[t], start[t + 1]):
            g = ids[s]
            mx, my = splat[g, 0] - flt(x_lo) - flt(0.5), splat[g, 1] - flt(0.5)
            rank = flt(s - start[t] + 1)
            first, end = _rows(my, splat[g, 7], y_lo, y_hi)
            blend_rows(  # pyright: ignore[reportCallIssue]  # numba gives an intrinsic its first argument
                       state, (first - y_lo) * stride, stride, end - first, mx, flt(first) - my, splat[g, 2], splat[g, 3],
                       splat[g, 4], splat[g, 5], rank, flat, g * d, channels)
            if (s - start[t]) % CHECK_EVERY == CHECK_EVERY - 1 and _finished(state, stride):
                break
        for y in range(y_lo, y_hi):
            for x in range(x_lo, x_hi):
                i = (y - y_lo) * stride + x - x_lo
                left[y, x] = state[i]
                count = state[i + TILE]
                last[y, x] = np.int32(count if count >= 0 else -1 - count)
                for k in range(d):
                    image[y, x, k] = state[i + (FORWARD_FIELDS + k) * TILE] + state[i] * behind[k]


@compiled
def _clear(state, stride, columns, rows):
    """An empty tile; pixels outside of the image count as finished."""
    state[:] = 0
    for y in range(TILE):
        for x in range(TILE):
            state[y * stride + x] = 1
            if x >= columns or y >= rows:
                state[y * stride + TILE + x] = -1


@compiled
def _finished(state, stride):
    """Whether no pixel of the tile takes any more."""
    for y in range(TILE):
        for x in range(TILE):
            if state[y * stride + TILE + x] >= 0:
                return False
    return True


@compiled(fastmath=True)
def blend_backward(lane, lanes, splat, color, start, ids, width, height, tiles_x, channels, left, last, g_image, g_left, slots):
    """Derivative of `blend`, back to front: one row of `slots` [total, 6 + D] for each entry of the tile lists.

    Args: g_image [H, W, D]: derivative with respect to the image; g_left [H, W]: with respect to `left`.
    """
    flt = splat.dtype.type
    d = len(channels)
    stride = (BACKWARD_FIELDS + d) * TILE
    flat = color.reshape(-1)
    state, flat_slots = np.empty(TILE * stride, splat.dtype), slots.reshape(-1)
    for t in range(lane, start.shape[0] - 1, lanes):
        x_lo, y_lo = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        x_hi, y_hi = min(x_lo + TILE, width), min(y_lo + TILE, height)
        _clear(state, stride, x_hi - x_lo, y_hi - y_lo)
        deepest = _load(state, stride, x_lo, y_lo, x_hi, y_hi, left, last, g_image, g_left)
        for s in range(start[t] + deepest - 1, start[t] - 1, -1):
            g = ids[s]
            mx, my = splat[g, 0] - flt(x_lo) - flt(0.5), splat[g, 1] - flt(0.5)
            rank = flt(s - start[t] + 1)
            first, end = _rows(my, splat[g, 7], y_lo, y_hi)
            blend_rows_backward(  # pyright: ignore[reportCallIssue]  # numba gives an intrinsic its first argument
                                state, (first - y_lo) * stride, stride, end - first, mx, flt(first) - my, splat[g, 2],
                                splat[g, 3], splat[g, 4], splat[g, 5], rank, flat, g * d, channels, flat_slots,
                                s * (GEOMETRY + d))


@compiled
def _load(state, stride, x_lo, y_lo, x_hi, y_hi, left, last, g_image, g_left):
    """Fill a tile's backward state from the images; returns the largest `last` of the tile."""
    deepest = 0
    for y in range(y_lo, y_hi):
        for x in range(x_lo, x_hi):
            i = (y - y_lo) * stride + x - x_lo
            state[i], state[i + TILE], state[i + 3 * TILE] = left[y, x], last[y, x], -g_left[y, x]
            deepest = max(deepest, last[y, x])
            for k in range(g_image.shape[2]):
                state[i + (BACKWARD_FIELDS + k) * TILE] = g_image[y, x, k]
    return deepest


@compiled
def add_slots(ids, slots, out):
    """out[ids[s]] += slots[s] in the order of the lists (not parallel, so the sum does not depend on threads)."""
    for s in range(ids.shape[0]):
        for k in range(slots.shape[1]):
            out[ids[s], k] += slots[s, k]
