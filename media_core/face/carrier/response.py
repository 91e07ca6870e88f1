"""How far a drawn mouth is seen to open, and the motion corrected by it: moustaches, painted lips and small mouths read narrower
or wider than they were moved (docs/moditalker.md#carrier)."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...mouth import resting_face
from ...subject.layout import to_68
from ..trackers import make_tracker
from .carrier import Carrier
from .place import UNIT, Place

_LOOKS, _EACH = 4, 3  # how many openings are looked at, and in how many frames
_WIDE = 97            # percentile of a motion's openings: wider ones are not looked at
_LEAST_WIDE = .03     # of the eyes' distance: a motion that opens less says nothing
_LEAST, _MOST = .75, 1.35 # of what is asked: the face may be misread
_SHUT = .015, .05    # of the eyes' distance: up to here as asked, from there on corrected
_TRUST = .85          # of a correction (a power): readings scatter
_INNER = ((61, 67), (62, 66), (63, 65))  # upper and lower inner lip of the 68 points
_LIPS = np.r_[0:17, 48:68]


@dataclass(frozen=True)
class Response:
    """What is seen of asked openings, both in distances of the outer eye corners, rising."""

    asked: np.ndarray  # float64 [K]
    seen: np.ndarray   # float64 [K]

    def factors(self, asked: np.ndarray) -> np.ndarray:  # float64 [T] -> [T], _LEAST.._MOST
        """By how much each opening must be multiplied to be seen as asked."""
        wanted = np.interp(asked, self.seen, self.asked, right=np.nan)
        last = self.asked[-1] / max(float(self.seen[-1]), 1e-6)  # beyond the widest one seen
        factor = np.where(np.isnan(wanted), last, wanted / np.maximum(asked, 1e-6))
        low, high = _SHUT
        return 1 + (np.clip(factor, _LEAST, _MOST) ** _TRUST - 1) * np.clip((asked - low) / (high - low), 0, 1)


def gaps(points: np.ndarray) -> np.ndarray:  # [..., 68, 3] units -> [...] distances of the outer eye corners
    return np.mean([points[..., low, 1] - points[..., high, 1] for high, low in _INNER], axis=0) / UNIT


def shutting(own: np.ndarray) -> np.ndarray:  # [68, 3] units -> the same
    """The displacement that shuts a face's lips."""
    upright = np.array([1, -1, -1])  # in `media_core.mouth` y points up, z to the viewer
    return np.asarray(resting_face(own * upright), np.float64) * upright - own


def corrected(carrier: Carrier, points: np.ndarray, shut: np.ndarray) -> np.ndarray:
    """The motion, opening lips and jaw so far that the mouth is seen to open as asked; shut lips and all sideways movement stay.

    Args:
        carrier: of a real face, one that the tracker "people" reads.
        points: float64 [T, 68, 3] units, displacement from where the image shows the face.
        shut: [68, 3] units, the displacement that shuts its lips.
    Returns:
        float64 [T, 68, 3]; as given where the motion hardly opens the mouth or the drawn one cannot be read.
    """
    asked = gaps(carrier.own68 + points)
    wide = float(np.percentile(asked, _WIDE))
    if wide < _LEAST_WIDE:
        return points
    seen = _response(carrier, points, asked, wide)
    if seen is None:
        return points
    out, factor = points.copy(), seen.factors(asked)[:, None]
    out[:, _LIPS, 1] = shut[_LIPS, 1] + (points[:, _LIPS, 1] - shut[_LIPS, 1]) * factor
    return out


def _response(carrier: Carrier, points: np.ndarray, asked: np.ndarray, wide: float) -> Response | None:
    """From a dozen of the motion's own frames, drawn with a still head and read."""
    tracker, read = make_tracker("people"), np.full((_LOOKS, _EACH, 2), np.nan)
    order = np.argsort(asked, kind="stable")
    order = order[(asked[order] > _SHUT[1]) & (asked[order] <= wide)]
    if len(order) < _LOOKS * _EACH:
        return None
    for look, part in enumerate(np.array_split(order, _LOOKS)):
        for each, i in enumerate(part[np.linspace(0, len(part) - 1, _EACH).round().astype(int)]):
            tracker.state = carrier.place.pixels(carrier.own68)[:, :2].astype(np.float32)
            face = tracker(carrier.draw(points[i])[..., :3])
            if face is None or face.mesh is None:
                return None
            read[look, each] = asked[i], gaps(to_68(Place.of(face.mesh).own))
    (known, seen) = read.mean(1).T
    rising = np.maximum.accumulate(np.r_[0, seen]) + np.arange(_LOOKS + 1) * 1e-6
    return Response(np.r_[0, known], rising)
