"""The unfinished run on disk: branches, moments, counters. Written whole or not at all."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import torch

from ..media_core.files import load_tensors, save_tensors
from .batches import Clip
from .branches import Branch, optimizer_tensors, restore_optimizer, strip
from .config import TrainConfig
from .motion import FaceMotionNet, MouthMotionNet
from .run import PHASES, Run, audio_arguments, extent_of

KIND, VERSION = "training", 1


def save_run(run: Run, path: Path, identity: dict[str, Any]) -> None:
    """Saves everything a later `load_run` needs."""
    tensors, config = {}, dict(identity=identity, phase=run.phase, at=run.at, loss=run.loss, psnr=run.psnr)
    for name, branch in (("face", run.face), ("mouth", run.mouth)):
        if branch is not None:
            tensors |= {f"{name}.{k}": v for k, v in branch.tensors().items()}
            config[f"{name}_degree"] = branch.field.active_sh_degree
    tensors |= {f"warmup_adam.{k}": v for k, v in optimizer_tensors(run.warmup_optimizer).items()}
    tensors |= {f"fuse_adam.{k}": v for k, v in optimizer_tensors(run.fuse_optimizer).items()}
    save_tensors(path, {k: v.clone() for k, v in tensors.items()}, kind=KIND, version=VERSION, config=config)


def load_run(path: Path, clip: Clip, config: TrainConfig, seed: int, check: Callable[[dict[str, Any]], None]) -> Run:
    """The run as it was saved. `check` is given its identity before anything is built, and raises when it is another run's."""
    tensors, saved = load_tensors(path, kind=KIND, version=VERSION)
    check(saved["identity"])
    device, extent = clip.device, extent_of(clip)
    branches = {}
    for name, net, plan in (("face", FaceMotionNet, config.face), ("mouth", MouthMotionNet, config.mouth)):
        part = strip(tensors, f"{name}.")
        if part:
            with torch.random.fork_rng(devices=[]):
                branches[name] = Branch.restored(part, net(**audio_arguments(clip)).to(device), extent, plan.max_points,
                                                 config.net_lr, config.uniform_lr, saved[f"{name}_degree"])
    run = Run(clip, config, seed, branches["face"], branches.get("mouth"), phase=saved["phase"], at=saved["at"])
    run.loss, run.psnr = saved["loss"], saved["psnr"]
    if run.phase == PHASES.index("warmup"):
        restore_optimizer(run.warmup_optimizer, strip(tensors, "warmup_adam."))
    if run.fuse_optimizer is not None:
        restore_optimizer(run.fuse_optimizer, strip(tensors, "fuse_adam."))
    return run
