"""The best part of a long video to train on: plenty of speech, lips that open, a head that moves.

A short, informative piece trains an avatar as well as the whole video and many times faster; the idea, and the three things that
make a piece informative (variety of the sounds, amplitude of the lips, spread of the views), are those of ISExplore
(arXiv 2511.07940; docs/capture.md#segments). The scores here are our own.
"""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..audio import Sound
from ..errors import TalkingHeadsError
from ..face.geometry import OUTER_CORNERS, inter_ocular
from ..face.landmarks.detector import no_face
from ..face.landmarks.raw_track import RawTrack
from ..face.track import FaceTrack
from ..metrics import lip_aperture
from ..progress import Report, silent
from ..speech import Speech, encode_speech
from ..video import load_film_sound, probe, read_frames

if TYPE_CHECKING:
    from ..face.presence import Tracker

RATE = 5.0            # frames per second looked at in a video
STEP = 1.0            # s between two candidates
KINDS = 24            # of sounds told apart
SHORTEST, LONGEST = 2.0, 600.0  # s
_ROUNDS = 8           # of k-means
_NOSE = 30            # its tip
_MISSING_COST, _CUT_COST = 2.0, 0.5  # off the score: times the fraction of frames without a face; for a cut


class Segment(NamedTuple):
    """A part of a video and why it was chosen."""

    start: float  # s
    stop: float   # s
    scores: dict[str, float]  # "sound", "lips", "views" 0..1 (of the video's best part), "missing", "cuts", "total"


@dataclass(frozen=True)
class _Curves:
    """A whole video at a low rate; K rows."""

    rate: float             # rows a second
    opening: np.ndarray     # [K] lips over the eyes' distance, NaN without a face
    view: np.ndarray        # [K, 2] where the nose stands between the eyes, over their distance
    cuts: tuple[int, ...]   # rows that begin a new shot


def pick_segment(source: str | os.PathLike | FaceTrack, seconds: float = 30.0, *, sound: Sound | None = None,
                 tracker: Tracker | None = None, masks: Iterable[np.ndarray] | None = None, landmarks: RawTrack | None = None,
                 report: Report = silent) -> Segment:
    """The most informative `seconds` of a video.

    Args:
        source: a video, looked at 5 times a second, or a face track with its `sound`.
        seconds: how long a part is wanted; a video no longer than that is taken whole.
        sound: of the video, from its first frame on; read from the video when not given.
        tracker: finds the face; None: the one for real people.
        masks: bool [H, W] for each frame looked at: where the face is looked for.
        landmarks: points found by something else over the whole video; the video's frames are then not looked at.
        report: called once for each frame looked at; may cancel.
    Raises:
        TalkingHeadsError: the video cannot be read, has no audio or no face.
    """
    if not SHORTEST <= seconds <= LONGEST:
        raise TalkingHeadsError(f"A segment must last {SHORTEST:g} to {LONGEST:g} s", f"{seconds:g} s", "10 to 60 s are usual")
    if isinstance(source, FaceTrack):
        if sound is None:
            raise TalkingHeadsError("A face track needs its audio as well", "none", "Give the video's audio too")
        curves = _of_track(source)
    else:
        sound = load_film_sound(source) if sound is None else sound
        curves = _of_film(Path(source), tracker, masks, report) if landmarks is None else \
            _curves(landmarks.points, landmarks.fps, landmarks.cuts)
    if not np.isfinite(curves.opening).any():
        raise no_face("video", _size(source, landmarks), "none found", "a face", "Record the head from the front, in good light")
    return _best(curves, encode_speech(sound, "mel"), seconds)


def _size(source: str | os.PathLike | FaceTrack, landmarks: RawTrack | None) -> tuple[int, int] | None:
    """(H, W) px of what was looked at; None when it was tracked elsewhere."""
    if landmarks is not None:
        return landmarks.image_size
    if isinstance(source, FaceTrack):
        return None
    facts = probe(source)
    return facts.height, facts.width


def _of_track(track: FaceTrack) -> _Curves:
    points = np.where((track.confidence.numpy() > 0)[:, None, None], track.landmarks.points[..., :2].numpy(), np.nan)
    return _curves(points, track.fps, ())


