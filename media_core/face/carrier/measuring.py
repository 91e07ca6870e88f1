"""The mesh of a face in a still image: measured, or brought onto points that are known better."""
from __future__ import annotations

import numpy as np

from ...errors import TalkingHeadsError
from ..trackers import make_tracker, still_landmarks
from .snapping import snapped

MESH, POINTS = 478, 68


def still_mesh(image: np.ndarray, *, landmarks: np.ndarray | None = None, tracker: str = "people",
               face_index: int = 0) -> np.ndarray:  # -> float64 [478, 3] px
    """The mesh of one face.

    Args:
        image: uint8 [H, W, 3].
        landmarks: a mesh [478, 3] px, or the 68 points [68, 2 or 3] px, which the mesh then has exactly; None: measured.
        tracker: "people"; "rendered": the 68 points of that tracker.
        face_index: which of several faces, the largest first; with `landmarks` they say which.
    Raises:
        TalkingHeadsError: no such face, or landmarks that are none.
    """
    if landmarks is None:
        face = still_landmarks(tracker, image, face_index=face_index)
        if face.mesh is not None:
            return np.asarray(face.mesh, np.float64)
        return mesh_at(image, np.asarray(face.points, np.float64))
    given = _checked(landmarks)
    return given if len(given) == MESH else mesh_at(image, given[:, :2])


def mesh_at(image: np.ndarray, points: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3], [68, 2] px -> float64 [478, 3] px
    """The mesh of the face with these 68 points. Where the tracker sees none there, a mean face's mesh is laid over them."""
    tracker = make_tracker("people")
    tracker.state = np.asarray(points, np.float32)
    face = tracker(image)
    if face is not None and face.mesh is not None and _near(face.points, points):
        return snapped(face.mesh, points)
    from ..landmarks.mesh_fill import MeshFill

    return snapped(MeshFill()(points), points)


def _near(found: np.ndarray, points: np.ndarray) -> bool:
    """Whether a face found is the one of these points."""
    eyes = float(np.linalg.norm(points[36] - points[45]))
    return float(np.linalg.norm(found - points, axis=1).mean()) < .2 * eyes


def _checked(landmarks: np.ndarray) -> np.ndarray:
    points = np.asarray(landmarks, np.float64)
    fits = points.ndim == 2 and (points.shape == (MESH, 3) or (len(points) == POINTS and points.shape[1] in (2, 3)))
    if not fits or not np.isfinite(points).all() or np.ptp(points[:, :2], axis=0).min() < 4:
        raise TalkingHeadsError("A portrait's landmarks must be a face's 68 points [68, 2] or its mesh [478, 3], finite, in px",
                                f"{list(points.shape)}", "Give the points of one face, or none to have them found")
    return points
