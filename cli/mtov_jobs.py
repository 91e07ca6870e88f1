"""`talking-heads train mtov`: one stage, alone or in each of the processes that `accelerate launch` started."""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..media_core.captions import caption
from .atom_jobs import training_team
from .progress_line import ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

# moditalker_core.mtov, spelled out so that the command's help imports no model code
STAGES = ("rgb", "gan", "landmarks", "diffusion")
_STAGES = ("The stages, in order: rgb (autoencoder of pictures), gan (sharpens it; may be left out), landmarks (autoencoder of "
           "landmarks, needs --rgb), diffusion (needs --rgb and --landmarks, or --mtov; makes the whole MToV). In several "
           "processes, one a card: accelerate launch --multi_gpu --num_processes N -m talking_heads.cli.main train mtov DATASET "
           "OUT ...")
_CHANGES = ("steps", "batch", "accumulation", "lr", "precision", "cache", "save_every", "val_every", "loaders")


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train mtov`."""
    mtov = what.add_parser("mtov", parents=[common], help="a motion data set with pictures to MToV, which makes video of motion",
                           epilog=_STAGES)
    add = mtov.add_argument
    add("dataset", metavar="DATASET", help="a folder of `talking-heads dataset motion --frames PX`")
    add("out", metavar="OUT.safetensors")
    add("--stage", choices=STAGES, required=True)
    add("--rgb", metavar="FILE", help="the autoencoder of pictures that an earlier stage made")
    add("--landmarks", metavar="FILE", help="the autoencoder of landmarks that an earlier stage made")
    add("--mtov", metavar="FILE", help="diffusion: go on from that whole MToV, with its autoencoders where none are named")
    add("--preset", default="demo", help="demo, standard or published (default: demo)")
    add("--steps", type=int, metavar="N", help="optimisation steps, as all that follows instead of the preset's")
    add("--batch", type=int, metavar="N", help="clips a step, over all processes")
    add("--accumulation", type=int, metavar="N", help="pieces in which a process computes its share: less memory")
    add("--lr", type=float, metavar="RATE")
    add("--precision", choices=["fp32", "bf16", "fp16"])
    add("--cache", type=int, metavar="N", help="diffusion: learn from N clips whose latents are computed once; 0: new ones")
    add("--loaders", type=int, metavar="N", help="threads that read clips meanwhile")
    add("--checkpointing", action="store_true", help="autoencoders: less memory, more time")
    add("--decoder-only", action="store_true", help="rgb: learn to draw latents better, and leave what they mean")
    add("--save-every", type=int, metavar="N", help="steps between savings of the unfinished run")
    add("--val-every", type=int, metavar="N", help="steps between looks at held clips")
    add("--lpips", metavar="FILE", help="LPIPS weights (VGG16 or AlexNet), .safetensors (default: a loss that needs none)")
    add("--latents", metavar="FILE", help="diffusion: keep the computed latents there for the next training")
    add("--seed", type=int, default=0)
    add("--device", default=None, help="as torch names it (default: the accelerator, else cpu)")
    add("--half", action="store_true", help="keep the weights as float16, half the size")
    add("--licence", default="", help="what may be done with the weights, kept in the file")
    add("--log-dir", metavar="DIR", help="where log.csv and TensorBoard's files go (default: OUT_log)")
    add("--no-resume", dest="resume", action="store_false", help="begin anew where an unfinished run stands")


def train_mtov(options: argparse.Namespace) -> int:
    """Trains and prints the file; Ctrl-C keeps what was learnt."""
    from ..moditalker_core.mtov.train_config import preset
    from ..moditalker_core.mtov.training import train_mtov as train
    from .jobs import nameable

    out = options.out if options.out.endswith(".safetensors") else f"{options.out}.safetensors"
    nameable(out, ".training.safetensors", ".latents.safetensors")
    changes = {name: getattr(options, name) for name in _CHANGES if getattr(options, name) is not None}
    changes |= {name: True for name in ("checkpointing", "decoder_only") if getattr(options, name)}
    config = replace(preset(options.preset, options.stage), **changes)
    group, device = training_team(options.device)

    def show(line: ProgressLine, done: int, total: int, info: Mapping[str, Any]) -> None:
        line.show(f"Training {options.stage}", done, total, caption(info))

    def work(report: Report) -> Any:
        return train(options.stage, options.dataset, out, config, rgb=options.rgb, landmarks=options.landmarks, seed=options.seed,
                     device=device, resume=options.resume, report=report, half=options.half, log_folder=options.log_dir,
                     lpips=options.lpips, latents=options.latents, mtov=options.mtov, licence=options.licence, process_group=group)

    return run_job(work, show, lambda network: print(f"{out}\n{about(network)}"), silent=not group.main)


def about(network: Any) -> str:
    """One line on what was made."""
    from ..moditalker_core.mtov.model import MToV

    if isinstance(network, MToV):
        return repr(network)
    config, size = network.config, sum(p.numel() for p in network.parameters())
    return f"Autoencoder({size} parameters, clips of {config.frames} frames of {config.width} x {config.height} px)"
