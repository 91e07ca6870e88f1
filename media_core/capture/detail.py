"""How much fine detail an image has, in numba."""
from __future__ import annotations

import numpy as np

from ..jit import compiled


@compiled
def spreads(grey):
    """Standard deviations of an image's Laplacian (the edge's pixel not repeated beyond it) and of the image, uint8 [H, W]."""
    height, width = grey.shape
    detail, squared, total, square = 0, 0, 0, 0
    for y in range(height):
        above, own, below = grey[abs(y - 1)], grey[y], grey[y + 1 if y + 1 < height else max(height - 2, 0)]
        for x in range(width):
            left, right = own[abs(x - 1)], own[x + 1 if x + 1 < width else max(width - 2, 0)]
            value = np.int64(above[x]) + np.int64(below[x]) + np.int64(left) + np.int64(right) - 4 * np.int64(own[x])
            detail += value
            squared += value * value
            total += np.int64(own[x])
            square += np.int64(own[x]) * np.int64(own[x])
    count = height * width
    return np.sqrt(max(squared / count - (detail / count) ** 2, 0.0)), np.sqrt(max(square / count - (total / count) ** 2, 0.0))
