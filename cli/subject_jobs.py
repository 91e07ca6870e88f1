"""`talking-heads subject`: one photograph becomes a rigged, talking person, written as a dataset to train an avatar on."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.workflow import WorkflowError
from ..media_core.choices import VOICE_ENGINES
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy
    from ..media_core.subject.performance import Heard

SECONDS = 44.0  # of invented sentences: enough for the demo preset


def add_options(subject: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = subject.add_argument
    add("portrait", metavar="PORTRAIT", help="an image with a face seen from the front, whose person has agreed to this")
    add("out", metavar="OUT", help="the dataset folder, for `talking-heads train avatar`; an interrupted run into it continues")
    said = subject.add_mutually_exclusive_group()
    said.add_argument("--audio", metavar="FILE", help="what is said: any audio or video file (default: invented sentences)")
    said.add_argument("--text", metavar="WORDS", help="what is said, in English")
    add("--seconds", type=float, metavar="S", help=f"of invented sentences (default: {SECONDS:g}); or the most of audio or text")
    add("--size", type=int, default=256, metavar="PX", help="sides of the frames (default: 256)")
    add("--identity", type=int, metavar="N", help="another person invented from the photo (default: the person themself)")
    add("--seed", type=int, default=0, metavar="N", help="of sentences, head movement and blinks (default: 0)")
    add("--voice", metavar="NAME", help="one voice for all: of espeak-ng, flite:NAME or festival:NAME, with @1.1 for a "
        "higher speaker (default: many in turn, as any voice may come later)")
    add("--engine", choices=VOICE_ENGINES, default="auto", help="of the voice (default: auto, espeak if it is installed)")
    add("--face-index", type=int, default=0, metavar="N", help="which face, if there are several, the largest first (default: 0)")


def make_subject(options: argparse.Namespace) -> int:
    """Runs the command: exit code.

    Raises:
        WorkflowError: options of a voice for an audio file.
    """
    from ..host.speech_programs import add_speech_programs
    from ..media_core.subject.export import export_dataset
    from ..media_core.subject.photo import read_photo
    from .jobs import makeable

    if options.audio and options.voice:
        raise WorkflowError("--voice is for sentences and --text. Got: --audio too. Leave it out.")
    makeable(options.out)
    add_speech_programs()
    started = time.perf_counter()

    def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
        line.show("Video", done, total)

    def work(report: Report) -> Path:
        portrait = read_photo(options.portrait, face_index=options.face_index)
        seconds = options.seconds if options.seconds or options.audio or options.text else SECONDS
        return export_dataset(options.out, seconds, options.seed, size=options.size, identity=options.identity,
                              engine=options.engine, text=options.text, voice=options.voice, portrait=portrait,
                              heard=_heard(options, report), report=report)

    def show_result(folder: Path) -> None:
        print(f"{folder}  ({time.perf_counter() - started:.0f} s)")

    return run_job(work, show, show_result)


def _heard(options: argparse.Namespace, report: Report) -> Heard | None:
    if not options.audio:
        return None
    from ..media_core.audio import load_sound
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from ..moditalker_core.heard import heard_audio

    return heard_audio(load_atom(SHIPPED_ATOM), load_sound(options.audio), seed=options.seed, report=report)
