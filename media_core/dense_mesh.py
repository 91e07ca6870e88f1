"""The dense face mesh that a track of 68 points may carry: 478 points with irises, which must never contradict the 68.

A mesh is float32 [T, 478, 3]: px of the track's image, x right, y down, z smaller = nearer in the same unit, NaN in frames
without a measured face. An hour at 25 frames per second takes 516 MB.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .blocks import blocks
from .errors import TalkingHeadsError
from .subject.layout import JAW_LINE, POINTS_17_TO_67

ROW = (478, 3)  # of a frame
_JAW = 17       # points spaced along the mesh's edge; the other 51 are mesh points
_MIDDLE = JAW_LINE.index(152)
_SAME = 0.05    # px: points nearer than this are where the mesh has them
_JAW_SAME = 0.02  # of the face's width, for the jaw: its spacing changes when the mesh is moved or mixed


def fitting_mesh(mesh: np.ndarray | None, points: np.ndarray) -> bool:  # float32 [T, 478, 3], float32 [T, 68, 2 or 3]
    """Whether the mesh has these 68 points in every frame that it knows. True for no mesh.

    Raises:
        TalkingHeadsError: something else than a mesh.
    """
    if mesh is None:
        return True
    if mesh.ndim != 3 or mesh.shape[1:] != ROW or mesh.dtype != np.float32:
        raise TalkingHeadsError("A track's mesh must be float32 [T, 478, 3]", f"{mesh.dtype} {list(mesh.shape)}",
                                "Leave the mesh out, or track the face again")
    if len(mesh) != len(points):
        return False
    return all(_fitting(mesh[rows], points[rows]) for rows in blocks(len(mesh)))


def _fitting(mesh: np.ndarray, points: np.ndarray) -> bool:  # [T, 478, 3], [T, 68, 2 or 3]
    own = mesh[:, POINTS_17_TO_67, :2]
    known = np.isfinite(own).all(axis=(1, 2))
    if not known.any():
        return True
    own, there = own[known], points[known][..., :2]
    reach = _JAW_SAME * np.ptp(there[:, :, 0], axis=1) + _SAME
    if not np.abs(own - there[:, _JAW:]).max() <= _SAME:
        return False
    return bool((np.abs(_jaw(mesh[:, JAW_LINE][known])[..., :2] - there[:, :_JAW]).max(axis=(1, 2)) <= reach).all())


def jaw_points(mesh: np.ndarray) -> np.ndarray:  # [T, 478, 3] -> float64 [T, 17, 3]
    """The jaw of the 68 points: evenly spaced by length along either side of the mesh's edge, as `layout.to_68` does it."""
    return _jaw(mesh[:, JAW_LINE])


def _jaw(line: np.ndarray) -> np.ndarray:  # [T, 23, 3] -> float64 [T, 17, 3]
    line = line.astype(np.float64)
    right, left = _evenly(line[:, :_MIDDLE + 1]), _evenly(line[:, _MIDDLE:])
    return np.concatenate([right, left[:, 1:]], axis=1)


def _evenly(line: np.ndarray) -> np.ndarray:  # [T, n, 3] -> [T, 9, 3]
    steps, way = _way(line)
    wanted = way[:, -1:] * np.arange(9) / 8
    before = np.clip((way[:, None, 1:] <= wanted[..., None]).sum(-1), 0, line.shape[1] - 2)  # the piece each lies in
    start, length = np.take_along_axis(way, before, 1), np.take_along_axis(steps, before, 1)
    part = (wanted - start) / np.maximum(length, 1e-12)
    a = np.take_along_axis(line, before[..., None], 1)
    b = np.take_along_axis(line, before[..., None] + 1, 1)
    return a + (b - a) * part[..., None]


def _way(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [T, n, 3] -> [T, n - 1], [T, n]
    """The lengths between points, and along them from the first."""
    steps = np.linalg.norm(np.diff(line, axis=1), axis=-1)
    return steps, np.concatenate([np.zeros((len(line), 1)), np.cumsum(steps, axis=1)], axis=1)


def placed_mesh(mesh: np.ndarray | None, place: Callable[[np.ndarray], np.ndarray], scale: float) -> np.ndarray | None:
    """The mesh in another image, such as a crop.

    Args:
        mesh: float32 [T, 478, 3], None: none.
        place: [T, 478, 2] px of the old image -> px of the new one, which is `scale` times as large.
    """
    if mesh is None:
        return None
    out = np.empty(mesh.shape, np.float32)
    for rows in blocks(len(mesh)):
        out[rows] = np.concatenate([place(mesh[rows, :, :2]), mesh[rows, :, 2:] * scale], axis=-1)
    return out


def moved_mesh(mesh: np.ndarray | None, before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """The mesh of points that were moved a little, as by smoothing: what the 68 are taken from moves along, all else stays.

    Args:
        mesh: float32 [T, 478, 3]; None: none.
        before, after: [T, 68, 2] px.
    """
    if mesh is None:
        return None
    out, move = mesh.copy(), np.asarray(after, np.float32) - np.asarray(before, np.float32)
    for rows in blocks(len(mesh)):
        _move(out[rows], mesh[rows], move[rows])
    return out


def _move(out: np.ndarray, mesh: np.ndarray, move: np.ndarray) -> None:  # [T, 478, 3], the same, float32 [T, 68, 2]
    """Moves `out`, a copy of `mesh`."""
    known = np.flatnonzero(np.isfinite(mesh).all(axis=(1, 2)))
    out[known[:, None], np.asarray(POINTS_17_TO_67), :2] += move[known, _JAW:]
    for first, stop, points in ((0, _MIDDLE + 1, slice(0, 9)), (_MIDDLE, len(JAW_LINE), slice(8, 17))):
        part = np.asarray(JAW_LINE[first:stop])
        _, way = _way(mesh[known[:, None], part].astype(np.float64))
        place = way / np.maximum(way[:, -1:], 1e-12) * 8  # among the jaw's nine points of this side
        low = np.minimum(place.astype(int), 7)
        jaw = move[known, points]
        a, b = (np.take_along_axis(jaw, (low + step)[..., None], 1) for step in (0, 1))
        skip = 1 if first else 0  # the chin has moved with the first side
        out[known[:, None], part[skip:], :2] += (a + (b - a) * (place - low)[..., None])[:, skip:].astype(np.float32)
