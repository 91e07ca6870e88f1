"""What a video's own mouth does, shot by shot: where it rests, and the slow expression that stays while the speech is replaced.

Lengths are the carrier's units (60.64 between the outer corners of the eyes), in the face's own axes.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..media_core.face.carrier.handles import Handles
from ..media_core.face.carrier.inner_mouth import Mouth, guessed_teeth
from ..media_core.face.carrier.place import Place
from ..media_core.mouth import resting_face
from ..media_core.subject.layout import to_68
from .film_faces import FilmedFace, openings

_LEAST_OPEN = 0.05  # fraction of a shot's frames that show its mouth at rest
_FEWEST = 3         # frames of those, at least
_SLOW = 0.4         # s, standard deviation of the low pass that parts expression from speech
_JAW_SHARE = 0.8    # of the lips' common way down that is the jaw's and not the expression's
_UPPER = [49, 50, 51, 52, 53, 61, 62, 63]  # of the 68: upper lip, and what faces it on the lower one
_LOWER = [59, 58, 57, 56, 55, 67, 66, 65]
_WIDEST = 12        # frames of a shot whose teeth are looked at
_TEETH_GAP = 3.6    # units of opening from which teeth may be seen
_BRIGHT, _REDDEST, _TEETH = 0.75, 1.4, 0.92  # teeth: at least so bright as the cheek, at most so red; their tone of what is seen
_SHORT = 1.0        # s: a shorter shot tells too little of itself


@dataclass(frozen=True)
class Shot:
    """Frames `first` to `stop` (exclusive) of one camera."""

    first: int
    stop: int
    handles: Handles
    mouth: Mouth
    rest: np.ndarray  # float64 [68, 3] units, lips shut
    slow: np.ndarray  # float32 [frames, 20, 3] units, what the expression adds to the lips
    ways: np.ndarray  # float64 [3, 3], canonical decimetres -> units

    def target(self, number: int, own: np.ndarray, made: np.ndarray) -> np.ndarray:  # [68, 3], [68, 3] -> [68, 3]
        """Where frame `number` should have its jaw and lips; the other points stay `own`.

        Args:
            made: canonical displacement from rest, decimetres.
        """
        out, move = own.copy(), made @ self.ways
        out[:17] = self.rest[:17] + move[:17]
        out[48:] = self.rest[48:] + move[48:] + self.slow[number - self.first]
        return out


def shots_of(face: FilmedFace, portrait: np.ndarray, fps: float) -> list[Shot]:
    """The shots of a video in which the face is seen.

    Args:
        portrait: [68, 3] decimetres, the canonical face from which motion departs.
    """
    own, gaps, seen = own_points(face), openings(face.mesh), face.seen
    edges = [0, *face.cuts, len(face)]
    parts = [(a, b) for a, b in zip(edges, edges[1:]) if seen[a:b].any()]
    overall = _teeth(face, np.flatnonzero(seen), gaps)
    best = max(parts, key=lambda part: int(seen[part[0]:part[1]].sum()))
    longest = _shot(face, best, own, gaps, portrait, fps, overall)
    out = []
    for part in parts:
        short = seen[part[0]:part[1]].sum() < _SHORT * fps
        like = longest if part != best and short else None
        out.append(longest if part == best else _shot(face, part, own, gaps, portrait, fps, overall, like))
    return out


def own_points(face: FilmedFace) -> np.ndarray:  # -> float32 [N, 68, 3] units, NaN without a face
    """The 68 points of every frame in the face's own axes."""
    out = np.full((len(face), 68, 3), np.nan, np.float32)
    for number in np.flatnonzero(face.seen):
        out[number] = to_68(Place.of(face.mesh[number]).own)
    return out


