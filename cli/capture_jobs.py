"""`talking-heads capture`: a video of a person to a dataset folder."""
from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.workflow import WorkflowError
from ..media_core.choices import ORDERS, POLICIES
from ..media_core.errors import TalkingHeadsError
from .automatic import or_auto
from .encoders import add_encoder, chosen_encoder
from .executor import Result, add_workers
from .face_options import add_tracker
from .many_jobs import Jobs, named_apart, unit_of
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.capture import CaptureSettings
    from ..media_core.progress import Report  # imports NumPy

_FILES = ("video", "parsing", "like", "au", "encoder")
_SETTINGS = ("size", "fps", "policy", "face_index", "order", "focal", "smoothing", "steady", "masks", "parsing", "like",
             "tracker", "audio_shift")


def add_options(capture: argparse.ArgumentParser) -> None:
    """The options of the command; `CaptureSettings` has the defaults."""
    add = capture.add_argument
    add("videos", nargs="+", metavar="VIDEO", help="any video FFmpeg can read, with audio; several, or a folder of them: OUT "
        "gets a folder for each")
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
    add("--audio-shift", type=float, metavar="MS", help="milliseconds by which the audio is moved later; negative: earlier, as "
        "the report says (default: 0)")
    add("--no-steady", dest="steady", action="store_false", default=None,
        help="poses from landmarks alone, without tracking points on skin and hair")
    add("--no-masks", dest="masks", action="store_false", default=None, help="no masks and layers: to look at, not to train on")
    add("--parsing", metavar="DIR", help="face-parsing images of the written frames, instead of the built-in masks")
    add("--like", metavar="DIR", help="use the crop, focal length and head of this captured dataset")
    add("--au", metavar="FILE", help="action units of the video by OpenFace, py-feat, LibreFace or PyAFAR")
    add("--segment", nargs=2, metavar=("FROM", "TO"), help="seconds FROM TO, or: auto SECONDS for the best part")
    add_encoder(capture)
    add_workers(add)


def capture_video(options: argparse.Namespace) -> int:
    """Makes the folder, or several, and prints the quality reports; Ctrl-C keeps what is done.

    Raises:
        WorkflowError: `--segment` is no numbers.
        TalkingHeadsError: several videos with what belongs to one.
    """
    from .jobs import makeable

    _segment(options.segment)
    videos = _listed(options.videos)
    alone = len(options.videos) == 1 and not Path(options.videos[0]).is_dir()
    makeable(options.out)
    if alone and options.workers is None:
        options.video, started = options.videos[0], time.perf_counter()
        return run_job(lambda report: done(options, report), _show, lambda _: _tell(options.out, time.perf_counter() - started))
    if not alone and (options.au or options.parsing):
        raise TalkingHeadsError("--au and --parsing belong to one video", f"{len(videos)} videos", "Capture that one by itself")
    targets = [Path(options.out).resolve() if alone else Path(options.out).resolve() / name for _, name in videos]
    named_apart(targets, "video")
    units = [unit_of("capture", options, _FILES, video=str(path.resolve()), out=str(target))
             for (path, _), target in zip(videos, targets)]
    return Jobs([path.name for path, _ in videos], units, options.workers, _show,
                lambda number, result: _tell(targets[number], result["seconds"]), lambda number: targets[number]).run()


def done(options: argparse.Namespace, report: Report) -> Result:
    """Captures `options.video` into `options.out`."""
    from ..media_core.capture import CaptureSettings, capture

    started = time.perf_counter()
    chosen = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    checked = CaptureSettings(**chosen, segment=_segment(options.segment), expression=options.au,
                              encoder=chosen_encoder(options) or "mel")
    _check_beforehand(options.video, checked)
    capture(options.video, options.out, checked, report=report)
    return {"seconds": time.perf_counter() - started}


def _listed(given: Sequence[str]) -> list[tuple[Path, str]]:
    """(video, what its folder is called), in order.

    Raises:
        FileFormatError: a folder without one.
    """
    from ..moditalker_core.data.from_videos import listed_videos

    found = []
    for name in given:
        one = Path(name)
        found += [(path, path.relative_to(root).with_suffix("").as_posix()) for path, root in listed_videos(one)] \
            if one.is_dir() else [(one, one.stem)]
    return found


def _show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    counted = (info["frame"], info["frames"]) if info["frames"] > 1 else (0, 0)  # a stage's start and end count nothing
    line.show(f"Capture: {info['stage']}", *counted, f"{100 * done / total:.0f} % of all")


def _tell(folder: str | Path, seconds: float) -> None:
    print((Path(folder) / "report.txt").read_text("utf8"))
    print(f"{folder}  (see {Path(folder) / 'report.png'}; {seconds:.0f} s)")


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
