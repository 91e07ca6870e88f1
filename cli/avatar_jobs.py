"""`talking-heads avatar`: an avatar says what is heard in an audio file, as a video."""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hmtalker_core.backend_registry import CHOICES
from ..media_core.captions import COMPILE, STAGES
from ..media_core.claims import claimed
from ..media_core.errors import TalkingHeadsError
from .devices import add_device
from .encoders import add_encoder, listener
from .motion_jobs import check_unreplaced
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..hmtalker_core.streaming import RenderSummary
    from ..media_core.progress import Report  # imports NumPy

BACKGROUNDS = {"plate": "plate", "black": "black", "white": (1.0, 1.0, 1.0), "green": (0.0, 1.0, 0.0)}


def add_options(avatar: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = avatar.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="a trained avatar")
    add("audio", metavar="AUDIO", help="speech: any audio or video file; it becomes the video's audio")
    add("out", metavar="OUT.mp4", help="the video, in the avatar's size")
    add_encoder(avatar, default=None)
    add("--blinks", choices=["track", "generated", "none"], default="track",
        help="from the avatar's recording, new ones from the seed, or none (default: track)")
    add("--smoothing", type=float, default=0.0, metavar="FRAMES", help="zero-phase smoothing of the lips (default: 0, none)")
    add("--lip-gain", type=float, default=1.0, metavar="FACTOR", help="how far the lips move (default: 1, as trained)")
    add("--seed", type=int, default=0, metavar="N", help="of generated blinks (default: 0)")
    add("--no-gate", dest="gate", action="store_false", help="do not let the mouth rest where nobody speaks")
    add("--background", choices=list(BACKGROUNDS), default="plate", help="behind the head (default: plate, as recorded)")
    add("--backend", choices=CHOICES, default="auto", help="of the rasteriser (default: auto)")
    add("--crf", type=int, default=18, metavar="N", help="H.264 quality, lower is better (default: 18)")
    add_device(add)


def make_avatar_video(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from .jobs import writable_file

    out = Path(options.out)
    if out.suffix.lower() != ".mp4":
        raise TalkingHeadsError("The video must be written to an .mp4 file", f"{out.name}", "Choose another name")
    check_unreplaced([out], [options.avatar, options.audio])
    writable_file(out)

    def tell(done: RenderSummary) -> None:
        print(f"{done.path}\n{done.frames} frames, rendered at {done.rate:.1f} frames per second")

    return run_job(lambda report: _made(options, out, report), _show, tell, goes_on=False)


def _show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
    if info.get("phase") == COMPILE:
        line.show(STAGES["phase", COMPILE])
    else:
        line.show("Rendering" if "phase" in info else "Encoding the audio", done, total)


@claimed("out")
def _made(options: argparse.Namespace, out: Path, report: Report) -> RenderSummary:
    from ..hmtalker_core.checkpoints import load_avatar
    from ..hmtalker_core.streaming import render_video
    from ..media_core.audio import load_sound
    from .devices import chosen_device

    avatar, sound = load_avatar(options.avatar, chosen_device(options.device)), load_sound(options.audio)
    speech = listener(options, avatar.hears, "avatar").encode(sound, report)
    motion = avatar.drive(speech, blinks=options.blinks, smoothing=options.smoothing, lip_gain=options.lip_gain,
                          seed=options.seed, silence_gate=options.gate)
    return render_video(avatar, motion, out, sound, backend=options.backend, background=BACKGROUNDS[options.background],
                        crf=options.crf, report=report)
