"""The mesh of a face in a still image: measured, or brought onto points that are known better."""
from __future__ import annotations

import numpy as np

from ...errors import TalkingHeadsError
from ..trackers import make_tracker, still_landmarks
from .snapping import snapped

MESH, POINTS = 478, 68
_LEAST, _INSIDE = 4, .5  # px across a face; fraction of its points that lie in the image
_GIVE = "Give the points of one face of this image, or none to have them found"


def still_mesh(image: np.ndarray, *, landmarks: np.ndarray | None = None, tracker: str = "people",
               face_index: int = 0) -> np.ndarray:  # -> float64 [478, 3] px
    """The mesh of one face.

    Args:
        image: uint8 [H, W, 3].
        landmarks: a mesh [478, 3] px, or the 68 points [68, 2 or 3] px, which the mesh then has exactly; None: measured.
        tracker: "people"; "rendered": the 68 points of that tracker.
        face_index: which of several faces, the largest first; with `landmarks` they say which.
    Raises:
        TalkingHeadsError: no such face, or landmarks that are none or lie outside the image.
    """
    if landmarks is None:
        face = still_landmarks(tracker, image, face_index=face_index)
        if face.mesh is not None:
            return np.asarray(face.mesh, np.float64)
        return mesh_at(image, np.asarray(face.points, np.float64))
    given = _checked(landmarks, (image.shape[0], image.shape[1]))
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


def _checked(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    points = np.asarray(landmarks, np.float64)
    fits = points.ndim == 2 and (points.shape == (MESH, 3) or (len(points) == POINTS and points.shape[1] in (2, 3)))
    if not fits or not np.isfinite(points).all():
        raise TalkingHeadsError("A portrait's landmarks must be a face's 68 points [68, 2] or its mesh [478, 3], finite, in px",
                                f"{list(points.shape)}" + (" with NaN or inf" if fits else ""), _GIVE)
    across = float(np.ptp(points[:, :2], axis=0).min())
    if across < _LEAST:
        raise TalkingHeadsError(f"A portrait's face must be {_LEAST} px or more across", f"landmarks of {across:.3g} px", _GIVE)
    inside = float(((points[:, :2] >= -.5) & (points[:, :2] < [size[1] - .5, size[0] - .5])).all(1).mean())
    if inside < _INSIDE:
        raise TalkingHeadsError(f"At least half of the face's points must lie in the image, {size[1]} x {size[0]} px",
                                f"{inside:.0%} of them", _GIVE)
    return points
