"""What rendering without gradients does to a branch's Gaussians before they are projected, and which part of the image they
cover then: one pass each over arrays that stay in a core's cache. Kernels; twins in torch: `GaussianField.deformed`."""
from __future__ import annotations

import math

import numpy as np

from .jit import compiled

SURE = 20.0    # raw scales above which softplus is the identity, as in torch
SMALL = -4.0   # below it five terms of log1p's series are exact in float32


@compiled(inline="always")
def _softplus(x):
    if x > SURE:
        return x
    e = math.exp(x)
    if x > SMALL:
        return math.log1p(e)
    one = e / e
    return e * (one - e * (one / 2 - e * (one / 3 - e * (one / 4 - e / 5))))


@compiled
def moved(points, offsets, units, scale_at, xyz, rotation, scaling, mean, quat, scale):
    """Moves the Gaussians `points` int32 [M]; the rest of mean, quat, scale stays as it is.

    Args:
        offsets: [M, >= 3] a row for each: of xyz, and, unless scale_at < 0, of the raw rotation in columns 3 to 6 and of the raw
            scale from column `scale_at` on.
        units: [5] that the offsets of x, y, z, rotation and scale are in.
        xyz [N, 3], rotation [N, 4], scaling [N, 3]: raw parameters.
    Fills: mean [N, 3], quat [N, 4] of any length, scale [N, 3].
    """
    for m in range(points.shape[0]):
        n = points[m]
        for k in range(3):
            mean[n, k] = xyz[n, k] + units[k] * offsets[m, k]
        if scale_at >= 0:
            for k in range(4):
                quat[n, k] = rotation[n, k] + units[3] * offsets[m, 3 + k]
            for k in range(3):
                scale[n, k] = _softplus(scaling[n, k] + units[4] * offsets[m, scale_at + k])


@compiled
def hide(mean, view, middle, spread, beyond, within, radius):
    """Radii [N, 2] of what lies behind the inside of the mouth become 0; the twin in torch is `model.hidden.hidden`.

    Args:
        mean [N, 3], view [4, 4] world to camera; middle [3], spread [3, 3], of the mouth; beyond, within: bounds.
    """
    centre, seen = np.zeros(3, mean.dtype), np.zeros((2, 2), mean.dtype)
    for i in range(3):
        centre[i] = view[i, 3]
        for k in range(3):
            centre[i] += view[i, k] * middle[k]
            for j in range(3):
                if i < 2 and j < 2:
                    for m in range(3):
                        seen[i, j] += view[i, k] * spread[k, m] * view[j, m]
    area = seen[0, 0] * seen[1, 1] - seen[0, 1] * seen[1, 0]
    for n in range(mean.shape[0]):
        z = view[2, 0] * mean[n, 0] + view[2, 1] * mean[n, 1] + view[2, 2] * mean[n, 2] + view[2, 3]
        if z > centre[2] + beyond:
            scale = centre[2] / z
            x = scale * (view[0, 0] * mean[n, 0] + view[0, 1] * mean[n, 1] + view[0, 2] * mean[n, 2] + view[0, 3]) - centre[0]
            y = scale * (view[1, 0] * mean[n, 0] + view[1, 1] * mean[n, 1] + view[1, 2] * mean[n, 2] + view[1, 3]) - centre[1]
            if seen[1, 1] * x * x - (seen[0, 1] + seen[1, 0]) * x * y + seen[0, 0] * y * y < within * area:
                radius[n, 0], radius[n, 1] = 0, 0


@compiled
def covered(splat, radius, reach, width, height):
    """The box of the image (row, column, rows, columns; 0 rows: nothing) in which something is drawn, `reach` px larger.

    The splats [N, 8] are moved into it."""
    left, top, right, bottom = width, height, 0, 0
    for n in range(splat.shape[0]):
        if radius[n, 0] > 0 and radius[n, 1] > 0:
            left = min(left, int(math.floor(splat[n, 0] - splat[n, 6])))
            top = min(top, int(math.floor(splat[n, 1] - splat[n, 7])))
            right = max(right, int(math.ceil(splat[n, 0] + splat[n, 6])))
            bottom = max(bottom, int(math.ceil(splat[n, 1] + splat[n, 7])))
    left, top = max(left - reach, 0), max(top - reach, 0)
    right, bottom = min(right + reach, width), min(bottom + reach, height)
    if right <= left or bottom <= top:
        return 0, 0, 0, 0
    for n in range(splat.shape[0]):
        splat[n, 0] -= left
        splat[n, 1] -= top
    return top, left, bottom - top, right - left


@compiled
def expanded(mean, components, weights, out):
    """out = mean + weights @ components: out, mean float32 [P], components int8 [K, P], weights float32 [K]."""
    block, flt = 2048, mean.dtype.type
    for begin in range(0, mean.shape[0], block):
        end = min(begin + block, mean.shape[0])
        for i in range(begin, end):
            out[i] = mean[i]
        for k in range(components.shape[0]):
            w = weights[k]
            for i in range(begin, end):
                out[i] += w * flt(components[k, i])
