"""The unfinished run on disk: branches, moments, counters. Written whole or not at all."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...media_core.chance import drawn
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...training_core.state import check_finite_weights, optimizer_tensors, restore_optimizer, steps_done, strip
from ..model.motion import FaceMotionNet, MouthMotionNet
from .batches import Clip
from .branches import Branch
from .config import TrainConfig
from .objectives import MOUTH_FROZEN, in_ending
from .steps import PHASES, Run, audio_arguments, extent_of, steps_of

KIND, VERSION = "training", 1


def save_run(run: Run, path: Path, identity: dict[str, Any]) -> None:
    """Saves everything a later `load_run` needs.

    Raises:
        TalkingHeadsError: weights that are not finite (an earlier file stays), or no room.
    """
    tensors, config, moments = {}, dict(identity=identity, phase=run.phase, at=run.at, loss=run.loss, psnr=run.psnr), {}
    for name, branch in (("face", run.face), ("mouth", run.mouth)):
        if branch is not None:
            weights = branch.weights()
            check_finite_weights(weights, f"step {run.done}")
            tensors |= {f"{name}.{k}": v for k, v in weights.items()}
            config[f"{name}_degree"] = branch.field.active_sh_degree
    for name, optimizer in _optimizers(run).items():
        kept = optimizer_tensors(optimizer)
        tensors |= {f"{name}.{k}": v for k, v in kept.items()}
        moments[name] = len(kept)
    config["moments"] = moments
    save_tensors(path, {k: v.clone() for k, v in tensors.items()}, kind=KIND, version=VERSION, config=config)


def _optimizers(run: Run) -> dict[str, torch.optim.Optimizer | None]:
    """A run's optimisers by the name their moments are saved under; None where there is none (yet, or any more)."""
    branches = {f"{name}.{kind}_adam": branch and getattr(branch, f"{kind}_optimizer")
                for name, branch in (("face", run.face), ("mouth", run.mouth)) for kind in ("field", "net")}
    warmup = run.warmup_optimizer if run.phase == PHASES.index("warmup") else None
    return branches | {"warmup_adam": warmup, "fuse_adam": run.fuse_optimizer}


def load_run(path: Path, clip: Clip, config: TrainConfig, seed: int, check: Callable[[dict[str, Any]], None]) -> Run:
    """The run as it was saved. `check` is given its identity before anything is built, and raises when it is another run's.

    Raises:
        FileFormatError: absent, damaged, no unfinished training, or one that lacks something.
    """
    tensors, saved = load_tensors(path, kind=KIND, version=VERSION)
    check(saved["identity"] if isinstance(saved.get("identity"), dict) else {})
    try:
        return _assembled(tensors, saved, clip, config, seed, path.name)
    except TalkingHeadsError:  # says more than the next clause
        raise
    except (KeyError, RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError("An unfinished training must hold its branches, their statistics and how far it is",
                              f"{path.name} lacks or garbles one ({error})", "Begin anew (resume off)") from error


def _assembled(tensors: dict[str, Tensor], saved: dict[str, Any], clip: Clip, config: TrainConfig, seed: int, file: str) -> Run:
    extent, branches = extent_of(clip), {}
    for name, net, plan in (("face", FaceMotionNet, config.face), ("mouth", MouthMotionNet, config.mouth)):
        part = strip(tensors, f"{name}.")
        if part:
            fresh = drawn(0, lambda: net(**audio_arguments(clip))).to(clip.device)
            branches[name] = Branch.restored(part, fresh, extent, plan.max_points, config.net_lr, config.uniform_lr,
                                             steps_done(saved, config.sh_degree, file, f"{name}_degree"))
    phase, longest = steps_done(saved, len(PHASES), file, "phase"), max(steps_of(config))
    at = steps_done(saved, longest, file, "at")
    mouth_begun = (phase, at) > (PHASES.index("mouth"), 0)
    if mouth_begun and "mouth" not in branches:  # a fresh one would be made in silence
        raise KeyError("mouth.")
    run = Run(clip, config, seed, branches["face"], branches.get("mouth"), phase=phase, at=at)
    run.loss, run.psnr = float(saved["loss"]), float(saved["psnr"])
    moments = saved.get("moments") or {}  # states of earlier versions do not say how many there are
    for name, optimizer in _optimizers(run).items():
        if optimizer is not None:
            restore_optimizer(optimizer, strip(tensors, f"{name}."), moments.get(name), file, _has_moved(run, name))
    return run


def _has_moved(run: Run, name: str) -> bool:
    """Whether the steps behind a run moved what an optimiser moves; a motion net begins after its branch's static steps."""
    phase, still = {"warmup_adam": (0, 0), "face.field_adam": (1, 0), "face.net_adam": (1, run.config.face.static),
                    "mouth.field_adam": (2, 0), "mouth.net_adam": (2, run.config.mouth.static), "fuse_adam": (3, 0)}[name]
    frozen = name == "mouth.net_adam" and in_ending(run.config, still, MOUTH_FROZEN, run.config.mouth.steps)
    return not frozen and run.lengths[phase] > still and run.done > sum(run.lengths[:phase]) + still
