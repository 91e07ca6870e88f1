"""`talking-heads video`: speech and a face, in an image or a video, to a talking video."""
from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.choices import POLICIES
from ..media_core.errors import TalkingHeadsError
from ..media_core.video_formats import CLEAR, check_ending
from ..moditalker_core.choices import CARRIERS, LIFE
from .devices import add_device
from .encoders import add_encoder
from .face_options import add_tracker
from .label import add_label
from .loaded import Models
from .motion_jobs import check_unreplaced
from .progress_line import Info, ProgressLine, run_job
from .resumed import add_resume
from .sampling_options import add_motion_sampling, add_video_sampling, unread

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

log = logging.getLogger(__name__)


def add_options(video: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = video.add_argument
    add("sound", metavar="AUDIO", help="speech: any audio or video file; becomes the video's audio")
    add("face", metavar="FACE", help="an image with one face; or a video of a person, which keeps its head movement, eyes and "
                                     "background and gets a new mouth (a video that ends first is played ping-pong)")
    add("out", metavar="OUT", help=f"the video, as large as the whole image: .mp4; or {', '.join(CLEAR)}, which keep the "
                                   "transparent background of an image")
    add("--video", dest="film", action="store_true",
        help="treat FACE as a video, whatever its kind (default: if it is not an image)")
    add("--film", dest="film", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its name before
    add("--carrier", choices=CARRIERS,
        help="how frames are made: picture moves the image's own pixels, at its own size and without further weights; redraw "
             f"draws the face with MToV's networks (default: {CARRIERS[0]})")
    add("--life", type=float, default=LIFE, metavar="L",
        help=f"head sway and blinks of a still image, 0 (none) to 1; for picture only (default: {LIFE:g})")
    motion = video.add_mutually_exclusive_group()
    motion.add_argument("--atom", metavar="FILE", help="an AToM file (default: the shipped demo weights)")
    motion.add_argument("--motion", metavar="FILE", help="a saved motion (of `talking-heads motion`, edited perhaps) instead of "
                                                         "AToM's; sets the video's length. AUDIO is then only played")
    add_encoder(video, default=None)
    add_motion_sampling(video, prefix="motion-")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same video (default: 0)")
    add("--policy", default="skip", choices=POLICIES,
        help="a video's frames without a face: stop and name them (error), put the mouth where the face was last (hold) or on "
             "the way to the next one (interpolate), or leave them unchanged (skip) (default: skip)")
    add_tracker(add, "people")
    add("--face-index", type=int, default=0, metavar="N", help="of several faces the N-th largest, from 0 (default: 0)")
    add("--no-paste", dest="paste", action="store_false",
        help="only the square around the face, as MToV's networks make it: --carrier redraw")
    add_video_sampling(video)
    add_label(add)
    add_resume(add)
    add_device(add)


def make_video(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from ..media_core.video import probe

    check(options)
    warn(options)
    if options.workers is not None:
        from .shared_video import make

        return make("video", options, options.sound)
    out = Path(options.out)
    started = time.perf_counter()

    def show_result(done: tuple[Path, str]) -> None:
        path, note = done
        video, seconds = probe(path), time.perf_counter() - started
        print(f"{path}\n{video.frames} frames, {video.duration:.2f} s at {float(video.fps):g} fps, made in {seconds:.1f} s")
        if note:
            print(note)

    return run_job(lambda report: made(options, out, Models(), report), show, show_result, goes_on=options.resume)


def made(options: argparse.Namespace, out: Path, models: Models, report: Report) -> tuple[Path, str]:
    """The work itself: see `video_work.made`."""
    from . import video_work

    return video_work.made(options, out, models, report)


def check(options: argparse.Namespace) -> None:
    """Finds faults of the request before any work, and settles the carrier.

    Raises:
        TalkingHeadsError: the output is no video or replaces an input, or options that exclude each other.
    """
    from ..media_core.synthetic import checked_label

    _check_names(Path(options.out), [options.sound, options.face, options.mtov, options.atom, options.motion])
    _check_carrier(options)
    checked_label(options.label)


def warn(options: argparse.Namespace) -> None:
    """Says which options have no effect."""
    if options.carrier != "redraw" and unread(options):
        log.warning("%s: without effect, since only --carrier redraw uses MToV", ", ".join(unread(options)))


def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    if "clip" in info:
        line.show("Video", done, total, f"clip {info['clip']} of {info['clips']}")
    elif "frame" in info and "stage" not in info:
        line.show("Video", done, total)
    else:
        line.show("Motion" if "window" in info else "Tracking the face", done, total)


def _check_names(out: Path, given: list[str | None]) -> None:
    """The output is a video, and replaces no input.

    Raises:
        TalkingHeadsError: it would.
    """
    check_ending(out)
    check_unreplaced([out], [name for name in given if name])


def _check_carrier(options: argparse.Namespace) -> None:
    """Settles the carrier: only MToV's has a square that can be left unpasted.

    Raises:
        TalkingHeadsError: crops of a carrier that makes none, or no seed.
    """
    for name in ("seed", "face_index"):
        if getattr(options, name) < 0:
            raise TalkingHeadsError(f"--{name.replace('_', '-')} must be a whole number of 0 or more",
                                    f"{getattr(options, name)}", "Choose another one, or leave it out")
    if options.carrier is None:
        options.carrier = CARRIERS[0] if options.paste else "redraw"
    if options.carrier == "redraw":
        return
    if not options.paste:
        raise TalkingHeadsError("--no-paste needs MToV's square around the face", f"--carrier {options.carrier}",
                                "Add --carrier redraw, or leave --no-paste out")
