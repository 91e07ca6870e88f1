"""A few frames of a video, kept small while it is measured: in these the drawn mouth is read before the video is made."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..media_core.face.carrier.response import READINGS, Response, opening, response
from ..media_core.face.trackers import make_tracker
from ..media_core.subject.layout import to_68

_EYES = 110.0    # px between the outer corners of the eyes; larger faces are made smaller
_AROUND = .45    # of the face's size, kept around it


@dataclass(frozen=True)
class Look:
    """The face in one frame."""

    number: int          # of the frame
    picture: np.ndarray  # uint8 [h, w, 3], the face and what is around it
    mesh: np.ndarray     # float64 [478, 3] px of it


@dataclass
class Looks:
    """Frames spread evenly over a video of unknown length: every one at first, then every second, every fourth, ..."""

    kept: list[Look] = field(default_factory=list)
    _every: int = 1

    def add(self, frame: np.ndarray, mesh: np.ndarray, number: int) -> None:  # uint8 [H, W, 3], [478, 3] px
        if number % self._every:
            return
        self.kept.append(_look(frame, mesh, number))
        if len(self.kept) > 2 * READINGS:
            self._every *= 2
            self.kept = [look for look in self.kept if look.number % self._every == 0]


def seen_in_looks(looks: list[Look], asked: np.ndarray, drawn: Callable[[int, Look, float], np.ndarray]) -> Response | None:
    """How far a motion's openings are seen.

    Args:
        asked: [T] how far each row of the motion opens the mouth, distances of the outer eye corners.
        drawn: (row, look, factor) -> the look's picture with that row's mouth, its opening multiplied by the factor.
    """
    tracker = make_tracker("people")

    def read(row: int, reading: int, factor: float) -> float | None:
        look = looks[reading * len(looks) // READINGS]
        tracker.state = to_68(look.mesh)[:, :2].astype(np.float32)
        face = tracker(drawn(row, look, factor))
        return None if face is None or face.mesh is None else opening(face.mesh)

    return response(asked, read)


def _look(frame: np.ndarray, mesh: np.ndarray, number: int) -> Look:
    import cv2

    flat = mesh[:, :2]
    around = _AROUND * float(np.ptp(flat, axis=0).max())
    height, width = frame.shape[:2]
    left, top = np.clip(np.floor(flat.min(0) - around), 0, [width - 1, height - 1]).astype(int).tolist()
    right, bottom = np.clip(np.ceil(flat.max(0) + around), [left + 1, top + 1], [width, height]).astype(int).tolist()
    part, points = frame[top:bottom, left:right], mesh.astype(np.float64) - [left, top, 0]
    scale = _EYES / max(float(np.linalg.norm(mesh[33] - mesh[263])), 1e-6)
    if scale >= 1:
        return Look(number, part.copy(), points)
    high, wide = (max(1, round(scale * side)) for side in part.shape[:2])
    across, down = wide / part.shape[1], high / part.shape[0]
    points[:, :2] = (points[:, :2] + .5) * [across, down] - .5
    points[:, 2] *= scale
    return Look(number, cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA), points)
