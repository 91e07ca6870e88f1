"""The lips' smooth outline and the colours between the lips, in numba."""
from __future__ import annotations

import numpy as np

from ...jit import compiled


@compiled
def natural_spline(at, points, where):
    """The cubic spline through points that does not bend at its ends: [n] ascending, [n, 2], [m] -> [m, 2]."""
    last = at.size - 1
    step, bend, share = at[1:] - at[:-1], np.zeros_like(points), np.zeros(last + 1)
    for i in range(1, last):  # the second derivatives: a system with three diagonals, solved downwards, then upwards
        below = step[i - 1] if i > 1 else 0.0
        pivot = 2 * (step[i - 1] + step[i]) - below * share[i - 1]
        share[i] = step[i] / pivot
        for k in range(2):
            turn = 6 * ((points[i + 1, k] - points[i, k]) / step[i] - (points[i, k] - points[i - 1, k]) / step[i - 1])
            bend[i, k] = (turn - below * bend[i - 1, k]) / pivot
    for i in range(last - 2, 0, -1):
        for k in range(2):
            bend[i, k] -= share[i] * bend[i + 1, k]
    out, i = np.empty((where.size, 2)), 0
    for m in range(where.size):
        while i < last - 1 and at[i + 1] <= where[m]:
            i += 1
        right = (where[m] - at[i]) / step[i]
        left, square = 1 - right, step[i] ** 2 / 6
        for k in range(2):
            out[m, k] = left * points[i, k] + right * points[i + 1, k] + square * (
                (left ** 3 - left) * bend[i, k] + (right ** 3 - right) * bend[i + 1, k])
    return out


@compiled
def lip_curve(points, count):
    """A smooth curve along a lip's points [n, 2], from the first to just before the last: [count, 2].

    Half way between a natural spline through them (over the length along them), which is round enough, and a cubic least-squares
    curve held at both ends, which noise of the points hardly moves.
    """
    last = len(points) - 1
    at = np.zeros(last + 1)
    for i in range(last):
        way = np.hypot(points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1])
        at[i + 1] = at[i] + max(way, 1e-6)
    at /= at[last]
    fine = np.arange(count) / count
    through = natural_spline(at, points, fine)
    squares, right = np.zeros(3), np.zeros((2, 2))  # of the least squares: two weights for each axis
    for i in range(last + 1):
        even = at[i] * (1 - at[i])
        odd = even * (2 * at[i] - 1)
        squares[0], squares[1], squares[2] = squares[0] + even * even, squares[1] + even * odd, squares[2] + odd * odd
        for k in range(2):
            rest = points[i, k] - points[0, k] - at[i] * (points[last, k] - points[0, k])
            right[0, k] += even * rest
            right[1, k] += odd * rest
    whole = squares[0] * squares[2] - squares[1] ** 2
    for m in range(count):
        even = fine[m] * (1 - fine[m])
        odd = even * (2 * fine[m] - 1)
        for k in range(2):
            first = (squares[2] * right[0, k] - squares[1] * right[1, k]) / whole
            second = (squares[0] * right[1, k] - squares[1] * right[0, k]) / whole
            held = points[0, k] + fine[m] * (points[last, k] - points[0, k]) + even * first + odd * second
            through[m, k] = (through[m, k] + held) / 2
    return through


@compiled
def medians(image, part):
    """The median of each channel of an image (uint8 [H, W, 3]) in a part of it (uint8 [H, W]), float32 [3]; NaN of no pixels."""
    counts, total = np.zeros((3, 256), np.int64), 0
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            if part[y, x]:
                total += 1
                for k in range(3):
                    counts[k, image[y, x, k]] += 1
    out = np.full(3, np.nan, np.float32)
    if not total:
        return out
    for k in range(3):
        below, level, first = 0, -1, -1
        while below <= total // 2:
            level += 1
            below += counts[k, level]
            if first < 0 and below > (total - 1) // 2:
                first = level
        out[k] = (first + level) / 2
    return out


@compiled
def between_lips(lab, inner, core, lips, limits, coloured):
    """What of the inner lips' outline is mouth, and what of that teeth: uint8 [2, h, w].

    Args:
        lab: uint8 [h, w, 3]. inner, core: uint8 [h, w], in the outline, and surely so. lips: their brightness, and redness beyond
            grey. limits: brightness that is dark; redness that is surely pale; brightness; redness that is pale, and paler in dim
            light, which brightness is. coloured: the lips are red, so that what is paler can be teeth in the rim too.
    """
    light, red = lips
    dark, surely_pale, bright, pale, paler, dim = limits
    out = np.zeros((2, lab.shape[0], lab.shape[1]), np.uint8)
    for y in range(lab.shape[0]):
        for x in range(lab.shape[1]):
            if not (inner[y, x] or core[y, x]):
                continue
            level, redness = lab[y, x, 0] / max(light, 1.0), (lab[y, x, 1] - 128.0) / red
            own = core[y, x] or lab[y, x, 0] < dark * light or redness < surely_pale and level > bright
            tooth = redness < pale and level > bright or redness < paler and level > dim
            out[0, y, x] = own
            out[1, y, x] = tooth and (own if coloured else core[y, x])
    return out
