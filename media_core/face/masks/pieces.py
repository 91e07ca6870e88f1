"""Connected pieces of masks, in numba: runs of pixels in a row are joined with those of the row above.

One call for what takes OpenCV a label image and NumPy several passes over it, and Python's lock is not held meanwhile.
"""
from __future__ import annotations

import numpy as np

from ...jit import compiled


def touching(mask: np.ndarray, other: np.ndarray) -> np.ndarray:  # bool [H, W] each
    """The pieces of a mask that overlap another one."""
    return _touching(np.ascontiguousarray(mask).view(np.uint8), np.ascontiguousarray(other).view(np.uint8)).view(bool)


def crumbs(mask: np.ndarray, least: float) -> np.ndarray:  # bool [H, W]
    """The pieces of a mask that are smaller than `least` pixels."""
    return _crumbs(np.ascontiguousarray(mask).view(np.uint8), float(least)).view(bool)


@compiled
def _root(parent, run):
    """The first run of a run's piece; the way there becomes shorter."""
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def _joined(runs, above, begin, end):
    """Joins the runs begin..end of a row with those above..begin of the row above."""
    i, j = above, begin
    while i < begin and j < end:
        if runs[0, i] < runs[1, j] and runs[0, j] < runs[1, i]:
            a, b = _root(runs[3], i), _root(runs[3], j)
            runs[3, max(a, b)] = min(a, b)
        if runs[1, i] < runs[1, j]:
            i += 1
        else:
            j += 1


@compiled
def pieces(mask):
    """The runs of a mask, int32 [4, runs]: first column, the one behind the last, row, and the first run of the same piece.

    Args:
        mask: uint8 [H, W], contiguous; 4-connected.
    """
    height, width = mask.shape
    runs = np.empty((4, height * ((width + 1) // 2)), np.int32)
    count = above = 0
    for y in range(height):
        row, begin, x = mask[y], count, 0
        while x < width:
            if row[x]:
                runs[0, count] = x
                while x < width and row[x]:
                    x += 1
                runs[1, count], runs[2, count], runs[3, count] = x, y, count
                count += 1
            x += 1
        _joined(runs, above, begin, count)
        above = begin
    for run in range(count):
        runs[3, run] = runs[3, runs[3, run]]  # a first run comes before all others of its piece
    return runs[:, :count]


@compiled
def _drawn(runs, wanted, shape):
    """uint8 [H, W]: the runs whose piece is wanted."""
    out = np.zeros(shape, np.uint8)
    for run in range(runs.shape[1]):
        if wanted[runs[3, run]]:
            out[runs[2, run], runs[0, run]:runs[1, run]] = 1
    return out


@compiled
def _touching(mask, other):
    runs = pieces(mask)
    wanted = np.zeros(runs.shape[1], np.uint8)
    for run in range(runs.shape[1]):
        if wanted[runs[3, run]]:
            continue
        row = other[runs[2, run]]
        for x in range(runs[0, run], runs[1, run]):
            if row[x]:
                wanted[runs[3, run]] = 1
                break
    return _drawn(runs, wanted, mask.shape)


@compiled
def _crumbs(mask, least):
    runs = pieces(mask)
    area = np.zeros(runs.shape[1], np.int64)
    for run in range(runs.shape[1]):
        area[runs[3, run]] += runs[1, run] - runs[0, run]
    return _drawn(runs, (area < least).astype(np.uint8), mask.shape)


@compiled
def worn(mask, chin, low, inward):
    """The parts of a mask's pieces that are worn and do not hang: uint8 [H, W].

    Of a piece that is wider than high all of it, unless the image's edge cuts it off; of one that ends `low` pixels below the
    chin or deeper, and whose lowest fifth is on average less than `inward` pixels beside it, what is below the chin.

    Args:
        mask: uint8 [H, W], contiguous. chin: x and y, pixels.
    """
    height = mask.shape[0]
    runs = pieces(mask)
    box, beside = np.empty((4, runs.shape[1]), np.int32), np.zeros((2, runs.shape[1]), np.float64)
    for run in range(runs.shape[1]):  # left, the column behind the right, top, bottom
        own = runs[3, run]
        if own == run:
            box[0, own], box[1, own], box[2, own] = runs[0, run], runs[1, run], runs[2, run]
        box[0, own], box[1, own] = min(box[0, own], runs[0, run]), max(box[1, own], runs[1, run])
        box[3, own] = runs[2, run]
    for run in range(runs.shape[1]):
        own = runs[3, run]
        if runs[2, run] >= box[3, own] - (box[3, own] - box[2, own] + 1) // 5:
            count = runs[1, run] - runs[0, run]
            beside[0, own] += count
            beside[1, own] += count * ((runs[0, run] + runs[1, run] - 1) / 2 - chin[0])
    out = np.zeros(mask.shape, np.uint8)
    for run in range(runs.shape[1]):
        own = runs[3, run]
        across = box[1, own] - box[0, own] > box[3, own] - box[2, own] + 1 and box[3, own] < height - 1
        deep = box[3, own] > chin[1] + low and abs(beside[1, own]) < inward * beside[0, own]
        if across or deep and runs[2, run] >= chin[1]:
            out[runs[2, run], runs[0, run]:runs[1, run]] = 1
    return out