def _shot(face: FilmedFace, part: tuple[int, int], own: np.ndarray, gaps: np.ndarray, portrait: np.ndarray, fps: float,
          teeth: np.ndarray | None, like: Shot | None = None) -> Shot:
    """`like`: a shot whose rest is taken over, for one that is too short to tell its own."""
    first, stop = part
    numbers = first + np.flatnonzero(face.seen[first:stop])
    least = numbers[np.argsort(gaps[numbers], kind="stable")][:max(_FEWEST, round(_LEAST_OPEN * len(numbers)))]
    at_rest = own[least].astype(np.float64).mean(0)
    rest = shut(at_rest) if like is None else like.rest
    handles = Handles(face.mesh[least[0]]) if like is None else like.handles
    ways = np.linalg.lstsq(np.column_stack([portrait, np.ones(68)]), rest, rcond=None)[0][:3]
    tone = _tone(face, numbers, gaps, teeth)
    return Shot(first=first, stop=stop, handles=handles, mouth=tone, rest=rest,
                slow=slow_expression(own[first:stop, 48:], rest[48:], fps), ways=ways)


def shut(rest: np.ndarray) -> np.ndarray:  # [68, 3] units -> the same with the lips together
    """The face at rest; its mouth is closed where even its least open frames show it open. The rule of `mouth.resting_face`, by
    which AToM's portrait is made of a video."""
    upright = rest * [1, -1, -1]  # that module's y points up, its z to the viewer
    return np.asarray(resting_face(upright), np.float64) * [1, -1, -1]


def slow_expression(lips: np.ndarray, rest: np.ndarray, fps: float) -> np.ndarray:  # [T, 20, 3], [20, 3] -> [T, 20, 3]
    """The lips' slow way from rest without their opening: a smile stays, speech does not.

    Upper and lower lip are taken together, pair by pair; most of what all do together up and down is the jaw's.
    """
    from scipy.ndimage import gaussian_filter1d

    away = interpolated(lips) - rest
    upper, lower = np.array(_UPPER) - 48, np.array(_LOWER) - 48
    away[:, upper] = away[:, lower] = (away[:, upper] + away[:, lower]) / 2
    middle = away[:, [3, 9]].mean(1, keepdims=True) * [0, _JAW_SHARE, 0]
    return gaussian_filter1d(away - middle, _SLOW * fps, axis=0, mode="nearest", truncate=2.0).astype(np.float32)


def interpolated(rows: np.ndarray) -> np.ndarray:  # [T, ...] with NaN rows -> float64 [T, ...]
    """Unknown rows between their neighbours, held at the ends."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    known = np.flatnonzero(np.isfinite(flat).all(1))
    every = np.arange(len(rows))
    return np.stack([np.interp(every, known, flat[known, k]) for k in range(flat.shape[1])], 1).reshape(rows.shape)


# ----------------------------------------------------------------------------------------------------------------- the teeth

def _tone(face: FilmedFace, numbers: np.ndarray, gaps: np.ndarray, overall: np.ndarray | None) -> Mouth:
    """The inside of a shot's mouth: its teeth as it shows them, else as other shots do in their light, else as the cheek allows."""
    cheek = np.nanmedian(face.cheeks[numbers], axis=0).astype(np.float64)
    own = _teeth(face, numbers, gaps)
    if own is None and overall is not None:
        own = overall * cheek.mean() / max(float(np.nanmedian(face.cheeks, axis=0).mean()), 1.0)
    return Mouth(guessed_teeth(cheek) if own is None else np.clip(own, 0, 255))


def _teeth(face: FilmedFace, numbers: np.ndarray, gaps: np.ndarray) -> np.ndarray | None:  # -> float64 [3]
    """The tone of the teeth that the widest of some frames show; None: none."""
    widest = numbers[np.argsort(-gaps[numbers], kind="stable")][:_WIDEST]
    widest = widest[(gaps[widest] > _TEETH_GAP) & np.isfinite(face.between[widest]).all(1)]
    if not len(widest):
        return None
    tone = np.median(face.between[widest], axis=0).astype(np.float64)
    cheek = np.nanmedian(face.cheeks[numbers], axis=0).mean()
    return tone * _TEETH if tone.mean() > _BRIGHT * cheek and tone[0] < _REDDEST * tone[1] else None

