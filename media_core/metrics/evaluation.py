"""A finished video against its truth and its speech: every figure that this machine can measure, as one table.

Videos are read several times, one frame at a time, so memory does not grow with their length but for a few numbers per frame.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..audio import Sound
from ..progress import Report, silent
from .face_rows import Faces, face_rows, tracked
from .image_rows import image_rows
from .network_rows import identity_rows, sync_rows
from .pair import Clip, matched
from .speech_rows import Heard, check_transcript, listened, speech_rows
from .table import Table
from .weights import Weights

_NO_WEIGHTS = Weights({})


@dataclass(frozen=True)
class Curves:
    """What the plot shows."""

    fps: float
    lips: np.ndarray  # float64 [T] opening in parts of the eyes' distance, NaN without a face
    truth: np.ndarray | None
    heard: Heard | None


@dataclass(frozen=True)
class Evaluation:
    """The figures, and the curves behind them."""

    table: Table
    curves: Curves = field(repr=False)


def evaluate(made: Clip, truth: Clip | None = None, *, sound: Sound | None = None, transcript: str | None = None,
             tracker: str = "people", weights: Weights = _NO_WEIGHTS, report: Report = silent) -> Evaluation:
    """Every figure of a video.

    Args:
        made: the video to judge. truth: what it should look like; figures that compare need it.
        sound: the speech; None: the made video's, else the truth's.
        transcript: its English words, for firm phones.
        tracker: of `choices.TRACKERS`, for both videos.
        weights: networks that the user owns.
        report: called at every frame of every pass; may cancel.
    Raises:
        TalkingHeadsError: proportions differ, or a transcript that does not fit.
    """
    notes: tuple[str, ...] = ()
    told = made.told(), "" if truth is None else truth.told()
    if truth is not None:
        made, truth, notes = matched(made, truth)
    sound = sound or made.sound or (None if truth is None else truth.sound)
    made = replace(made, sound=sound)
    heard = None if sound is None else listened(sound, transcript)
    check_transcript(transcript, heard)
    rows = image_rows(made, truth, weights, report)
    true_faces = None if truth is None else tracked(truth, tracker, report)
    faces = tracked(made, tracker, report, like=true_faces)
    lips = faces.lips()
    true_lips = None if true_faces is None else true_faces.lips()
    rows += face_rows(faces, true_faces) + identity_rows(made, faces, truth, true_faces, weights, report)
    rows += speech_rows(lips, true_lips, heard, made.fps) + sync_rows(made, faces, truth, true_faces, weights, report)
    table = Table(made=told[0], truth=told[1], notes=(*notes, *_about(faces, true_faces, tracker)), rows=tuple(rows))
    return Evaluation(table, Curves(made.fps, lips, true_lips, heard))


def _about(faces: Faces, truth: Faces | None, tracker: str) -> tuple[str, ...]:
    """On the tracking."""
    missing = [f"{int((~one.seen).sum())} of {len(one.points)} frames of the {name} show no face."
               for name, one in (("made video", faces), ("truth", truth)) if one is not None and not one.seen.all()]
    return (f"Faces by the tracker '{tracker}'.", *missing)

