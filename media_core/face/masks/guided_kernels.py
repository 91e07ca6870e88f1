"""The guided filter's steps in numba: means over windows, linear functions of the colours, and their values between pixels."""
from __future__ import annotations

import numpy as np

from ...jit import compiled


@compiled
def _mirrored(at, length):
    """A place beyond the ends, the outermost pixel not repeated."""
    while at < 0 or at >= length:
        at = -at if at < 0 else 2 * length - 2 - at
        if length == 1:
            return 0
    return at


@compiled
def _means(plane, window, out):
    """Means of a plane [h, w] over a square of `window` (odd) pixels."""
    height, width = plane.shape
    half, share = window // 2, np.float32(1) / np.float32(window * window)
    line = np.empty(width + 2 * half, np.float32)
    sums = line[half:half + width]
    for y in range(height):
        sums[:] = 0
        for k in range(-half, half + 1):
            row = plane[_mirrored(y + k, height)]
            for x in range(width):
                sums[x] += row[x]
        for k in range(1, half + 1):
            line[half - k] = sums[_mirrored(-k, width)]
            line[half + width - 1 + k] = sums[_mirrored(width - 1 + k, width)]
        own = out[y]
        own[:] = 0
        for k in range(window):
            for x in range(width):
                own[x] += line[x + k]
        for x in range(width):
            own[x] *= share


@compiled
def colour_statistics(colours, window, smooth):
    """What the filter needs of an image's colours [3, h, w]: float32 [9, h, w].

    Three means over the window, then the inverse of the covariances with `smooth` on the diagonal, its upper triangle row by row.
    """
    height, width = colours.shape[1:]
    out, product = np.empty((9, height, width), np.float32), np.empty((height, width), np.float32)
    for k in range(3):
        _means(colours[k], window, out[k])
    own = 3
    for j in range(3):
        for k in range(j, 3):
            for y in range(height):
                for x in range(width):
                    product[y, x] = colours[j, y, x] * colours[k, y, x]
            _means(product, window, out[own])
            own += 1
    smooth = np.float32(smooth)
    for y in range(height):
        for x in range(width):
            mr, mg, mb = out[0, y, x], out[1, y, x], out[2, y, x]
            rr, rg, rb = out[3, y, x] - mr * mr + smooth, out[4, y, x] - mr * mg, out[5, y, x] - mr * mb
            gg, gb, bb = out[6, y, x] - mg * mg + smooth, out[7, y, x] - mg * mb, out[8, y, x] - mb * mb + smooth
            first, second, third = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
            scale = np.float32(1) / (rr * first + rg * second + rb * third)
            out[3, y, x], out[4, y, x], out[5, y, x] = first * scale, second * scale, third * scale
            out[6, y, x], out[7, y, x] = (rr * bb - rb * rb) * scale, (rg * rb - rr * gb) * scale
            out[8, y, x] = (rr * gg - rg * rg) * scale
    return out


@compiled
def linear_functions(mask, colours, known, window):
    """The mask as functions of the colours, smoothed: float32 [4, h, w], three factors and an offset.

    Args:
        mask: float32 [h, w]. colours: float32 [3, h, w]. known: of `colour_statistics`.
    """
    height, width = mask.shape
    found, out = np.empty((4, height, width), np.float32), np.empty((4, height, width), np.float32)
    product = np.empty((height, width), np.float32)
    _means(mask, window, found[3])
    for k in range(3):
        for y in range(height):
            for x in range(width):
                product[y, x] = colours[k, y, x] * mask[y, x]
        _means(product, window, found[k])
    for y in range(height):
        for x in range(width):
            mean = found[3, y, x]
            mr, mg, mb = known[0, y, x], known[1, y, x], known[2, y, x]
            r, g, b = found[0, y, x] - mr * mean, found[1, y, x] - mg * mean, found[2, y, x] - mb * mean
            a = known[3, y, x] * r + known[4, y, x] * g + known[5, y, x] * b
            c = known[4, y, x] * r + known[6, y, x] * g + known[7, y, x] * b
            d = known[5, y, x] * r + known[7, y, x] * g + known[8, y, x] * b
            found[0, y, x], found[1, y, x], found[2, y, x] = a, c, d
            found[3, y, x] = mean - (a * mr + c * mg + d * mb)
    for k in range(4):
        _means(found[k], window, out[k])
    return out


