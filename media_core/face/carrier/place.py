"""Where a face's mesh stands in its image, and the way between the image's pixels and the face's own units.

The face's frame ("canonical" in `media_core.subject.rig`): 60.64 units between the outer corners of the eyes (the rig's photo
pixels), origin between the ears, x to the subject's left, y down, z away from the viewer.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...subject.layout import SKIN
from ...subject.rig import _frame as frame_of
from ...subject.rig import turn

UNIT = 60.64        # units between the outer corners of the eyes
DISTANCE = 520.0    # units from the camera to the face, for the change of perspective of a turned head
JOINT = np.array([0, 34.0, 6.0])  # the neck, which the head turns about; units of the face's frame
_OUTER, _CHEEKS, _NOSE = (33, 263), (234, 454), 1
_NOSE_BASE = [2, 97, 326]


def smooth(x: np.ndarray | float) -> np.ndarray:
    """0 below 0, 1 above 1, without a corner between."""
    x = np.clip(np.asarray(x), 0, 1)
    return x * x * (3 - 2 * x)


@dataclass(frozen=True)
class Turn:
    """A movement of the head from where the image shows it."""

    rotation: np.ndarray  # float64 [3, 3] about the neck, in the image's axes (x right, y down, z away)
    shift: np.ndarray     # float64 [3] units

    @classmethod
    def of(cls, yaw: float, pitch: float, roll: float, shift: np.ndarray | tuple[float, float, float] = (0, 0, 0)) -> Turn:
        """Angles in radians, the shift in units: right, down, away."""
        return cls(turn(yaw, pitch, roll), np.asarray(shift, np.float64))

    @property
    def still(self) -> bool:
        return bool((self.rotation == np.eye(3)).all() and not self.shift.any())


@dataclass(frozen=True)
class Place:
    """A mesh in its image: px = origin + axes X / k, weak perspective."""

    axes: np.ndarray    # float64 [3, 3], columns: the face's axes in the image
    origin: np.ndarray  # float64 [3] px
    k: float            # units per px
    own: np.ndarray     # float64 [468, 3] units, the face as this image shows it

    @classmethod
    def of(cls, mesh: np.ndarray) -> Place:  # [>= 468, 3] px
        mesh = np.asarray(mesh, np.float64)
        axes, origin = frame_of(mesh)
        k = UNIT / max(float(np.linalg.norm(mesh[_OUTER[0]] - mesh[_OUTER[1]])), 1e-6)
        return cls(axes, origin, k, ((mesh - origin) @ axes * k)[:SKIN])

    @property
    def pixel(self) -> float:
        """Px per unit."""
        return 1 / self.k

    def pixels(self, points: np.ndarray, turned: Turn | None = None) -> np.ndarray:  # [N, 3] units -> [N, 3] px and depth
        """Where points of the face lie in the image, with the head turned or not."""
        seen = points @ self.axes.T
        if turned is not None:
            seen = self.turned(seen, turned)
        return seen / self.k + self.origin

    def turned(self, seen: np.ndarray, turned: Turn) -> np.ndarray:  # [N, 3] units in the image's axes -> the same
        """The head turned about the neck; only the change of perspective is added to the image's own."""
        joint = JOINT @ self.axes.T
        moved = (seen - joint) @ turned.rotation.T + joint + turned.shift
        nearer = DISTANCE / (DISTANCE + moved[:, 2:]) * (DISTANCE + seen[:, 2:]) / DISTANCE
        return np.column_stack([moved[:, :2] * nearer, moved[:, 2]])

    def below_nose(self, points: np.ndarray) -> np.ndarray:  # [..., 2] px -> [...] units
        """How far points of the image lie below the nose's base, along the face."""
        down = self.axes[:2, 1] / max(float(np.linalg.norm(self.axes[:2, 1])), 1e-6)
        base = self.pixels(self.own[_NOSE_BASE])[:, :2].mean(0)
        return (points - base) @ down * self.k

    def units(self, move: np.ndarray) -> np.ndarray:  # [N, 2] px -> [N, 3] units
        """A displacement seen in the image, as one of the face's frame."""
        return np.column_stack([move, np.zeros(len(move))]) @ self.axes * self.k


def yaw_of(place: Place) -> float:
    """How far the face looks to the side, radians."""
    return abs(float(np.arcsin(np.clip(place.axes[2, 0], -1, 1))))


def sideways(mesh: np.ndarray) -> float:  # [>= 468, 3] px
    """How far a face looks to the side: 0 from the front, 1 where the nose's tip stands over the cheek's edge, inf where the
    cheeks change sides. A head on its side looks no further to the side."""
    across = mesh[_OUTER[1], :2] - mesh[_OUTER[0], :2]
    right, left, nose = (float(mesh[i, :2] @ across) for i in (*_CHEEKS, _NOSE))
    width = left - right
    return abs((nose - right) - (left - nose)) / width if width > 0 else np.inf
