"""`talking-heads avatar`: an avatar says what is heard in an audio file, as a video."""
from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hmtalker_core.backend_registry import CHOICES
from ..media_core.captions import COMPILE, caption
from ..media_core.claims import claimed
from .devices import add_device
from .encoders import add_encoder, kept_listener
from .label import add_label
from .motion_jobs import check_unreplaced
from .progress_line import ProgressLine, run_job
from .resumed import Parts, add_resume, key_of

if TYPE_CHECKING:
    from ..hmtalker_core.avatar import Avatar
    from ..hmtalker_core.avatar_motion import AvatarMotion
    from ..hmtalker_core.backdrop import Background
    from ..hmtalker_core.streaming import RenderSummary
    from ..media_core.audio import Sound
    from ..media_core.motion import ExpressionTrack, PoseTrack
    from ..media_core.progress import Report  # imports NumPy
    from .loaded import Models
    from .shared_video import Part

BACKGROUNDS = {"plate": "plate", "black": "black", "white": (1.0, 1.0, 1.0), "green": (0.0, 1.0, 0.0),
               "transparent": "transparent"}


def add_options(avatar: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = avatar.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="a trained avatar")
    add("audio", metavar="AUDIO", help="speech: any audio or video file; it becomes the video's audio")
    add("out", metavar="OUT.mp4", help="the video; .webm and .mov can be transparent")
    add_encoder(avatar, default=None)
    add("--blinks", choices=["track", "generated", "none"], default="track",
        help="from the avatar's recording, new ones from the seed, or none (default: track)")
    add("--smoothing", type=float, default=0.0, metavar="FRAMES", help="zero-phase smoothing of the lips (default: 0, none)")
    add("--lip-gain", type=float, default=1.0, metavar="FACTOR", help="how far the lips move (default: 1, as trained)")
    add("--seed", type=int, default=0, metavar="N", help="of generated blinks (default: 0)")
    add("--no-gate", dest="gate", action="store_false", help="do not let the mouth rest where nobody speaks")
    add("--size", type=_width_and_height, default=(0, 0), metavar="W[xH]",
        help="pixels of the frames, as 512 or 640x480; without a height, in proportion; other proportions cut off what does not "
             "fit (default: the avatar's)")
    add("--background", choices=list(BACKGROUNDS), default="plate", help="behind the head (default: plate, as recorded)")
    add("--background-image", metavar="IMAGE", help="an image behind the head, which fills the frame")
    add("--expression", metavar="FILE", help="action units instead of the avatar's own: a file of Save Action Units, or a table "
                                             "of OpenFace and others (.csv); a shorter one is repeated ping-pong")
    add("--head", choices=["recorded", "still", "sway"], default="recorded",
        help="movement of the head: as in the avatar's video, none, or generated (default: recorded)")
    add("--head-amount", type=float, default=1.0, metavar="FACTOR", help="how far the head moves (default: 1, as usual)")
    add("--backend", choices=CHOICES, default="auto", help="of the rasteriser (default: auto)")
    add("--deformation", choices=["exact", "basis"], default="exact",
        help="exact: by the avatar's nets; basis: by its linear basis, faster with a small error (default: exact)")
    add("--crf", type=int, default=18, metavar="N", help="H.264 quality, lower is better (default: 18)")
    add_label(add)
    add_resume(add)
    add_device(add)


def _width_and_height(text: str) -> tuple[int, int]:
    """"640x480" or "640", where the height is 0: in proportion."""
    width, _, height = text.lower().partition("x")
    if not width.isdigit() or not (height or "1").isdigit() or not 2 <= int(width) <= 16384 or height and int(height) < 2:
        raise argparse.ArgumentTypeError(f"a width, or a width and a height as in 640x480, not {text!r}")
    return int(width), int(height or 0)


