"""`talking-heads train atom`: alone, or in each of the processes that `accelerate launch` started."""
from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..media_core.captions import caption
from ..media_core.errors import TalkingHeadsError
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

_SEVERAL = ("In several processes, one a card: accelerate launch --multi_gpu --num_processes N -m talking_heads.cli.main train "
            "atom DATASET OUT ... (with --device cpu also without a card).")
_CHANGES = ("steps", "batch", "accumulation", "optimizer", "lr", "precision", "save_every", "val_every")


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train atom`."""
    atom = what.add_parser("atom", parents=[common], help="a motion data set to an AToM, which turns speech into motion",
                           epilog=_SEVERAL)
    add = atom.add_argument
    add("dataset", metavar="DATASET", help="a folder of `talking-heads dataset motion`")
    add("out", metavar="OUT.safetensors")
    add("--preset", default="demo", help="demo, standard or published (default: demo)")
    add("--steps", type=int, metavar="N", help="optimisation steps, as all that follows instead of the preset's")
    add("--batch", type=int, metavar="N", help="windows a step, over all processes")
    add("--accumulation", type=int, metavar="N", help="pieces in which a process computes its share: less memory")
    add("--optimizer", choices=["adan", "adamw"])
    add("--lr", type=float, metavar="RATE")
    add("--precision", choices=["fp32", "bf16"])
    add("--save-every", type=int, metavar="N", help="steps between savings of the unfinished run")
    add("--val-every", type=int, metavar="N", help="steps between samples on held clips")
    add("--seed", type=int, default=0)
    add("--device", default=None, help="as torch names it (default: the accelerator, else cpu)")
    add("--half", action="store_true", help="keep the weights as float16, half the size")
    add("--key-mean-shape", metavar="FILE", help="the face motion is measured from: BFM_model_front.mat, or 68 points as .npy or "
        ".safetensors (default: the built-in one)")
    add("--log-dir", metavar="DIR", help="where log.csv and TensorBoard's files go (default: OUT_log)")
    add("--no-resume", dest="resume", action="store_false", help="begin anew where an unfinished run stands")


def train_atom(options: argparse.Namespace) -> int:
    """Trains and prints the file; Ctrl-C keeps what was learnt."""
    from ..moditalker_core.atom.train_config import preset
    from ..moditalker_core.atom.training import train_atom as train
    from .jobs import nameable

    out = options.out if options.out.endswith(".safetensors") else f"{options.out}.safetensors"
    nameable(out, ".training.safetensors")
    changes = {name: getattr(options, name) for name in _CHANGES if getattr(options, name) is not None}
    config = replace(preset(options.preset), **changes)
    group, device = training_team(options.device)

    def show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
        line.show("Training", done, total, caption(info))

    def work(report: Report) -> Any:
        return train(options.dataset, out, config, seed=options.seed, device=device, resume=options.resume, report=report,
                     half=options.half, log_folder=options.log_dir, key_mean_shape=_mean(options.key_mean_shape), process_group=group)

    return run_job(work, show, lambda atom: print(f"{out}\n{atom}"), silent=not group.main)


def _mean(path: str | None) -> Any:
    if path is None:
        return None
    from ..moditalker_core.bfm import read_key_mean_shape

    return read_key_mean_shape(path)


def training_team(device: str | None) -> tuple[Any, Any]:
    """The processes of this training and where this one computes.

    Raises:
        TalkingHeadsError: WORLD_SIZE is no number; no such device.
    """
    from ..training_core.process_group import Distributed, SingleProcess
    from .devices import chosen_device

    processes = os.environ.get("WORLD_SIZE", "1")  # set by accelerate launch and torchrun
    if not processes.isdecimal():
        raise TalkingHeadsError("WORLD_SIZE must be a number of processes", repr(processes), "Start with accelerate launch")
    if int(processes) > 1:
        group = Distributed.join(device)
        return group, group.device
    return SingleProcess(), str(chosen_device(device))