def _of_film(path: Path, tracker: Tracker | None, masks: Iterable[np.ndarray] | None, report: Report) -> _Curves:
    from ..face.landmarks.landmarks import track_frames

    total = max(1, round(probe(path).duration * RATE))
    raw = track_frames(read_frames(path, RATE), RATE, tracker=tracker, total=total, masks=masks, report=report, dense=False,
                       again=lambda start: read_frames(path, RATE, start))
    return _curves(raw.points, RATE, raw.cuts)


def _curves(points: np.ndarray, rate: float, cuts: tuple[int, ...]) -> _Curves:  # [K, 68, 2]
    unit = inter_ocular(points)[:, None]
    nose = (points[:, _NOSE] - points[:, list(OUTER_CORNERS)].mean(axis=1)) / unit
    known = np.isfinite(points).all(axis=(1, 2))
    opening = np.full(len(points), np.nan)
    if known.any():
        opening[known] = lip_aperture(points[known]).numpy()
    return _Curves(rate, opening, nose, tuple(cuts))


def _best(curves: _Curves, speech: Speech, seconds: float) -> Segment:
    length = len(curves.opening) / curves.rate
    starts = np.arange(0.0, max(length - seconds, 0.0) + 1e-6, STEP)
    kinds = _kinds(speech)
    rows = [_scores(curves, speech, kinds, start, min(start + seconds, length)) for start in starts]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name in ("sound", "lips", "views"):
        top = table[name].max()
        table[name] = table[name] / top if top > 0 else table[name]
    total = (table["sound"] + table["lips"] + table["views"]) / 3 - _MISSING_COST * table["missing"] - _CUT_COST * table["cuts"]
    best = int(np.argmax(total))
    scores = {name: float(values[best]) for name, values in table.items()} | {"total": float(total[best])}
    return Segment(float(starts[best]), float(min(starts[best] + seconds, length)), scores)


def _scores(curves: _Curves, speech: Speech, kinds: np.ndarray, start: float, stop: float) -> dict[str, float]:
    a, b = round(start * curves.rate), max(round(stop * curves.rate), round(start * curves.rate) + 1)
    opening, view = curves.opening[a:b], curves.view[a:b]
    known = np.isfinite(opening)
    scores = {"sound": _variety(kinds[round(start * speech.rate):round(stop * speech.rate)]), "lips": 0.0, "views": 0.0,
              "missing": float(1 - known.mean()), "cuts": float(sum(a < cut < b for cut in curves.cuts))}
    if known.sum() > 2:
        shut, wide = np.percentile(opening[known], (5, 97))
        scores |= {"lips": float(wide - shut), "views": float(np.sqrt(view[known].var(axis=0).sum()))}
    return scores


def _variety(kinds: np.ndarray) -> float:  # int [n], -1 where nobody speaks
    """How evenly all kinds of sounds occur: entropy over that of the even mixture, times the fraction of speech."""
    spoken = kinds[kinds >= 0]
    if not spoken.size:
        return 0.0
    share = np.bincount(spoken, minlength=KINDS) / spoken.size
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(KINDS)) * spoken.size / kinds.size


def _kinds(speech: Speech) -> np.ndarray:  # int [rows], -1 where nobody speaks
    """Each row's group among KINDS, by k-means started from rows far from each other: the same groups in every run."""
    rows = speech.features.double().numpy()
    out, spoken = np.full(len(rows), -1), ~speech.silence.numpy()
    x = rows[spoken]
    if not len(x):
        return out
    centres = [x[np.argmin(((x - x.mean(axis=0)) ** 2).sum(axis=1))]]
    apart = ((x - centres[0]) ** 2).sum(axis=1)
    for _ in range(min(KINDS, len(x)) - 1):
        centres.append(x[int(np.argmax(apart))])
        apart = np.minimum(apart, ((x - centres[-1]) ** 2).sum(axis=1))
    groups, middle = np.zeros(len(x), int), np.array(centres)
    for _ in range(_ROUNDS):
        groups = _nearest(x, middle)
        for k in range(len(middle)):
            if (groups == k).any():
                middle[k] = x[groups == k].mean(axis=0)
    out[spoken] = groups
    return out


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:  # [n, C], [k, C] -> int [n]
    return ((centres ** 2).sum(axis=1) - 2 * x @ centres.T).argmin(axis=1)