def make_avatar_video(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from .jobs import writable_file
    from .loaded import Models

    check(options)
    if options.workers is not None:
        from .shared_video import make

        return make("avatar", options, options.audio)
    out = Path(options.out)
    writable_file(out)

    def tell(done: RenderSummary) -> None:
        before = f", {done.kept} of them by an earlier run" if done.kept else ""
        print(f"{done.path}\n{done.frames} frames{before}, rendered at {done.rate:.1f} frames per second")

    return run_job(lambda report: made(options, out, Models(), report), show, tell, goes_on=options.resume)


def check(options: argparse.Namespace) -> None:
    """Finds faults of the request before any work.

    Raises:
        TalkingHeadsError: the output is no video, or replaces an input.
    """
    from ..media_core.synthetic import checked_label
    from ..media_core.video_formats import check_ending

    out = Path(options.out)
    check_ending(out)
    checked_label(options.label)
    check_unreplaced([out], [options.avatar, options.audio, *filter(None, (options.background_image, options.expression))])


def show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
    if info.get("phase") == COMPILE:
        line.show(caption(info))
    else:
        line.show("Rendering" if "phase" in info else "Encoding the audio", done, total)


@claimed("out")
def made(options: argparse.Namespace, out: Path, models: Models, report: Report, part: Part | None = None) -> RenderSummary:
    """The work itself; `models` keeps what it loads for the next video. `part`: a chunk of the video alone, without audio."""
    from ..hmtalker_core.checkpoints import load_avatar
    from ..hmtalker_core.model.camera import size_of
    from ..hmtalker_core.streaming import render_video
    from ..media_core.audio import load_sound
    from .devices import chosen_device

    device = chosen_device(options.device)
    avatar = models.get("avatar", (options.avatar, device), lambda: load_avatar(options.avatar, device))
    width, height = options.size
    shown = {"backend": options.backend, "background": _behind(options), "crf": options.crf, "label": options.label,
             "size": size_of(width, height, avatar.size), "deformation": options.deformation}
    if part is not None:
        motion = models.get("motion", (part.key, device), lambda: _motion(options, avatar, models, report))
        return render_video(avatar, motion, out, part=part.within(len(motion)), metadata=part.tags, report=report, **shown)
    sound, motion = load_sound(options.audio), _motion(options, avatar, models, report)
    if options.resume:
        return _in_parts(Parts(out, key_of(options, add_options)), avatar, motion, sound, report, **shown)
    return render_video(avatar, motion, out, sound, report=report, **shown)


def _in_parts(parts: Parts, avatar: Avatar, motion: AvatarMotion, sound: Sound, report: Report, **shown: Any) -> RenderSummary:
    """The video, chunk by chunk."""
    from ..hmtalker_core.streaming import RenderSummary, render_video

    def write(path: Path, first: int, stop: int, sound: Sound | None, tags: Mapping[str, str], report: Report) -> None:
        render_video(avatar, motion, path, sound, part=(first, stop), metadata=tags, report=report, **shown)

    began = time.perf_counter()
    kept = parts.made(len(motion), motion.fps, sound, write, report)
    return RenderSummary(parts.out, len(motion), time.perf_counter() - began, kept)


def frames_of(options: argparse.Namespace, sound: Sound) -> int:
    """How many frames the video of this audio has."""
    from ..hmtalker_core.checkpoints import load_avatar
    from ..media_core.audio import frame_count

    return frame_count(sound.duration, load_avatar(options.avatar).fps)


def note_of(done: RenderSummary) -> str:
    """Nothing is to be said of an avatar's video."""
    return ""


def _motion(options: argparse.Namespace, avatar: Avatar, models: Models, report: Report) -> AvatarMotion:
    """What the avatar does."""
    from ..media_core.audio import load_sound

    speech = kept_listener(options, avatar.hears, "avatar", models).encode(load_sound(options.audio), report)
    return avatar.drive(speech, blinks=options.blinks, smoothing=options.smoothing, lip_gain=options.lip_gain,
                        seed=options.seed, silence_gate=options.gate, expression=_expression(options.expression, avatar.fps),
                        pose=_pose(options, avatar.poses, speech.frame_count(avatar.fps)))


def _behind(options: argparse.Namespace) -> Background:
    """What stands behind the head."""
    if options.background_image is None:
        return BACKGROUNDS[options.background]
    import torch

    from ..media_core.image_reading import read_picture

    return torch.from_numpy(read_picture(options.background_image, "The background")).float().div(255)[None]


def _expression(file: str | None, fps: float) -> ExpressionTrack | None:
    """The action units of a file, at the avatar's rate."""
    if file is None:
        return None
    from ..media_core.face.action_units.au_files import read_action_units_file
    from ..media_core.motion import ExpressionTrack

    track = read_action_units_file(file, fps) if Path(file).suffix.lower() == ".csv" else ExpressionTrack.load(file)
    return track.resampled(fps)


def _pose(options: argparse.Namespace, recorded: PoseTrack, frames: int) -> PoseTrack | None:
    """The head's movement; None: as recorded."""
    from ..media_core.head_pose import moved_pose

    if options.head == "recorded" and options.head_amount == 1:
        return None
    return moved_pose(options.head, recorded, frames, options.seed, options.head_amount)
