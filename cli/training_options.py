"""What the three `talking-heads train` commands share: options, the settings they make, the processes, the progress line."""
from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..media_core.captions import caption
from ..media_core.errors import TalkingHeadsError
from ..training_core.choices import PRESETS
from .automatic import or_auto
from .devices import add_device
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    import torch

    from ..media_core.progress import Report  # imports NumPy
    from ..training_core.process_group import SingleProcess



def several(command: str) -> str:
    """How to train in several processes, for a command's help."""
    return ("In several processes, one per GPU: accelerate launch --multi_gpu --num_processes N -m talking_heads.cli train "
            f"{command} ... (with --device cpu also without a GPU).")


def add_training_options(add: Callable[..., argparse.Action], *, samples: str, precisions: tuple[str, ...],
                         steps: Callable[[str], float] = int, presets: tuple[str, ...] = PRESETS) -> None:
    """Options of every training.

    Args:
        add: of a parser. samples: what a batch is made of. steps: reads the value of --steps. presets: that there
            are.
    """
    add("--preset", default=presets[0], help=f"{', '.join(presets[:-1])} or {presets[-1]} (default: {presets[0]})")
    add("--steps", type=or_auto(steps), metavar="N",
        help="optimisation steps (default: auto, the preset's, as for the next options)")
    add("--scale", type=float, metavar="FACTOR", help="instead of --steps: times the preset's steps, 0.1 for a quick look")
    add("--batch", type=or_auto(int), metavar="N", help=f"{samples} per step, over all processes")
    add("--precision", choices=precisions, help="number format of the arithmetic; weights stay fp32")
    add("--gradient-clip", type=float, metavar="NORM", help="largest norm of the gradient")
    add("--save-every", type=int, metavar="N", help="steps between saves of the unfinished training")
    add("--val-every", type=int, metavar="N", help="steps between validations on held-out data")
    add("--log-dir", metavar="DIR", help="where log.csv and TensorBoard's files go (default: OUT_log)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    add_device(add)
    add("--no-resume", dest="resume", action="store_false", help="start over instead of continuing an unfinished training")


def add_memory(add: Callable[..., argparse.Action]) -> None:
    """--memory-gb and --accumulation, of a parser."""
    add("--accumulation", type=int, metavar="N", help="pieces in which a process computes its part of a batch: less memory "
        "(default: the preset's, and more where memory is short)")
    add("--memory-gb", type=or_auto(float), metavar="GB", help="memory that may be taken: the batch is computed in pieces that "
        "fit (default: auto, 22, or what is free where that is less)")


def changes(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The settings that the options name instead of the preset's."""
    shared = ("batch", "precision", "gradient_clip", "save_every", "val_every")
    return {name: value for name in (*shared, *names) if (value := getattr(options, name)) is not None}


def steps_asked(options: argparse.Namespace, preset_steps: int) -> int:
    """The number of steps that --steps or --scale ask for.

    Raises:
        TalkingHeadsError: both, or a factor that is not above 0.
    """
    if options.scale is None:
        return preset_steps if options.steps is None else options.steps
    if options.steps is not None:
        raise TalkingHeadsError("A training takes --steps or --scale, not both", f"{options.steps} and {options.scale}",
                                "Leave one out")
    if not 0 < options.scale <= 1000:
        raise TalkingHeadsError("--scale must be above 0, and 1000 at most", f"{options.scale}",
                                "Use 1 for the preset's own length")
    return max(1, round(preset_steps * options.scale))


def training_group(device: str | None) -> tuple[SingleProcess, str | torch.device]:
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


def safetensors_name(out: str) -> str:
    """The file to write, with its ending."""
    return out if out.endswith(".safetensors") else f"{out}.safetensors"


def run_training(work: Callable[[Report], Any], tell: Callable[[Any], None], title: str, group: SingleProcess) -> int:
    """Trains and tells what was made; Ctrl-C keeps what was learnt."""
    def show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
        line.show(title, done, total, caption(info))

    return run_job(work, show, tell, silent=not group.main)
