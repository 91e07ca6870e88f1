"""The figures of landmarks and action units: both videos are tracked, one frame at a time, without the mesh."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..progress import Report
from .arrays import Array
from .curves import jitter
from .faces import eye_aperture, f_lmd, lip_aperture, lmd, lve
from .image_rows import NO_TRUTH
from .lags import lagged
from .pair import Clip
from .table import Row, absent
from .units import SPLITS, aue

if TYPE_CHECKING:
    from ..face.track import FaceTrack

MILLIMETRES = 100.0  # in a decimetre
_THOUSAND = 1000.0  # jitter is shown in thousandths
FACES = (("lmd", "LMD", "px"), ("f_lmd", "F-LMD", "px"), ("lve", "LVE", "mm²"))


@dataclass(frozen=True)
class Faces:
    """The face of one video."""

    points: np.ndarray  # float32 [T, 68, 2] px, NaN where no face was seen
    track: FaceTrack | None  # None: no face at all
    cuts: tuple[int, ...]

    @property
    def seen(self) -> np.ndarray:  # bool [T]
        return np.asarray(np.isfinite(self.points).all(axis=(1, 2)))

    def lips(self) -> np.ndarray:  # float64 [T]
        """The lips' opening in parts of the eyes' distance; NaN without a face."""
        return lip_aperture(self.points).numpy()

    def eyes(self) -> np.ndarray:  # float64 [T]
        """The eyes' opening in parts of their width; NaN without a face."""
        return eye_aperture(self.points).numpy()


def tracked(clip: Clip, tracker: str, report: Report, like: Faces | None = None) -> Faces:
    """Follows the largest face of a video.

    Args:
        like: the face it is to be compared with: poses then refer to that person's head.
    """
    from ..face.landmarks.landmarks import track_frames
    from ..face.track import measure
    from ..face.trackers import make_tracker

    raw = track_frames(clip.shown(), clip.fps, tracker=make_tracker(tracker), total=clip.frames, report=report, dense=False)
    shape = None if like is None or like.track is None else like.track.shape
    return Faces(raw.points, measure(raw, shape=shape) if raw.seen.any() else None, raw.cuts)


def face_rows(made: Faces, truth: Faces | None) -> list[Row]:
    """LMD, F-LMD, LVE, AUE, lip correlation and amplitude, jitter of lips and eyes; over frames in which the faces were seen."""
    if made.track is None:
        return [absent(key, name, "no face was found in the made video", unit, better) for key, name, unit, better in _kinds()]
    why = NO_TRUTH if truth is None else "no face was found in the truth" if truth.track is None else ""
    compared = _compared(made, truth) if truth is not None and truth.track is not None else [
        absent(key, name, why, unit, better) for key, name, unit, better in _kinds()[:-2]]
    return [*compared, *_jitter_rows(made, truth)]


def _kinds() -> list[tuple[str, str, str, str]]:
    """(key, name, unit, better) of every row, in order."""
    return [*((key, name, unit, "lower") for key, name, unit in FACES),
            *((key, name, "", "lower") for split in SPLITS for key, name in _aue_names(split)),
            ("lip_correlation", "lip correlation", "", "higher"), ("lip_amplitude", "lip amplitude", "", "truth"),
            ("lip_jitter", "lip jitter", "1/1000", "truth"), ("eye_jitter", "eye jitter", "1/1000", "truth")]


def _aue_names(split: str) -> tuple[tuple[str, str], tuple[str, str]]:
    title = {"hmtalker": "HM-Talker", "talkinggaussian": "TalkingGaussian"}[split]
    return (f"aue_lower_{split}", f"AUE-L ({title}'s split)"), (f"aue_upper_{split}", f"AUE-U ({title}'s split)")


def _compared(made: Faces, truth: Faces) -> list[Row]:
    from ..face.pose.canonical import canonical_landmarks

    assert made.track is not None  # the caller has looked
    assert truth.track is not None
    count = min(len(made.points), len(truth.points))
    both = made.seen[:count] & truth.seen[:count]
    frames = int(both.sum())
    if not frames:
        return [absent(key, name, "no frame shows both faces", unit, better) for key, name, unit, better in _kinds()[:-2]]
    pixels = [faces.points[:count][both] for faces in (made, truth)]
    solid = [MILLIMETRES * canonical_landmarks(track).points[:count][torch.from_numpy(both)]
             for track in (made.track, truth.track)]
    rows = [Row("lmd", "LMD", lmd(*pixels), "px", "lower", frames), Row("f_lmd", "F-LMD", f_lmd(*pixels), "px", "lower", frames),
            Row("lve", "LVE", lve(*solid), "mm²", "lower", frames, "of 20 lip points, head pose removed")]
    units = [track.expression.au[:count][torch.from_numpy(both)] for track in (made.track, truth.track)]
    note = f"action units by {made.track.expression.source}, not OpenFace"
    for split in SPLITS:
        names, values = _aue_names(split), aue(units[0], units[1], split)
        rows += [Row(key, name, value, "", "lower", frames, note) for (key, name), value in zip(names, values, strict=True)]
    return [*rows, *_lip_rows(made.lips()[:count], truth.lips()[:count], frames)]


def _lip_rows(made: np.ndarray, truth: np.ndarray, frames: int) -> list[Row]:  # [T], [T]
    r, both = lagged(made, truth, 0), np.isfinite(made) & np.isfinite(truth)
    spread = float(truth[both].std())
    return [_or_absent(Row("lip_correlation", "lip correlation", r, "", "higher", frames, "at lag 0"), "lips that do not move"),
            _or_absent(Row("lip_amplitude", "lip amplitude", float(made[both].std()) / spread if spread > 0 else math.nan, "",
                           "truth", frames, "deviation of the opening over the truth's", 1.0), "the truth's lips do not move")]


def _jitter_rows(made: Faces, truth: Faces | None) -> list[Row]:
    rows = []
    curves: tuple[tuple[str, str, str, Callable[[Faces], Array]], ...] = (
        ("lip_jitter", "lip jitter", "of the eyes' distance", Faces.lips),
        ("eye_jitter", "eye jitter", "of the eyes' width", Faces.eyes))
    for key, name, of, curve in curves:
        other = None if truth is None or truth.track is None else _THOUSAND * jitter(curve(truth))
        rows.append(_or_absent(Row(key, name, _THOUSAND * jitter(curve(made)), f"1/1000 {of}", "truth", int(made.seen.sum()),
                                   truth=other), "needs three frames with a face in a row"))
    return rows


def _or_absent(row: Row, why: str) -> Row:
    return absent(row.key, row.name, why, row.unit, row.better) if math.isnan(row.value) else row

