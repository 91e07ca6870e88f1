"""`talking-heads train mtov`: one stage, in one process or in each of those that `accelerate launch` started."""
from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..moditalker_core.choices import STAGES
from ..training_core.choices import CHECKPOINTING
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

_ORDER = ("The stages, in order: rgb (autoencoder of images), gan (sharpens it; may be left out), landmarks (autoencoder of "
          "landmarks, needs --rgb), diffusion (needs --rgb and --landmarks, or --mtov; makes the whole MToV). ")


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train mtov`."""
    mtov = what.add_parser("mtov", parents=[common], help="a motion dataset with images to MToV, which makes video of motion",
                           epilog=_ORDER + several("mtov DATASET OUT"))
    add = mtov.add_argument
    add("dataset", metavar="DATASET", help="a folder of `talking-heads dataset motion --frames PX`")
    add("out", metavar="OUT.safetensors", help="what the stage makes; while unfinished, OUT.training.safetensors")
    add("--stage", choices=STAGES, required=True, help="what is trained, see below")
    add("--rgb", metavar="FILE", help="the autoencoder of images that an earlier stage made")
    add("--landmarks", metavar="FILE", help="the autoencoder of landmarks that an earlier stage made")
    add("--mtov", metavar="FILE", help="diffusion: continue from that whole MToV, with its autoencoders where none are named")
    add_training_options(add, samples="clips", precisions=("fp32", "bf16", "fp16"))
    add_memory(add)
    add("--lr", type=float, metavar="RATE", help="learning rate")
    add("--cache", type=int, metavar="N", help="diffusion: learn from N clips whose latents are computed once; 0: new ones")
    add("--loaders", type=int, metavar="N", help="threads that read clips meanwhile")
    add("--checkpointing", nargs="?", const="on", default=CHECKPOINTING[0], choices=CHECKPOINTING,
        help="compute activations again for the gradient: less memory, more time (default: auto, where memory is short)")
    add("--decoder-only", action="store_true", help="rgb: learn to decode latents better, and leave what they mean")
    add("--lpips", metavar="FILE", help="LPIPS weights (VGG16 or AlexNet), .safetensors (default: a loss that needs none)")
    add("--latents", metavar="FILE", help="diffusion: keep the computed latents there for the next training")
    add("--half", action="store_true", help="store float16, half the size")
    add("--licence", default="", metavar="TEXT", help="the weights' licence; stored in the file")


def train_mtov(options: argparse.Namespace) -> int:
    """Trains and prints the file; Ctrl-C keeps what was learnt."""
    from ..moditalker_core.mtov.train_config import preset
    from ..moditalker_core.mtov.training import train_mtov as train
    from .jobs import nameable

    out = safetensors_name(options.out)
    nameable(out, ".training.safetensors", ".latents.safetensors")
    config = preset(options.preset, options.stage)
    asked = changes(options, "accumulation", "lr", "cache", "loaders")
    asked |= {"decoder_only": True} if options.decoder_only else {}
    config = replace(config, steps=steps_asked(options, config.steps), **asked)
    group, device = training_group(options.device)

    def work(report: Report) -> Any:
        return train(options.stage, options.dataset, out, config, rgb=options.rgb, landmarks=options.landmarks, seed=options.seed,
                     device=device, resume=options.resume, report=report, half=options.half, log_folder=options.log_dir,
                     lpips=options.lpips, latents=options.latents, mtov=options.mtov, licence=options.licence,
                     process_group=group, memory_gb=options.memory_gb, checkpointing=options.checkpointing)

    return run_training(work, lambda network: print(f"{out}\n{about(network)}"), f"Training {options.stage}", group)


def about(network: Any) -> str:
    """One line on what was made."""
    from ..moditalker_core.mtov.model import MToV

    if isinstance(network, MToV):
        return repr(network)
    config, size = network.config, sum(p.numel() for p in network.parameters())
    return f"Autoencoder({size} parameters, clips of {config.frames} frames of {config.width} x {config.height} px)"
