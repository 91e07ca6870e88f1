"""Blendshapes as linear displacements of a face's points, under ARKit's names (docs/capture.md#blendshapes-from-the-mesh).

Not the output of any blendshape network: each shape is a weighted sum of how far some points have moved from the person's rest,
over the displacement that counts as full, and never below 0. What points cannot show (gaze, for instance) stays 0.
"""
from __future__ import annotations

import numpy as np

from ...blocks import blocks
from ...errors import TalkingHeadsError
from .blendshapes import BLENDSHAPES

CHEEKS = (50, 280)  # of the mesh: right, left; points 68 and 69 here
RIGID = (27, 28, 29, 30, 36, 39, 42, 45)  # nose bridge and eye corners: these move with the head
OUTER_CORNERS = (36, 45)  # of the eyes: their distance is the unit of length
RESTING = 0.2  # fraction of the frames, those with the smallest lip gap, whose mean is the rest
LOWER_FACE = tuple(i for i, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth", "noseSneer", "cheekPuff")))
_SIDES = {"Left": 1.0, "Right": -1.0}  # of the person, whose left is at +x
_MIRRORED = {54: 48, 52: 50, 63: 61, 65: 67, 56: 58, 35: 31, 69: 68, 24: 19, 25: 18, 22: 21, 43: 38, 44: 37, 46: 41, 47: 40}
# shape -> (full displacement over the distance of the outer eye corners, {point: (x, y, z) weights}); x right, y up, z forward.
# Names without a side are given for the left and mirrored for the right.
_MIDDLE: dict[str, tuple[float, dict[int, tuple[float, float, float]]]] = {
    "jawOpen": (0.35, {8: (0, -1, 0)}), "jawForward": (0.1, {8: (0, 0, 1)}),
    "mouthClose": (0.3, {8: (0, -1, 0), 62: (0, -1, 0), 66: (0, 1, 0)}),
    "mouthFunnel": (0.1, {51: (0, 0, 0.5), 57: (0, 0, 0.5)}),
    "mouthPucker": (0.25, {54: (-1, 0, 0), 48: (1, 0, 0)}),
    "mouthRollUpper": (0.05, {51: (0, -1, 0), 62: (0, 1, 0)}), "mouthRollLower": (0.05, {66: (0, -1, 0), 57: (0, 1, 0)}),
    "mouthShrugUpper": (0.06, {51: (0, 1, 0)}), "mouthShrugLower": (0.06, {57: (0, 1, 0)}),
    "browInnerUp": (0.12, {21: (0, 0.5, 0), 22: (0, 0.5, 0)})}
_SIDED: dict[str, tuple[float, dict[int, tuple[float, float, float]]]] = {
    "jaw": (0.1, {8: (1, 0, 0)}), "mouth": (0.1, {51: (0.5, 0, 0), 57: (0.5, 0, 0)}),
    "mouthSmile": (0.15, {54: (0.7, 0.7, 0)}), "mouthFrown": (0.1, {54: (0, -1, 0), 51: (0, 0.5, 0), 57: (0, 0.5, 0)}),
    "mouthDimple": (0.08, {54: (0, 0, -1)}), "mouthStretch": (0.12, {54: (1, 0, 0)}),
    "mouthUpperUp": (0.08, {52: (0, 1, 0)}), "mouthLowerDown": (0.2, {56: (0, -1, 0)}),
    "mouthPress": (0.08, {52: (0, -1, 0), 63: (0, 1, 0), 65: (0, -1, 0), 56: (0, 1, 0)}),
    "noseSneer": (0.05, {35: (0, 1, 0)}), "cheekPuff": (0.05, {69: (0.7, 0, 0.7)}),
    "browDown": (0.1, {24: (0, -1, 0)}), "browOuterUp": (0.12, {25: (0, 1, 0)}),
    "eyeBlink": (0.1, {43: (0, -0.5, 0), 44: (0, -0.5, 0), 46: (0, 0.5, 0), 47: (0, 0.5, 0)}),
    "eyeWide": (0.05, {43: (0, 0.5, 0), 44: (0, 0.5, 0)}), "eyeSquint": (0.04, {46: (0, 0.5, 0), 47: (0, 0.5, 0)})}


def shapes_of_mesh(mesh: np.ndarray, camera_to_head: np.ndarray) -> np.ndarray:  # -> float32 [T, 52]
    """Shapes of a tracked mesh.

    Args:
        mesh: [T, 478, 3] px, x right, y down, z smaller = nearer; NaN rows where no face was measured, which stay NaN.
        camera_to_head: [T, 4, 4] OpenGL camera to head; the rotation is used, perspective is not.
    Raises:
        TalkingHeadsError: other shapes, or no measured frame.
    """
    if mesh.ndim != 3 or mesh.shape[1:] != (478, 3) or camera_to_head.shape != (len(mesh), 4, 4):
        raise TalkingHeadsError("Blendshapes need a mesh [T, 478, 3] and one pose per frame",
                                f"{list(mesh.shape)} and {list(camera_to_head.shape)}", "Measure the video again")
    points = np.empty((len(mesh), 70, 3), np.float32)
    for rows in blocks(len(mesh)):
        own = np.stack([_points(frame) for frame in mesh[rows].astype(np.float64)])
        points[rows] = (own * [1, -1, -1]) @ camera_to_head[rows, :3, :3].transpose(0, 2, 1)
    return shapes_of_points(points)


def _points(mesh: np.ndarray) -> np.ndarray:  # [478, 3] -> [70, 3]: the 68, and both cheeks
    from ...subject.layout import to_68

    return np.concatenate([to_68(mesh), mesh[list(CHEEKS)]])


def shapes_of_points(points: np.ndarray) -> np.ndarray:  # -> float32 [T, 52] in the order of BLENDSHAPES
    """Shapes of points that already look to the front.

    Args:
        points: [T, 68 or 70, 3] x right in the image (the person's left), y up, z forward, any unit; the last two: cheeks.
    Raises:
        TalkingHeadsError: another shape, or no frame is finite.
    """
    known = np.isfinite(points).all((1, 2)) if points.ndim == 3 else np.zeros(0, bool)
    if points.ndim != 3 or points.shape[1] not in (68, 70) or points.shape[2] != 3 or not known.any():
        raise TalkingHeadsError("Blendshapes need 68 points (or 70, with the cheeks) in 3-D in at least one frame",
                                f"{list(points.shape)}, {int(known.sum())} frames known", "Measure the video again")
    if points.shape[1] == 68:
        points = np.concatenate([points, np.zeros_like(points[:, :2])], axis=1)
    steady = points - points[:, list(RIGID)].mean(1, keepdims=True)
    apart = np.linalg.norm(np.diff(steady[known][:, list(OUTER_CORNERS)], axis=1), axis=-1)
    steady = steady / np.median(apart)
    gap = np.where(known, steady[:, 62, 1] - steady[:, 66, 1], np.inf)
    rest = np.argsort(gap, kind="stable")[:max(1, round(RESTING * known.sum()))]
    moved = (steady - steady[rest].mean(0)).reshape(len(points), -1)
    return np.maximum(moved @ _weights().T, 0).astype(np.float32)


def _weights() -> np.ndarray:  # [52, 70 * 3]
    weights = np.zeros((len(BLENDSHAPES), 70, 3))
    for name, (full, terms) in _MIDDLE.items():
        for point, direction in terms.items():
            weights[BLENDSHAPES.index(name), point] = np.array(direction) / full
    for name, (full, terms) in _SIDED.items():
        for side, sign in _SIDES.items():
            row = name if name in BLENDSHAPES else f"{name}{side}"
            part = 0.5 if row == name else 1.0  # cheekPuff has one shape for both
            for point, direction in terms.items():
                there = point if sign > 0 else _MIRRORED.get(point, point)
                weights[BLENDSHAPES.index(row), there] += part * np.array(direction) * [sign, 1, 1] / full
    return weights.reshape(len(BLENDSHAPES), -1)
