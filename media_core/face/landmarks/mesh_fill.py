"""68 points made 478 again: the usual face mesh, put where a frame's 68 points say (the other way round: subject/layout.to_68).

51 of the points are mesh points; the jaw's 17 lie on the mesh's edge, evenly spaced by length in three dimensions. The rest
follows smoothly: the synthetic subject's mesh, its mouth half open, is laid over the 68 by an affine map, and what then is
missing to the known points is spread over the mesh by a kernel |x - y| in its own three dimensions (the biharmonic spline).
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...subject.layout import BROWS, EYES, JAW_LINE, LIPS, OVAL, POINTS_17_TO_67, SKIN, to_68
from ...subject.parameters import INDEX, PARAMS
from ...subject.portrait import load
from ...subject.rig import Outlines, Rig
from ...subject.triangulate import face_triangles
from ..geometry import STILLEST

POINTS = 478
IRISES = ((469, 470, 471, 472), (474, 475, 476, 477))  # rings of the subject's right and left eye; 468 and 473 their middles
NOSE_LINES = ((168, 6, 197, 195, 5, 4, 1, 19, 94, 2), (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64, 98))
_FOREHEAD = (10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 162, 151)  # keep the place that the rigid points give them
_HALF_OPEN = {"la": 8.0, "jaw": 7.0}  # lips apart, so that the upper and the lower one have places of their own
_KNOT = (0, .6, 1, 2, 2.5, 3, 4, 5, 6, 6.5, 7, 8)  # where the mesh points of half a jaw lie between its 9, from the chin outwards
_EYE_SPAN, _EYES_AT = 8.89, np.array([0, 2.66, 3.17])  # cm, the landmarker's metric head: outer eye corners apart, their middle
_VIEW = np.radians(63.0)  # upright angle of its camera
_AXES = np.array([1.0, -1.0, -1.0])  # x right, y down, z away and x right, y up, z to the viewer
_SMOOTH = 1e-9  # of the kernel's size, against a singular system


class MeshFill:
    """The mesh and how its points follow the known ones, ready for any number of frames."""

    def __init__(self) -> None:
        rig, points = _rig()
        open_ = np.zeros(len(PARAMS))
        for name, value in _HALF_OPEN.items():
            open_[INDEX[name]] = value
        self.mesh = np.vstack([rig.mesh(open_)[:SKIN], rig.rest[SKIN:POINTS]])  # [478, 3] x right, y down, z away
        self.photo = points  # [478, 3] the portrait's own, for the triangles
        self._rigid = to_68(self.mesh)[list(STILLEST)]
        self._known = [*JAW_LINE, *POINTS_17_TO_67, *_FOREHEAD]
        self._follow = _spline(self.mesh, self._known)  # [478, known]

    def __call__(self, points: np.ndarray) -> np.ndarray:  # [68, 2] px -> float64 [478, 3] px, z away from the viewer
        """One frame's mesh: `to_68` of it is `points` again."""
        linear, shift = self.placement(points)
        placed = self.mesh @ linear + shift
        jaw = self._jaw(points[:17], placed)
        move = np.zeros((len(self._known), 3))
        move[:len(jaw)] = jaw - placed[JAW_LINE]
        move[len(jaw):len(jaw) + 51, :2] = points[17:] - placed[POINTS_17_TO_67, :2]
        out = placed + self._follow @ move
        out[POINTS_17_TO_67, :2], out[JAW_LINE] = points[17:], jaw
        return out

    def placement(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [68, 2] px -> [3, 3], [3]
        """The affine map `mesh @ linear + shift` that brings the rigid points nearest, its third column (depth) as in a turn."""
        source, target = self._rigid, points[list(STILLEST)]
        middle, there = source.mean(0), target.mean(0)
        flat = np.linalg.lstsq(source - middle, target - there, rcond=1e-6)[0]  # [3, 2]
        normal = np.cross(flat[:, 0], flat[:, 1])
        linear = np.column_stack([flat, normal / max(float(np.sqrt(np.linalg.norm(normal))), 1e-12)])
        return linear, np.array([*there, 0.0]) - middle @ linear

    def head_matrix(self, points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:  # [68, 2] px -> float32 [4, 4]
        """Roughly the `transformation_matrix` of ComfyUI's face landmarker: its metric head in cm to a camera of 63 degrees
        upright view (OpenGL axes), from the same affine map, so without perspective."""
        linear, shift = self.placement(points)
        u, size, v = np.linalg.svd(linear.T)
        corners = self.mesh[[33, 263]]
        scale = float(size.mean())
        centimetre = float(np.linalg.norm(corners[1] - corners[0])) / _EYE_SPAN  # mesh units
        origin = corners.mean(0) - _AXES * _EYES_AT * centimetre
        at = origin @ linear + shift
        (height, width), pixels = image_size, max(scale * centimetre, 1e-9)  # px per cm
        out = np.eye(4, dtype=np.float32)
        out[:3, :3] = _AXES[:, None] * (u @ v) * _AXES
        out[:3, 3] = ((at[0] - width / 2) / pixels, (height / 2 - at[1]) / pixels, -height / 2 / np.tan(_VIEW / 2) / pixels)
        return out

    def _jaw(self, points: np.ndarray, placed: np.ndarray) -> np.ndarray:  # [17, 2], [478, 3] -> [23, 3]
        """The mesh's edge through the jaw's points. Depth makes the way between them equally long on either side of the chin,
        which is what `to_68` divides; its sign and, as far as the image allows, its size are those of the placed mesh."""
        chin = placed[152, 2]
        right = _half(points[8::-1], placed[JAW_LINE[0], 2] - chin) + [0, 0, chin]  # from the chin outwards
        left = _half(points[8:], placed[JAW_LINE[-1], 2] - chin) + [0, 0, chin]
        sides = [np.stack([np.interp(_KNOT, np.arange(9), axis) for axis in side.T], 1) for side in (right, left)]
        return np.vstack([sides[0][::-1], sides[1][1:]])


def connection_sets(mesh: MeshFill) -> dict[str, frozenset[tuple[int, int]]]:
    """Which points are joined by lines, under the names that ComfyUI's nodes ask for. The wireframe ("tesselation") is our own
    triangulation."""
    triangles = face_triangles(mesh.photo[:SKIN])
    wire = {(int(a), int(b)) for i in range(3) for a, b in zip(triangles[:, i], triangles[:, (i + 1) % 3])}
    sets = {"face_oval": _ring(OVAL), "lips": _ring(LIPS[0]) | _ring(LIPS[3]), "right_eye": _ring(EYES[0]),
            "left_eye": _ring(EYES[1]), "right_eyebrow": _lines(BROWS[0]), "left_eyebrow": _lines(BROWS[1]),
            "right_iris": _ring(IRISES[0]), "left_iris": _ring(IRISES[1]), "nose": _lines(NOSE_LINES)}
    sets["irises"] = sets["right_iris"] | sets["left_iris"]
    sets["contours"] = frozenset().union(*(sets[part] for part in (
        "face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips")))
    sets["all"] = sets["contours"] | sets["irises"] | sets["nose"]
    sets["tesselation"] = frozenset(wire)
    return sets


def _rig() -> tuple[Rig, np.ndarray]:  # and float64 [478, 3] photo pixels
    portrait = load()
    return Rig(Outlines(portrait.points, portrait.points, portrait.hair)), portrait.points


def _half(points: np.ndarray, deep: float) -> np.ndarray:  # [9, 2] from the chin outwards -> [9, 3]
    """Depth relative to the chin that makes all eight pieces equally long; about `deep` at the ear."""
    length = (np.diff(points, axis=0) ** 2).sum(1)
    whole = max(float(length.max()), float(length.mean()) + (deep / len(length)) ** 2)
    steps = np.sqrt(np.maximum(whole - length, 0))
    return np.column_stack([points, np.concatenate([[0], np.cumsum(steps)]) * (1 if deep >= 0 else -1)])


def _spline(mesh: np.ndarray, known: list[int]) -> np.ndarray:  # [N, 3] -> [N, known]
    """How every point follows the known ones: the interpolating spline of kernel |x - y| with a linear part."""
    scale = np.ptp(mesh, axis=0).max()
    places = (mesh - mesh.mean(0)) / scale
    centres = places[known]

    def rows(at: np.ndarray) -> np.ndarray:
        kernel = np.sqrt(((at[:, None] - centres) ** 2).sum(-1))
        return np.column_stack([kernel, np.ones(len(at)), at])

    system = np.zeros((len(known) + 4, len(known) + 4))
    system[:len(known)] = rows(centres)
    system[len(known):, :len(known)] = system[:len(known), len(known):].T
    system[range(len(known)), range(len(known))] -= _SMOOTH
    right = np.vstack([np.eye(len(known)), np.zeros((4, len(known)))])
    return rows(places) @ np.linalg.solve(system, right)


def _ring(points: Iterable[int]) -> frozenset[tuple[int, int]]:
    ring = [int(point) for point in points]
    return frozenset(zip(ring, ring[1:] + ring[:1]))


def _lines(lines: Iterable[Iterable[int]]) -> frozenset[tuple[int, int]]:
    return frozenset((int(a), int(b)) for line in lines for a, b in zip(list(line), list(line)[1:]))
