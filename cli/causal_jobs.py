"""`talking-heads train causal`: the audio nets of an avatar's causal variant, for `talking-heads live --causal`."""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media_core.claims import claimed
from .motion_jobs import check_unreplaced
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy


def add_options(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    add = commands.add_parser("causal", parents=[common], help="an avatar's audio nets for live use with less delay, from speech "
                              "alone").add_argument
    add("avatar", metavar="AVATAR.safetensors", help="a trained avatar that understands mel")
    add("out", metavar="NETS.safetensors", help="for talking-heads live --causal")
    add("speech", nargs="+", metavar="SPEECH", help="audio or video files, of any voices; ten minutes of several serve most")
    add("--steps", type=int, help="optimisation steps (default: 8000)")
    add("--seed", type=int, default=0, metavar="N", help="of all randomness (default: 0)")


def train_causal(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from .jobs import writable_file

    out = Path(options.out)
    check_unreplaced([out], [options.avatar, *options.speech])
    writable_file(out)
    return run_job(lambda report: _made(options, out, report), _show, lambda path: print(f"{path}"), goes_on=False)


def _show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
    if "loss" in info:
        line.show("Learning", done, total, f"loss {info['loss']:.3f}")


@claimed("out")
def _made(options: argparse.Namespace, out: Path, report: Report) -> Path:
    from ..hmtalker_core.checkpoints import load_avatar
    from ..hmtalker_core.training.causal import STEPS, causal_variant, save_causal
    from ..media_core.audio import load_sound
    from ..media_core.speech import encode_speech
    from ..media_core.speech.live import check_streams

    avatar = load_avatar(options.avatar)
    check_streams(avatar.encoder, avatar.hears.layer)
    speeches = [encode_speech(load_sound(file), avatar.encoder, report) for file in options.speech]
    steps = STEPS if options.steps is None else options.steps
    return save_causal(causal_variant(avatar, speeches, steps=steps, seed=options.seed, report=report), avatar, out)
