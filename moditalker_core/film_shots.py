"""What a video's own mouth does, shot by shot: where it rests, and the slow expression that stays while the speech is replaced.

Lengths are the carrier's units (60.64 between the outer corners of the eyes), in the face's own axes. The lips are taken whole,
all four rings of the mesh: what only the 68 points say of them leaves slits of the old mouth beside the corners.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..media_core.face.carrier.handles import Handles
from ..media_core.face.carrier.inner_look import Mouth, ordered
from ..media_core.face.carrier.place import Place
from ..media_core.mouth import resting_face
from ..media_core.subject.layout import JAW_LINE, LIPS, SKIN, to_68
from .film_faces import FilmedFace, openings
from .film_teeth import Teeth

_LEAST_OPEN = 0.05  # fraction of a shot's frames that show its mouth at rest
_FEWEST = 3         # frames of those, at least
_SLOW = 0.4         # s, standard deviation of the low pass that parts expression from speech
_JAW_SHARE = 0.8    # of the lips' common way down that is the jaw's and not the expression's
_BEST = 12          # frames whose teeth count
_BRIGHT, _REDDEST, _TEETH = 0.75, 1.4, 0.92  # teeth: at least so bright as the cheek, at most so red; their tone of what is seen
_SHORT = 1.0        # s: a shorter shot tells too little of itself


@dataclass(frozen=True)
class Shot:
    """Frames `first` to `stop` (exclusive) of one camera."""

    first: int
    stop: int
    handles: Handles
    mouth: Mouth
    teeth: Teeth | None  # of the video itself
    rest: np.ndarray  # float64 [468, 3] units, the face with its lips shut
    slow: np.ndarray  # float32 [frames, 4, 20, 3] units, what the expression adds to the rings of the lips
    ways: np.ndarray  # float64 [3, 3], canonical decimetres -> units

    def move(self, number: int, own: np.ndarray, wanted68: np.ndarray, expression: float = 1.0) -> np.ndarray:
        """How far frame `number`'s mesh must go, from `own`, for its jaw and lips to be where the motion wants them.

        Args:
            own: [468, 3] units, as filmed.
            wanted68: [68, 3] units from rest.
            expression: how much of the slow expression is added.
        Returns:
            [468, 3] units.
        """
        out, wanted = np.zeros((SKIN, 3)), self.handles.moved(wanted68, self.rest, evenly=True)
        for part, slow in ((JAW_LINE, 0.0), (LIPS, self.slow[number - self.first] * expression)):
            out[part] = self.rest[part] + wanted[part] + slow - own[part]
        out[self.handles.free] = self.handles.weights @ out[self.handles.handles]
        return out


def shots_of(face: FilmedFace, portrait: np.ndarray, fps: float) -> list[Shot]:
    """The shots of a video in which the face is seen.

    Args:
        portrait: [68, 3] decimetres, the canonical face from which motion departs.
    """
    gaps, seen = openings(face.mesh), face.seen
    edges = [0, *face.cuts, len(face)]
    parts = [(a, b) for a, b in zip(edges, edges[1:]) if seen[a:b].any()]
    overall = _teeth(face, np.flatnonzero(seen))
    best = max(parts, key=lambda part: int(seen[part[0]:part[1]].sum()))
    longest = _shot(face, best, gaps, portrait, fps, overall)
    out = []
    for part in parts:
        short = seen[part[0]:part[1]].sum() < _SHORT * fps
        like = longest if part != best and short else None
        out.append(longest if part == best else _shot(face, part, gaps, portrait, fps, overall, like))
    return out


def _shot(face: FilmedFace, part: tuple[int, int], gaps: np.ndarray, portrait: np.ndarray, fps: float,
          teeth: np.ndarray | None, like: Shot | None = None) -> Shot:
    """`like`: a shot whose rest is taken over, for one that is too short to tell its own."""
    first, stop = part
    numbers = first + np.flatnonzero(face.seen[first:stop])
    least = numbers[np.argsort(gaps[numbers], kind="stable")][:max(_FEWEST, round(_LEAST_OPEN * len(numbers)))]
    handles = Handles(face.mesh[least[0]]) if like is None else like.handles
    rest = at_rest(face.mesh[least], handles) if like is None else like.rest
    ways = np.linalg.lstsq(np.column_stack([portrait, np.ones(68)]), to_68(rest), rcond=None)[0][:3]
    lips = np.full((stop - first, *LIPS.shape, 3), np.nan, np.float32)
    for number in numbers:
        lips[number - first] = Place.of(face.mesh[number]).own[LIPS]
    return Shot(first=first, stop=stop, handles=handles, mouth=_inside(face, numbers, teeth), rest=rest,
                teeth=max((t for t in face.teeth if first <= t.number < stop), key=lambda t: t.score, default=None),
                slow=slow_expression(lips, rest[LIPS], fps), ways=ways)


def at_rest(meshes: np.ndarray, handles: Handles) -> np.ndarray:  # [n, 478, 3] px -> float64 [468, 3] units
    """The mean of the frames whose lips are nearest to shut; closed where even these show them open. The rule is that of
    `mouth.resting_face`, by which AToM's portrait is made of a video."""
    rest = np.mean([Place.of(mesh).own for mesh in meshes], axis=0)
    points = to_68(rest)
    upright = np.array([1, -1, -1])  # that module's y points up, its z to the viewer
    move = np.asarray(resting_face(points * upright), np.float64) * upright - points
    return rest + handles.moved(move, rest, evenly=True) if move.any() else rest


