"""`talking-heads train atom`: in one process, or in each of those that `accelerate launch` started."""
from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..moditalker_core.choices import FINE_TUNING
from ..training_core.choices import PRESETS
from .training_options import (
    add_memory,
    add_training_options,
    changes,
    run_training,
    safetensors_name,
    several,
    steps_asked,
    training_group,
)

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy
    from ..moditalker_core.atom.mix import Share


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train atom`."""
    atom = what.add_parser("atom", parents=[common], help="a motion dataset to an AToM, which turns speech into motion",
                           epilog=several("atom DATASET OUT"))
    add = atom.add_argument
    add("dataset", metavar="DATASET", help="a folder of `talking-heads dataset motion`")
    add("out", metavar="OUT.safetensors", help="the AToM; while unfinished, OUT.training.safetensors")
    add_training_options(add, samples="windows", precisions=("fp32", "bf16"), presets=(*PRESETS, FINE_TUNING))
    add_memory(add)
    add("--start-from", metavar="WEIGHTS", help="an AToM to fine-tune, instead of new weights: its sizes, sampling and mean face "
        "stay; a fifth of the preset's learning rate, unless --lr says otherwise (the preset finetune has its own, and starts "
        "from the demo weights where none are named)")
    add("--mix", type=_share, action="append", default=[], metavar="DATASET[@FRACTION]", help="also learn from this dataset, in "
        "FRACTION of the windows (default: 0.5); may be repeated; the rest, and the held-out clips, are DATASET's")
    add("--optimizer", choices=["adan", "adamw"], help="(default: the preset's)")
    add("--lr", type=float, metavar="RATE", help="learning rate")
    add("--half", action="store_true", help="store float16, half the size")
    add("--key-mean-shape", metavar="FILE", help="the face motion is measured from: BFM_model_front.mat, or 68 points as .npy or "
        ".safetensors (default: the built-in one)")


def train_atom(options: argparse.Namespace) -> int:
    """Trains and prints the file; Ctrl-C keeps what was learnt."""
    from ..moditalker_core.atom.start import chosen
    from ..moditalker_core.atom.training import train_atom as train
    from .jobs import nameable

    out = safetensors_name(options.out)
    nameable(out, ".training.safetensors")
    config, start = chosen(options.preset, options.start_from or None)
    config = replace(config, steps=steps_asked(options, config.steps), **changes(options, "accumulation", "optimizer", "lr"))
    group, device = training_group(options.device)

    def work(report: Report) -> Any:
        return train(options.dataset, out, config, seed=options.seed, device=device, resume=options.resume, report=report,
                     half=options.half, log_folder=options.log_dir, key_mean_shape=_mean(options.key_mean_shape),
                     process_group=group, memory_gb=options.memory_gb, start_from=start, mix=options.mix)

    return run_training(work, lambda atom: print(f"{out}\n{atom}"), "Training", group)


def _share(text: str) -> Share:
    from ..moditalker_core.atom.mix import Share

    return Share.read(text)


def _mean(path: str | None) -> Any:
    if path is None:
        return None
    from ..moditalker_core.bfm import read_key_mean_shape

    return read_key_mean_shape(path)
