"""An image's loss and its gradient in numba: L1, structural similarity, detail and silhouette in one go over memory.

The twin in torch (`losses.photometric` and what `objectives` adds) takes about a hundred passes. Rows of an image are read as
they lie, [W * C] numbers with the channels interleaved, so a blur along a row steps over C numbers and one down a column over a
row: both are the same loop, which the compiler turns into vector instructions.
"""
from __future__ import annotations

import numpy as np

from ..rasterizer.jit import compiled

RADIUS = 5  # px, of the window of 11
SIGMA = 1.5  # px
C1, C2 = 0.01 ** 2, 0.03 ** 2  # for images in 0..1
U2, U3, U4, U5, U6, U7, U8, U9, U10 = (np.uint64(k) for k in range(2, 11))
SHOWN, HIDDEN, DETAIL, OPAQUE = 1, 2, 4, 8  # as in `picture`; here too, since a kernel's copy on disk knows its own file only


def taps(dtype: np.dtype) -> np.ndarray:  # -> [6]
    """Half of the Gaussian window, from its centre outwards; the whole sums to 1."""
    window = np.exp(-np.arange(-RADIUS, RADIUS + 1.0) ** 2 / (2 * SIGMA ** 2))
    return (window / window.sum())[RADIUS:].astype(dtype)


@compiled(fastmath=True)
def _blur(source, at, step, taps, out, count):
    """out[:count] = the window over source[at:], whose taps lie `step` numbers apart; source and out are flat."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    s, first = np.uint64(step), np.uint64(at - RADIUS * step)  # unsigned: no index counts from the end, so vectors will do
    for i in range(np.uint64(count)):
        c = first + i
        out[i] = (t5 * (source[c] + source[c + s * U10]) + t4 * (source[c + s] + source[c + s * U9])
                  + t3 * (source[c + s * U2] + source[c + s * U8]) + t2 * (source[c + s * U3] + source[c + s * U7])
                  + t1 * (source[c + s * U4] + source[c + s * U6]) + t0 * source[c + s * U5])


@compiled(fastmath=True)
def _moments(a, b, channels):
    """a, b, a a, b b, a b [H, L] side by side in each row, zeros between and around them; flat, and a row's length."""
    height, length = a.shape
    pad = RADIUS * channels
    width = length + pad
    row = 5 * width + pad
    maps = np.zeros((height + 2 * RADIUS) * row, a.dtype)
    for y in range(height):
        base = (y + RADIUS) * row + pad
        x, z = a[y], b[y]
        for map_ in range(5):
            out = maps[base + map_ * width:base + map_ * width + length]
            if map_ == 0:
                for i in range(length):
                    out[i] = x[i]
            elif map_ == 1:
                for i in range(length):
                    out[i] = z[i]
            elif map_ == 2:
                for i in range(length):
                    out[i] = x[i] * x[i]
            elif map_ == 3:
                for i in range(length):
                    out[i] = z[i] * z[i]
            else:
                for i in range(length):
                    out[i] = x[i] * z[i]
    return maps, row


@compiled(fastmath=True)
def _row_similarity(smooth, width, length, scale, by_mean, by_square, by_product):
    """Sum of one row's similarities, and `scale` times their derivatives by the blurred a, a a and a b."""
    total = smooth[0] * 0
    flt = smooth.dtype.type
    c1, c2, two = flt(C1), flt(C2), flt(2)
    w = np.uint64(width)
    for i in range(np.uint64(length)):
        m, n = smooth[i], smooth[i + w]
        mm, nn, mn = m * m, n * n, m * n
        top_mean, top_spread = two * mn + c1, two * (smooth[i + w * U4] - mn) + c2
        low_mean, low_spread = mm + nn + c1, smooth[i + w * U2] - mm + smooth[i + w * U3] - nn + c2
        inverse = flt(1) / (low_mean * low_spread)
        similarity = top_mean * top_spread * inverse
        total += similarity
        by_mean[i] = scale * two * (n * (top_spread - top_mean) - similarity * m * (low_spread - low_mean)) * inverse
        by_square[i] = -scale * similarity * low_mean * inverse
        by_product[i] = scale * two * top_mean * inverse
    return total