@compiled
def _places(count, length):
    """For each of `count` pixels of an enlarged line of `length`: the pixel before it, the one behind it, the latter's share."""
    first, second, share = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.float32)
    for i in range(count):
        at = (i + 0.5) * length / count - 0.5
        at = min(max(at, 0.0), length - 1.0)
        first[i] = int(at)
        second[i], share[i] = min(first[i] + 1, length - 1), at - first[i]
    return first, second, share


@compiled
def _between_rows(planes, above, below, share, out):
    """out [C, w] = rows between two of planes [C, h, w]."""
    for k in range(planes.shape[0]):
        a, b, own = planes[k, above], planes[k, below], out[k]
        for x in range(own.size):
            own[x] = a[x] + (b[x] - a[x]) * share


@compiled
def applied(functions, image):
    """The functions [4, h, w], enlarged to an image's colours [3, H, W]: float32 [H, W]."""
    height, width = image.shape[1:]
    above, below, down = _places(height, functions.shape[1])
    left, right, across = _places(width, functions.shape[2])
    out, rows = np.empty((height, width), np.float32), np.empty((4, functions.shape[2]), np.float32)
    for y in range(height):
        _between_rows(functions, above[y], below[y], down[y], rows)
        for x in range(width):
            i, j, t = left[x], right[x], across[x]
            value = rows[3, i] + (rows[3, j] - rows[3, i]) * t
            for k in range(3):
                value += (rows[k, i] + (rows[k, j] - rows[k, i]) * t) * image[k, y, x]
            out[y, x] = value
    return out


@compiled
def outlined(functions, image, rough, near):
    """A mask at an image's size: uint8 [H, W], 1 where the functions' value is over one half.

    Args:
        functions: float32 [4, h, w]. image: uint8 [H, W, 3]. rough: uint8 [n, m], the answer where nobody looks more closely.
        near: uint8 [n, m]: where it is looked at.
    """
    height, width = image.shape[:2]
    above, below, down = _places(height, functions.shape[1])
    left, right, across = _places(width, functions.shape[2])
    out, rows = np.empty((height, width), np.uint8), np.empty((4, functions.shape[2]), np.float32)
    level, column = np.float32(1 / 255), np.empty(width, np.int32)
    for x in range(width):
        column[x] = x * rough.shape[1] // width
    for y in range(height):
        own, wanted = rough[y * rough.shape[0] // height], near[y * rough.shape[0] // height]
        line = out[y]
        for x in range(width):
            line[x] = own[column[x]]
        if not wanted.any():
            continue
        _between_rows(functions, above[y], below[y], down[y], rows)
        for x in range(width):
            if wanted[column[x]]:
                i, j, t = left[x], right[x], across[x]
                value = rows[3, i] + (rows[3, j] - rows[3, i]) * t
                for k in range(3):
                    value += (rows[k, i] + (rows[k, j] - rows[k, i]) * t) * (image[y, x, k] * level)
                line[x] = value > np.float32(0.5)
    return out


@compiled
def over_half(plane, height, width):
    """Where a plane [h, w], enlarged, is over one half: uint8 [height, width]."""
    above, below, down = _places(height, plane.shape[0])
    left, right, across = _places(width, plane.shape[1])
    out, row = np.empty((height, width), np.uint8), np.empty(plane.shape[1], np.float32)
    for y in range(height):
        a, b, share = plane[above[y]], plane[below[y]], down[y]
        for x in range(row.size):
            row[x] = a[x] + (b[x] - a[x]) * share
        for x in range(width):
            i, j = left[x], right[x]
            out[y, x] = row[i] + (row[j] - row[i]) * across[x] > np.float32(0.5)
    return out


@compiled
def unclear(mask, sure):
    """Where a mask [h, w] is over one half, and where it is neither nearly 0 nor nearly 1 (by `sure`): uint8 [h, w] each."""
    rough, unsure = np.empty(mask.shape, np.uint8), np.empty(mask.shape, np.uint8)
    low, high = np.float32(sure), np.float32(1) - np.float32(sure)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            rough[y, x] = mask[y, x] > np.float32(0.5)
            unsure[y, x] = low < mask[y, x] < high
    return rough, unsure
