"""`talking-heads motion`: speech and a portrait to 68-point motion, as a file and as a drawn video."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.claims import claimed
from ..media_core.errors import TalkingHeadsError
from ..media_core.image_reading import read_picture
from .devices import add_device
from .encoders import add_encoder, listener
from .face_options import add_tracker
from .progress_line import Info, ProgressLine, run_job
from .sampling_options import add_motion_sampling, motion_sampling

if TYPE_CHECKING:
    import numpy as np

    from ..media_core.motion import LandmarkTrack
    from ..media_core.progress import Report  # imports NumPy

LANDMARKS = ".safetensors"


def add_options(motion: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = motion.add_argument
    add("sound", metavar="AUDIO", help="speech: any audio or video file")
    add("portrait", metavar="PORTRAIT", help="an image with one face, or landmarks saved as .safetensors (canonical)")
    add("out", metavar="OUT", help=".safetensors: the motion; .mp4: a drawn video of it with the audio, and the motion beside it")
    add_tracker(add, "people", "which networks find the face of an image")
    add("--weights", metavar="FILE", help="an AToM file (default: the shipped demo weights)")
    add_motion_sampling(motion)
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same motion (default: 0)")
    add("--speech", metavar="FILE", help="the audio already encoded, instead of --encoder")
    add_encoder(motion, default=None)
    add_device(add)


def make_motion(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from ..media_core.audio import load_sound
    from ..media_core.progress import silent
    from ..media_core.speech import Speech
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from ..moditalker_core.pipeline import portrait_motion, save_drawn, speak
    from .devices import chosen_device
    from .jobs import writable_file

    out = Path(options.out)
    _check_names(out, [name for name in (options.sound, options.portrait, options.weights, options.speech) if name])
    writable_file(out, LANDMARKS)
    started = time.perf_counter()

    def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
        line.show("Drawing" if info.get("phase") == "draw" else "Motion", done, total)

    @claimed("out")
    @claimed("track")
    def made(out: Path, track: Path, report: Report) -> LandmarkTrack:
        sound, portrait = load_sound(options.sound), _portrait(options.portrait)
        atom = load_atom(options.weights or SHIPPED_ATOM, chosen_device(options.device))
        settings = motion_sampling(options)
        if options.encoder is not None and options.speech is not None:
            raise TalkingHeadsError("Speech must be encoded once", "both --speech and --encoder", "Leave one of them out")
        if options.speech is None:
            told = report if options.encoder else silent  # without one there are no weights, and nothing to wait for
            speech = listener(options, atom.config.speech, "AToM").encode(sound, told)
        else:
            speech = Speech.load(options.speech)
        motion = speak(atom, sound, portrait_motion(portrait, options.tracker), settings, speech=speech, report=report)
        motion.save(track)
        if out.suffix.lower() == ".mp4":
            save_drawn(motion, out, sound, report=report)
        return motion

    def show_result(motion: LandmarkTrack) -> None:
        print(f"{out}\n{len(motion)} frames at {motion.fps:g} fps, made in {time.perf_counter() - started:.1f} s")

    return run_job(lambda report: made(out, out.with_suffix(LANDMARKS), report), show, show_result, goes_on=False)


def _check_names(out: Path, given: list[str]) -> None:
    """The output is of a kind that can be written, and replaces no input.

    Raises:
        TalkingHeadsError: it would.
    """
    if out.suffix != LANDMARKS and out.suffix.lower() != ".mp4":
        raise TalkingHeadsError("The motion must be written to a .safetensors or .mp4 file", f"{out.name}", "Choose another name")
    check_unreplaced([out, out.with_suffix(LANDMARKS)], given)


def check_unreplaced(written: list[Path], read: list[str]) -> None:
    """Raises:
        TalkingHeadsError: an output file is also an input.
    """
    files = {file.resolve() for file in written}
    for name in read:
        if Path(name).resolve() in files:
            raise TalkingHeadsError("The output must not replace an input", f"{written[0].name} would replace {name}",
                                    "Choose another name")


def _portrait(path: str) -> np.ndarray | LandmarkTrack:
    """uint8 [H, W, 3] of an image, or a saved track.

    Raises:
        TalkingHeadsError: absent, or neither image nor landmarks.
    """
    from ..media_core.motion import LandmarkTrack

    if path.lower().endswith(LANDMARKS):
        return LandmarkTrack.load(path)
    return read_picture(path, do="Give a PNG or JPEG, or landmarks saved as .safetensors")