def slow_expression(lips: np.ndarray, rest: np.ndarray, fps: float) -> np.ndarray:
    """The lips' slow way from rest without their opening: a smile stays, speech does not.

    Upper and lower lip are taken together, pair by pair; most of what all do together up and down is the jaw's.

    Args:
        lips: [T, 4, 20, 3] units, the rings of the mesh (`layout.LIPS`), NaN in frames without a face.
        rest: [4, 20, 3].
    Returns:
        float32 [T, 4, 20, 3].
    """
    from scipy.ndimage import gaussian_filter1d

    away = interpolated(lips) - rest
    around = -np.arange(LIPS.shape[1])  # a ring begins at one corner of the mouth and has the other in its middle
    away = (away + away[:, :, around]) / 2
    middle = away[:, :1, [5]] * [0, _JAW_SHARE, 0]
    return gaussian_filter1d(away - middle, _SLOW * fps, axis=0, mode="nearest", truncate=2.0).astype(np.float32)


def interpolated(rows: np.ndarray) -> np.ndarray:  # [T, ...] with NaN rows -> float64 [T, ...]
    """Unknown rows between their neighbours, held at the ends."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    known = np.flatnonzero(np.isfinite(flat).all(1))
    if len(known) == len(rows):
        return flat.reshape(rows.shape)
    every = np.arange(len(rows))
    return np.stack([np.interp(every, known, flat[known, k]) for k in range(flat.shape[1])], 1).reshape(rows.shape)


# ----------------------------------------------------------------------------------------------------------------- the teeth

def _inside(face: FilmedFace, numbers: np.ndarray, overall: np.ndarray | None) -> Mouth:
    """The inside of a shot's mouth: its teeth as it shows them, else as others do, in its light, else as the cheek allows."""
    cheek = np.nanmedian(face.cheeks[numbers], axis=0).astype(np.float64)
    own = _teeth(face, numbers)
    if own is None and overall is not None:
        own = overall * cheek.mean() / max(float(np.nanmedian(face.cheeks, axis=0).mean()), 1.0)
    looks = {number: mouth for number, mouth in face.mouths.items() if numbers[0] <= number <= numbers[-1]} or face.mouths
    mouth = looks[min(looks, key=lambda number: (openings(face.mesh[number][None])[0], number))]
    return mouth if own is None else replace(mouth, tone=ordered(own))


def _teeth(face: FilmedFace, numbers: np.ndarray) -> np.ndarray | None:  # -> float64 [3]
    """The tone of the teeth in those of some frames that show them best; None: none do."""
    light = face.between[numbers].astype(np.float64)
    cheek = np.nanmedian(face.cheeks[numbers], axis=0).mean()
    there = np.all(np.isfinite(light), axis=1)
    there[there] = (light[there].mean(1) > _BRIGHT * cheek) & (light[there, 0] < _REDDEST * light[there, 1])
    if there.sum() < _FEWEST:
        return None
    shown = light[there]
    tone = np.median(shown[np.argsort(-shown.mean(1), kind="stable")][:_BEST], axis=0) * _TEETH
    return ordered(tone)
