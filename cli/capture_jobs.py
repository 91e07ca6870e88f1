"""`talking-heads capture`: a video of a person to a dataset folder."""
from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.workflow import WorkflowError
from ..media_core.choices import ORDERS, POLICIES
from .automatic import or_auto
from .encoders import add_encoder, chosen_encoder
from .face_options import add_tracker
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.capture import CaptureSettings
    from ..media_core.progress import Report  # imports NumPy

_SETTINGS = ("size", "fps", "policy", "face_index", "order", "focal", "smoothing", "steady", "masks", "parsing", "like",
             "tracker")


def add_options(capture: argparse.ArgumentParser) -> None:
    """The options of the command; `CaptureSettings` has the defaults."""
    add = capture.add_argument
    add("video", metavar="VIDEO", help="any video FFmpeg can read, with audio")
    add("out", metavar="OUT", help="the folder; an interrupted capture into it continues; report.png in it says what to "
        "record again")
    add("--size", type=int, metavar="PX", help="side of the square frames (default: 512)")
    add("--fps", type=float, help="frames per second of the dataset (default: 25, which the models use)")
    add("--policy", choices=POLICIES,
        help="frames without a face: stop and name them (error), keep the last face (hold), move straight to the next one "
             "(interpolate), or leave them out (skip) (default: error)")
    add("--face-index", type=int, metavar="N", help="which face, if there are several (default: 0)")
    add("--order", choices=ORDERS, help="how faces are counted (default: largest)")
    add_tracker(add)
    add("--focal", type=or_auto(float), metavar="PX",
        help="the camera's focal length at the frames' size (default: auto, 2.2 SIZE)")
    add("--smoothing", type=int, metavar="FRAMES", help="smoothing window of the poses (default: 13)")
    add("--no-steady", dest="steady", action="store_false", default=None,
        help="poses from landmarks alone, without tracking points on skin and hair")
    add("--no-masks", dest="masks", action="store_false", default=None, help="no masks and layers: to look at, not to train on")
    add("--parsing", metavar="DIR", help="face-parsing images of the written frames, instead of the built-in masks")
    add("--like", metavar="DIR", help="use the crop, focal length and head of this captured dataset")
    add("--au", metavar="FILE", help="action units of the video by OpenFace, py-feat, LibreFace or PyAFAR")
    add("--segment", nargs=2, metavar=("FROM", "TO"), help="seconds FROM TO, or: auto SECONDS for the best part")
    add_encoder(capture)


def capture_video(options: argparse.Namespace) -> int:
    """Makes the folder and prints the quality report; Ctrl-C keeps what is done.

    Raises:
        WorkflowError: `--segment` is no numbers.
    """
    from ..media_core.capture import CaptureSettings, capture
    from .jobs import makeable

    chosen = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    segment = _segment(options.segment)
    makeable(options.out)
    started = time.perf_counter()

    def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
        counted = (info["frame"], info["frames"]) if info["frames"] > 1 else (0, 0)  # a stage's start and end count nothing
        line.show(f"Capture: {info['stage']}", *counted, f"{100 * done / total:.0f} % of all")

    def work(report: Report) -> Path:
        checked = CaptureSettings(**chosen, segment=segment, expression=options.au, encoder=chosen_encoder(options) or "mel")
        _check_beforehand(options.video, checked)
        return capture(options.video, options.out, checked, report=report)

    def show_result(folder: Path) -> None:
        print((folder / "report.txt").read_text("utf8"))
        print(f"{folder}  (see {folder / 'report.png'}; {time.perf_counter() - started:.0f} s)")

    return run_job(work, show, show_result)


def _segment(given: Sequence[str] | None) -> tuple[float, float] | float | None:
    """`--segment` as the settings take it.

    Raises:
        WorkflowError: no numbers.
    """
    if given is None:
        return None
    try:
        return float(given[1]) if given[0] == "auto" else (float(given[0]), float(given[1]))
    except ValueError as error:
        raise WorkflowError(f"--segment takes two numbers of seconds, or auto and one. Got: {' '.join(given)}. "
                            "Write --segment 10 40 or --segment auto 30, for instance.") from error


def _check_beforehand(video: str, settings: CaptureSettings) -> None:
    """Finds what a capture would only meet after minutes of work: a table of action units that cannot be read or belongs to
    another video.

    Raises:
        TalkingHeadsError: it does.
    """
    from ..media_core.capture.settings import film_fingerprint
    from ..media_core.face.action_units.au_files import read_action_units_file
    from ..media_core.motion import ExpressionTrack
    from ..media_core.video import probe

    table = settings.expression
    if table is not None and not isinstance(table, ExpressionTrack):
        film_fingerprint(video)  # its errors tell an absent video from an empty one
        read_action_units_file(table, settings.fps, round(probe(video).duration * settings.fps))
