"""The slow twins of the masks' kernels: the same in NumPy, OpenCV and SciPy, a step at a time."""
from __future__ import annotations

import cv2
import numpy as np

SMOOTH = 1e-3
PAIRS = [(row, column) for row in range(3) for column in range(row, 3)]  # an upper triangle


def local(plane, window):
    return cv2.blur(plane, (window, window))


def statistics(colours, window):
    """`colour_statistics`."""
    means = [local(plane, window) for plane in colours]
    whole = np.zeros((*colours.shape[1:], 3, 3))
    for row, column in PAIRS:
        plane = local(colours[row] * colours[column], window) - means[row] * means[column] + SMOOTH * (row == column)
        whole[..., row, column] = whole[..., column, row] = plane
    inverse = np.linalg.inv(whole)
    return np.stack([*means, *(inverse[..., row, column] for row, column in PAIRS)])


def functions(mask, colours, window):
    """`linear_functions`, without the last smoothing's rounding."""
    found = statistics(colours, window)
    means, inverse = found[:3], np.zeros((*mask.shape, 3, 3))
    for plane, (row, column) in zip(found[3:], PAIRS):
        inverse[..., row, column] = inverse[..., column, row] = plane
    mean = local(mask, window)
    right = np.stack([local(plane * mask, window) - own * mean for plane, own in zip(colours, means)], -1)
    factors = np.moveaxis((inverse @ right[..., None])[..., 0], -1, 0)
    return np.stack([local(plane, window) for plane in (*factors, mean - (factors * means).sum(0))])


def enlarged(planes, size):
    """Each plane linearly between its pixels."""
    return np.stack([cv2.resize(np.asarray(plane, np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes])


def lip_curve(points, count):
    """`lip_curve`, with SciPy's spline and NumPy's least squares."""
    from scipy.interpolate import CubicSpline

    steps = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-6)
    at, fine = np.concatenate([[0], np.cumsum(steps)]) / steps.sum(), np.linspace(0, 1, count, endpoint=False)
    own, shown = (np.stack([t * (1 - t), t * (1 - t) * (2 * t - 1)], 1) for t in (at, fine))
    way = points[-1] - points[0]
    weights = np.linalg.lstsq(own, points - points[0] - at[:, None] * way, rcond=None)[0]
    return (CubicSpline(at, points, bc_type="natural")(fine) + points[0] + fine[:, None] * way + shown @ weights) / 2


def hidden(head, torso, face, neck_width, rise, shoulder):
    """`hidden`, by arrays of rows and columns."""
    (height, width), (middle, wide, chin) = head.shape, face
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    aside = np.abs(columns - np.float32(middle)) / np.float32(wide)
    top = np.where(torso.any(0), torso.argmax(0), height)
    bottom = np.where(torso.any(0), height - 1 - torso[::-1].argmax(0), -1)
    left = np.where(torso.any(1), torso.argmax(1), width)[:, None]
    right = np.where(torso.any(1), width - 1 - torso[:, ::-1].argmax(1), -1)[:, None]
    line = np.float32(chin) + np.float32(wide) * (np.float32(shoulder[0]) + np.float32(shoulder[1])
                                                 * np.maximum(aside - np.float32(neck_width), 0))
    below = rows <= bottom
    neck = head & below & (rows <= line) & (aside < neck_width) & (rows >= top - rise)
    return neck, head & (rows > line) & (below | (columns >= left) & (columns <= right))


def laid(frame, torso, neck, behind, painted, colours, fade):
    """`laid`: the whole layer painted, then cut out."""
    first = len(frame) - len(painted)
    smooth = np.moveaxis(enlarged(np.moveaxis(colours, -1, 0), painted.shape), 0, -1)
    top = np.where(torso.any(0), torso.argmax(0), len(torso))
    above = np.maximum(top - np.arange(len(frame))[first:, None], 0)
    light = np.where(neck[first:], fade[above], np.float32(1))
    out = frame.copy()
    out[first:] = np.where((painted > 0)[..., None], np.clip(np.rint(smooth * light[..., None]), 0, 255), out[first:])
    alpha = torso | behind
    return np.dstack([np.where(alpha[..., None], out, 0), alpha * np.uint8(255)])