@compiled(fastmath=True)
def similarity(a, b, channels, taps, scale, gradient):
    """Sum of the structural similarities of a and b; adds `scale` times its derivative by a to `gradient`.

    Args:
        a, b, gradient: [H, W * C], contiguous. channels: C. taps: of `taps`.
    """
    height, length = a.shape
    maps, row = _moments(a, b, channels)
    pad = RADIUS * channels
    width, own = length + pad, 3 * (length + pad) + pad
    line, smooth = np.empty(row, a.dtype), np.empty(row, a.dtype)
    slopes = np.zeros((height + 2 * RADIUS) * own, a.dtype)
    total = 0.0
    for y in range(height):
        _blur(maps, (y + RADIUS) * row, row, taps, line, row)
        _blur(line, pad, channels, taps, smooth, row - 2 * pad)
        base = (y + RADIUS) * own + pad
        total += _row_similarity(smooth, width, length, scale, slopes[base:base + length],
                                 slopes[base + width:base + width + length], slopes[base + 2 * width:base + 2 * width + length])
    if scale == 0:
        return total
    w, two = np.uint64(width), a.dtype.type(2)
    for y in range(height):
        _blur(slopes, (y + RADIUS) * own, own, taps, line, own)
        _blur(line, pad, channels, taps, smooth, own - 2 * pad)
        x, z, out = a[y], b[y], gradient[y]
        for i in range(np.uint64(length)):
            out[i] += smooth[i] + two * x[i] * smooth[i + w] + z[i] * smooth[i + w * U2]
    return total


@compiled(fastmath=True)
def distance(a, b, scale, gradient):
    """Sum of |a - b| and of its square; fills `gradient` with `scale` times the derivative of the first by a. All [H, L]."""
    total = squares = 0.0
    zero = a.dtype.type(0)
    for y in range(a.shape[0]):
        x, z, out = a[y], b[y], gradient[y]
        row = square = zero
        for i in range(a.shape[1]):
            d = x[i] - z[i]
            row += abs(d)
            square += d * d
            out[i] = scale if d > zero else (-scale if d < zero else zero)
        total += row
        squares += square
    return total, squares


@compiled(fastmath=True)
def compose(rgb, alpha, image, code, clear, drawn, wanted):
    """Fills `drawn` and `wanted` [h, w, 3], what is compared: the render and the frame, over a colour.

    Args:
        rgb [h, w, 3] weighted by alpha [h, w], image uint8 [h, w, 3], clear [3].
        code: uint8 [h, w]; SHOWN: the frame is wanted, the colour elsewhere; HIDDEN: the colour in both.
    """
    unit = rgb.dtype.type(1 / 255)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            kind, through = code[y, x], 1 - alpha[y, x]
            for k in range(3):
                hidden = kind & HIDDEN
                drawn[y, x, k] = clear[k] if hidden else rgb[y, x, k] + clear[k] * through
                wanted[y, x, k] = image[y, x, k] * unit if kind & SHOWN and not hidden else clear[k]


@compiled
def masks(drawn, wanted, alpha, code):
    """Where DETAIL, the sum of |difference| and the pixels; and how far alpha is from 1 where OPAQUE, from 0 elsewhere."""
    detail = lacking = 0.0
    count = 0
    for y in range(code.shape[0]):
        for x in range(code.shape[1]):
            if code[y, x] & DETAIL:
                count += 1
                for k in range(3):
                    detail += abs(drawn[y, x, k] - wanted[y, x, k])
            lacking += 1 - alpha[y, x] if code[y, x] & OPAQUE else alpha[y, x]
    return detail, count, lacking


@compiled(fastmath=True)
def uncompose(drawn, wanted, code, clear, detail, opaque, gradient, g_alpha):
    """Turns the gradient by `drawn` [h, w, 3] into that by the render's rgb, in place, and fills g_alpha [h, w].

    Args:
        detail, opaque: derivatives of the loss by |difference| where DETAIL, and by 1 - alpha where OPAQUE.
    """
    zero = gradient.dtype.type(0)
    for y in range(code.shape[0]):
        for x in range(code.shape[1]):
            kind, through = code[y, x], zero
            for k in range(3):
                g = gradient[y, x, k]
                if kind & DETAIL:
                    d = drawn[y, x, k] - wanted[y, x, k]
                    g += detail if d > zero else (-detail if d < zero else zero)
                if kind & HIDDEN:
                    g = zero
                gradient[y, x, k] = g
                through += g * clear[k]
            g_alpha[y, x] = (-opaque if kind & OPAQUE else opaque) - through
