"""The unfinished run on disk: branches, moments, counters. Written whole or not at all."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Mapping

import torch
from torch import Tensor

from ..media_core.errors import FileFormatError
from ..media_core.files import load_tensors, save_tensors
from ..media_core.schema import COUNT, Numbers, all_finite, described, fitting, note, real, record, whole
from .avatar_checks import HIGHEST_DEGREE, check_harmonics, field_tensors
from .batches import Clip
from .branches import Branch, optimizer_tensors, restore_optimizer, strip
from .config import TrainConfig
from .motion import FaceMotionNet, MouthMotionNet
from .run import PHASES, Run, audio_arguments, extent_of

KIND, VERSION = "training", 1
_AGAIN = "Begin anew (resume off)"
_DEGREE = whole(0, HIGHEST_DEGREE)
_FIGURE = real(-1e30, 1e30, nan=True)
_SETTINGS = record({"identity": note(), "phase": whole(0, len(PHASES)), "at": whole(0, COUNT), "loss": _FIGURE, "psnr": _FIGURE,
                    "face_degree": _DEGREE}, {"mouth_degree": _DEGREE})


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
    """The run as it was saved. `check` is given its identity before anything is built, and raises when it is another run's.

    Raises:
        FileFormatError: absent, truncated, or with entries that no state of such a run has.
    """
    tensors, saved = load_tensors(path, kind=KIND, version=VERSION)
    described(saved, _SETTINGS, path.name, _AGAIN)
    check(saved["identity"])
    _check_branches(tensors, saved, path.name)
    try:
        return _restored(tensors, saved, clip, config, seed)
    except RuntimeError as error:  # torch's, over a net of other layers
        raise FileFormatError("An unfinished training must hold all weights of its nets", f"{path.name} does not ({error})",
                              _AGAIN) from error


def _check_branches(tensors: Mapping[str, Tensor], saved: Mapping[str, Any], name: str) -> None:
    """The Gaussians of the face, and of the mouth from its phase on, with their statistics."""
    begun = saved["phase"] >= PHASES.index("mouth")
    if begun and "mouth_degree" not in saved:
        raise FileFormatError("An unfinished training must hold the branches of its phase", f"{name} lacks the mouth", _AGAIN)
    for branch in ("face", "mouth") if "mouth_degree" in saved else ("face",):
        n = f"N of {branch}"
        statistics = {f"{branch}.density.{part}": Numbers((n,)) for part in ("gradient", "seen")}
        sizes = fitting(tensors, {**field_tensors(f"{branch}.field", n), **statistics}, name, _AGAIN)
        check_harmonics(sizes[f"K of {branch}.field"], saved[f"{branch}_degree"], branch, name, _AGAIN)
        all_finite({key: value for key, value in tensors.items() if key.startswith(f"{branch}.net.")}, name, _AGAIN)


def _restored(tensors: dict[str, Tensor], saved: dict[str, Any], clip: Clip, config: TrainConfig, seed: int) -> Run:
    device, extent = clip.device, extent_of(clip)
    branches = {}
    for name, net, plan in (("face", FaceMotionNet, config.face), ("mouth", MouthMotionNet, config.mouth)):
        part = strip(tensors, f"{name}.")
        if f"{name}_degree" in saved:
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
