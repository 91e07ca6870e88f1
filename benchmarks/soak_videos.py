"""Long videos by the commands that users run, in a process of their own: `talking-heads avatar` and `talking-heads video`."""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, progress_line, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from soak_watch import Watch, drift, temporary_files
from talking_heads.cli import avatar_jobs, video_jobs
from talking_heads.cli.loaded import Models
from talking_heads.media_core.audio import Sound, load_sound, save_wav
from talking_heads.media_core.image_reading import read_picture
from talking_heads.media_core.video import probe

FPS = 25
AVATAR = ROOT / "weights" / "demo_avatar.safetensors"
SPEECH = ROOT / "demo" / "demo_speech.wav"


def loop_frames() -> int:
    """Frames after which the demo avatar's own track, which runs to and fro, starts over: about a minute."""
    from talking_heads.hmtalker_core.checkpoints import load_avatar

    return 2 * (len(load_avatar(AVATAR, "cpu").poses) - 1)


def long_speech(path: Path, loop: int, loops: int) -> Path:
    """The demo speech over and over, starting anew with every `loop` frames."""
    sound = load_sound(SPEECH)
    samples = loop * sound.sample_rate // FPS
    once = np.resize(sound.waveform, (sound.channels, samples))
    return save_wav(path, Sound(np.tile(once, (1, loops)), sound.sample_rate))


def avatar(work: Path, seconds: float, size: int, resumable: bool = False) -> dict[str, Any]:
    """Speech through the demo avatar. `seconds` is rounded up to whole loops, two at least."""
    loop = loop_frames()
    loops = max(2, -(-round(seconds * FPS) // loop))
    out, frames = work / "avatar.mp4", loop * loops
    speech = long_speech(work / "avatar.wav", loop, loops)
    options = _options(avatar_jobs, str(AVATAR), str(speech), str(out), f"--size={size}", *["--resume"] * resumable)
    figures = _run(avatar_jobs, options, out, Watch(frames))
    return {**figures, "drift": drift(out, FPS, (0, frames - loop), loop)}


def portrait(work: Path, seconds: float, size: int, carrier: str) -> dict[str, Any]:
    """Speech through an image of the demo portrait. The motion is AToM's for a minute of it, over and over, with no life of its
    own: then the first minute and the last one are equal motion."""
    import cv2

    loop = 60 * FPS
    loops = max(2, -(-round(seconds * FPS) // loop))
    out, frames, face = work / f"{carrier}.mp4", loop * loops, work / f"face{size}.png"
    picture = read_picture(ROOT / "demo" / "demo_portrait.jpg")[..., ::-1]
    cv2.imwrite(str(face), cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA))
    speech = long_speech(work / "portrait.wav", loop, loops)
    more = [f"--carrier={carrier}", *(["--life=0"] if carrier == "picture" else [])]
    options = _options(video_jobs, str(speech), str(face), str(out), *more, f"--motion={_motion(work, face, loop, loops)}")
    return {**_run(video_jobs, options, out, Watch(frames)), "drift": drift(out, FPS, (0, frames - loop), loop)}


def atom(work: Path, seconds: float) -> dict[str, Any]:
    """Speech of any length to motion: AToM alone, whose windows are watched."""
    from talking_heads.media_core.face.pose.canonical import mean_face
    from talking_heads.media_core.motion import LandmarkTrack
    from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from talking_heads.moditalker_core.pipeline import speak

    loop = 60 * FPS
    loops = max(2, -(-round(seconds * FPS) // loop))
    sound, watch = load_sound(long_speech(work / "atom.wav", loop, loops)), Watch(loop * loops)
    shown = progress_line(20)

    def report(done: int, total: int, info: Any, preview: np.ndarray | None = None) -> None:
        watch.at(round(done / total * watch.total))
        shown(done, total, {}, None)

    face = LandmarkTrack(torch.from_numpy(mean_face()[None]).float())
    began = time.monotonic()
    made = speak(load_atom(SHIPPED_ATOM, "cpu"), sound, face, report=report)
    return {**watch.figures(), "frames": len(made), "seconds": time.monotonic() - began, "left": temporary_files(work)}


def _motion(work: Path, face: Path, loop: int, loops: int) -> Path:
    """AToM's motion of the first loop, over and over, as a file."""
    from dataclasses import replace

    from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from talking_heads.moditalker_core.pipeline import portrait_motion, speak

    sound = load_sound(long_speech(work / "once.wav", loop, 1))
    once = speak(load_atom(SHIPPED_ATOM, "cpu"), sound, portrait_motion(read_picture(face)))
    path = work / "motion.safetensors"
    replace(once, points=once.points.repeat(loops, 1, 1)).save(path)
    return path


def _options(jobs: Any, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    jobs.add_options(parser)
    options = parser.parse_args(arguments)
    jobs.check(options)
    return options


def _run(jobs: Any, options: argparse.Namespace, out: Path, watch: Watch) -> dict[str, Any]:
    """Makes the video: what was seen meanwhile, and what is left."""
    torch.set_num_threads(1)
    shown = progress_line(20)
    began = time.monotonic()
    jobs.made(options, out, Models(), watch.report(lambda done, total: shown(done, total, {}, None)))
    seconds, made = time.monotonic() - began, probe(out)
    if made.frames != watch.total:
        raise ValueError(f"{out.name} has {made.frames} frames, not {watch.total}")
    return {**watch.figures(), "frames": made.frames, "seconds": seconds, "bytes": out.stat().st_size,
            "left": temporary_files(out.parent)}


def main() -> None:
    """A child: its figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["avatar", "picture", "redraw", "atom"])
    parser.add_argument("work", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--size", type=int, default=128)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.kind == "avatar":
        found = avatar(args.work, args.seconds, args.size)
    elif args.kind == "atom":
        found = atom(args.work, args.seconds)
    else:
        found = portrait(args.work, args.seconds, args.size, args.kind)
    print(json.dumps({"kind": args.kind, "size": args.size, **found}))


if __name__ == "__main__":
    main()
