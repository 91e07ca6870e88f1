"""How far a drawn mouth is seen to open, and the motion corrected by it: moustaches, painted lips and small mouths read narrower
or wider than they were moved (docs/moditalker.md#carrier)."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...mouth import resting_face
from ...subject.layout import to_68
from ..trackers import make_tracker
from .carrier import Carrier
from .place import UNIT, Place

_LOOKS, _EACH = 4, 3  # how many openings are looked at, and in how many frames
_ROUNDS = 2           # the second with the openings corrected by the first
READINGS = _LOOKS * _EACH * _ROUNDS
_WIDE = 97            # percentile of a motion's openings: wider ones are not looked at
_LEAST_WIDE = .03     # of the eyes' distance: a motion that opens less says nothing
_LEAST, _MOST = .75, 1.5  # of what is asked: the face may be misread
_MORE = .045          # of the eyes' distance: small openings may always grow by it
_SHUT = .015, .05    # of the eyes' distance: up to here as asked, from there on corrected
_TRUST = .92          # of a correction (a power): readings scatter
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
        most = np.maximum(_MOST, 1 + _MORE / np.maximum(asked, 1e-6))
        change = np.clip(factor, _LEAST, most) ** _TRUST - 1
        low, high = _SHUT
        return 1 + change * np.clip((asked - low) / (high - low), 0, 1)

    def scaled(self, points: np.ndarray, asked: np.ndarray, shut: np.ndarray | float = 0.0) -> np.ndarray:
        """Jaw and lips opened so far that they are seen to open as asked.

        Args:
            points: float64 [T, 68, 3] units, displacement.
            asked: [T] how far each opens the mouth.
            shut: [68, 3] units, the displacement that shuts the lips, from which it opens.
        Returns:
            float64 [T, 68, 3]; all sideways movement stays.
        """
        return widened(points, self.factors(asked), shut)


def widened(points: np.ndarray, factor: np.ndarray, shut: np.ndarray | float) -> np.ndarray:
    """Jaw and lips of each row opened `factor` [T] times as far from where they are shut."""
    out, rest = points.copy(), np.broadcast_to(shut, points.shape[1:])[_LIPS, 1]
    out[:, _LIPS, 1] = rest + (points[:, _LIPS, 1] - rest) * np.asarray(factor)[:, None]
    return out


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
    tracker, asked = make_tracker("people"), gaps(carrier.own68 + points)

    def read(i: int, _: int, factor: float) -> float | None:
        tracker.state = carrier.place.pixels(carrier.own68)[:, :2].astype(np.float32)
        face = tracker(carrier.draw(widened(points[i:i + 1], np.array([factor]), shut)[0])[..., :3])
        return None if face is None or face.mesh is None else opening(face.mesh)

    seen = response(asked, read)
    return points if seen is None else seen.scaled(points, asked, shut)


def opening(mesh: np.ndarray) -> float:  # [478, 3] px -> distances of the outer eye corners
    return float(gaps(to_68(Place.of(mesh).own)))


def response(asked: np.ndarray, read: Callable[[int, int, float], float | None]) -> Response | None:
    """From a few of a motion's rows, drawn and read; then from the same rows once more, corrected by what was read.

    Args:
        asked: [T] how far each row opens the mouth.
        read: (row, number of the reading, up to `READINGS`, factor) -> how far that row, drawn with its opening multiplied by
            the factor, is seen to open it; None: no face is seen.
    Returns:
        None where the motion hardly opens the mouth or the drawn one cannot be read.
    """
    wide = float(np.percentile(asked, _WIDE))
    order = np.argsort(asked, kind="stable")
    order = order[(asked[order] > _SHUT[1]) & (asked[order] <= wide)]
    if wide < _LEAST_WIDE or len(order) < _LOOKS * _EACH:
        return None
    parts = np.array_split(order, _LOOKS)
    rows = [int(part[i]) for part in parts for i in np.linspace(0, len(part) - 1, _EACH).round().astype(int)]
    factors, known, seen, found = np.ones(len(rows)), list[float](), list[float](), None
    for turn in range(_ROUNDS):
        for i, row in enumerate(rows):
            got = read(row, (i % _EACH * _LOOKS + i // _EACH) * _ROUNDS + turn, float(factors[i]))
            if got is None:
                return None
            known.append(float(asked[row] * factors[i]))
            seen.append(got)
        found = _fitted(np.array(known), np.array(seen))
        factors = found.factors(asked[rows])
    return found


def _fitted(known: np.ndarray, seen: np.ndarray) -> Response:  # [N], [N]
    """Means of groups of openings, made to rise."""
    groups = np.array_split(np.argsort(known, kind="stable"), _LOOKS)
    means = np.maximum.accumulate([0, *(seen[group].mean() for group in groups)]) + np.arange(_LOOKS + 1) * 1e-6
    return Response(np.array([0, *(known[group].mean() for group in groups)]), means)
