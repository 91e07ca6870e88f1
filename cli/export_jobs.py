"""`talking-heads export`: an avatar as one HTML page that speaks, as Gaussians of a frame (.ply, .glb) or of every frame."""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media_core.captions import caption
from ..media_core.choices import PLY_SCALES
from .encoders import add_encoder, listener
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..hmtalker_core.avatar import Avatar
    from ..hmtalker_core.avatar_motion import AvatarMotion
    from ..hmtalker_core.posed import BranchName
    from ..media_core.audio import Sound
    from ..media_core.progress import Report

BRANCHES = ("face", "mouth")
ENDINGS = (".ply", ".html", ".glb")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="the avatar")
    add("out", metavar="OUT", nargs="?", help="NAME.html: one page that plays it, with everything inside; NAME.ply: the "
        "Gaussians of one branch, at rest; NAME.glb: those of the head in a frame (KHR_gaussian_splatting)")
    add("--audio", metavar="FILE", help="speech: what the page says, and whose frames are meant")
    add("--frames", metavar="FOLDER", help="also, or instead of OUT, a .ply for every frame of the speech, into this folder")
    add("--frame", type=int, default=None, metavar="N", help="the frame of a .glb, and the first of --frames (default: 0)")
    add("--count", type=int, default=None, metavar="N", help="how many of --frames (default: all)")
    add("--branch", choices=BRANCHES, default=None, help="one branch only (default: face for OUT.ply, else both)")
    add("--scales", choices=PLY_SCALES, default="log", help="of .ply: log, as every viewer expects, or softplus, as "
        "TalkingGaussian's own files (default: log)")
    add("--title", default=None, metavar="TEXT", help="above the page's player (default: the avatar's file name)")
    add("--blinks", choices=["track", "generated", "none"], default="track",
        help="from the avatar's recording, new ones from the seed, or none (default: track)")
    add("--head", choices=["recorded", "still", "sway"], default="recorded",
        help="movement of the head: as in the avatar's video, none, or generated (default: recorded)")
    add("--seed", type=int, default=0, metavar="N", help="of generated blinks and movement (default: 0)")
    add_encoder(parser, default=None)


def export_avatar(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    _check(options)

    def tell(lines: list[str]) -> None:
        print("\n".join(lines))

    return run_job(lambda report: _exported(options, report), _show, tell, goes_on=False)


def _show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
    line.show(caption(info) if "phase" in info else "Encoding the audio", done, total)


def _check(options: argparse.Namespace) -> None:
    """Raises:
        TalkingHeadsError: nothing to write, another ending, or a page or frames without speech.
    """
    from ..media_core.errors import TalkingHeadsError
    from .jobs import writable_file

    ending = "" if options.out is None else Path(options.out).suffix.lower()
    if options.out is not None and ending not in ENDINGS:
        raise TalkingHeadsError("An avatar is exported to a .html page, a .ply or a .glb file", options.out,
                                "Name the file NAME.html, NAME.ply or NAME.glb")
    if options.out is None and options.frames is None:
        raise TalkingHeadsError("An export needs a file to write", "neither OUT nor --frames",
                                "Name the file NAME.html, NAME.ply or NAME.glb, or give --frames FOLDER")
    speaks = ending == ".html" or options.frames is not None
    if options.audio is None and (speaks or options.frame is not None):
        raise TalkingHeadsError("A page and the frames of a motion need speech", "no --audio", "Give --audio FILE")
    if options.out is not None:
        writable_file(options.out)


def _exported(options: argparse.Namespace, report: Report) -> list[str]:
    """Writes what is asked for; returned: what is to be said of it."""
    from ..hmtalker_core.checkpoints import load_avatar

    avatar = load_avatar(options.avatar)
    sound, motion = (None, None) if options.audio is None else _spoken(options, avatar, report)
    lines = [] if options.out is None else _written(options, avatar, sound, motion, report)
    if options.frames is not None and motion is not None:
        lines += _frames(options, avatar, motion, report)
    return lines


def _spoken(options: argparse.Namespace, avatar: Avatar, report: Report) -> tuple[Sound, AvatarMotion]:
    from ..media_core.audio import load_sound
    from ..media_core.head_pose import moved_pose

    sound = load_sound(options.audio)
    speech = listener(options, avatar.hears, "avatar").encode(sound, report)
    frames = speech.frame_count(avatar.fps)
    pose = None if options.head == "recorded" else moved_pose(options.head, avatar.poses, frames, options.seed, 1.0)
    return sound, avatar.drive(speech, blinks=options.blinks, seed=options.seed, pose=pose)


def _written(options: argparse.Namespace, avatar: Avatar, sound: Sound | None, motion: AvatarMotion | None,
             report: Report) -> list[str]:
    """The one file."""
    out = Path(options.out)
    if out.suffix.lower() == ".html" and motion is not None:
        from ..hmtalker_core.player_page import save_page

        path = save_page(avatar, motion, out, sound, title=options.title or Path(options.avatar).stem, report=report)
        return [f"{path}", f"{len(motion)} frames, {path.stat().st_size / 1e6:.2f} MB; opens in any browser, also from a disk"]
    if out.suffix.lower() == ".glb":
        return _glb(options, avatar, motion)
    from ..hmtalker_core.ply import save_ply

    branch = options.branch or "face"
    field = getattr(avatar, branch)
    return [f"{save_ply(field, out, scales=options.scales)}", f"{len(field)} Gaussians of the {branch}"]


def _glb(options: argparse.Namespace, avatar: Avatar, motion: AvatarMotion | None) -> list[str]:
    from ..hmtalker_core.glb import save_glb
    from ..hmtalker_core.player_file import NOTE
    from ..hmtalker_core.posed import at_rest, posed

    branches = _branches(options)
    field = at_rest(avatar, branches) if motion is None else posed(avatar, motion, options.frame or 0, branches)
    path = save_glb(field, options.out, note=NOTE, licence=avatar.licence)
    return [f"{path}", f"{len(field)} Gaussians {'at rest' if motion is None else f'in frame {options.frame or 0}'}"]


def _frames(options: argparse.Namespace, avatar: Avatar, motion: AvatarMotion, report: Report) -> list[str]:
    from ..hmtalker_core.posed import save_frames

    folder = Path(options.frames)
    written = list(save_frames(avatar, motion, folder, start=options.frame or 0, count=options.count,
                               branches=_branches(options), scales=options.scales, report=report))
    return [f"{folder}", f"{len(written)} .ply files of {written[0].stat().st_size / 1e6:.1f} MB each"]


def _branches(options: argparse.Namespace) -> tuple[BranchName, ...]:
    from ..hmtalker_core.posed import BRANCHES

    return BRANCHES if options.branch is None else (options.branch,)
