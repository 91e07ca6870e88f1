"""The unfinished training of an avatar on disk: branches, moments, counters. Written whole or not at all."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...media_core.chance import drawn
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...training_core.process_group import SingleProcess
from ...training_core.state import (
    check_finite_weights,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    saved_count,
    strip,
)
from ..model.motion import MouthMotionNet
from ..speech_format import SpeechFormat
from .batches import Clip
from .branches import Branch, audio_arguments, extent_of, fresh_face_net
from .config import TrainConfig
from .mcmc import density_control
from .objectives import MOUTH_FROZEN, in_ending
from .steps import PHASES, AvatarTraining, steps_of

KIND, VERSION = "training", 2


def save_training(training: AvatarTraining, path: Path, identity: Mapping[str, Any]) -> None:
    """Saves everything a later `load_training` needs.

    Raises:
        TalkingHeadsError: weights that are not finite (an earlier file stays), or no room.
    """
    tensors: dict[str, Tensor] = {}
    moments: dict[str, int] = {}
    degrees: dict[str, int] = {}
    for name, branch in (("face", training.face), ("mouth", training.mouth)):
        if branch is not None:
            weights = branch.weights()
            check_finite_weights(weights, f"step {training.step}")
            tensors |= {f"{name}.{k}": v for k, v in weights.items()}
            degrees[f"{name}_degree"] = branch.field.active_sh_degree
    if training.residuals is not None:
        tensors["residuals.xi"] = training.residuals.xi.detach()
        check_finite_weights({"xi": tensors["residuals.xi"]}, f"step {training.step}")
    for name, optimizer in _optimizers(training).items():
        found = optimizer_tensors(optimizer)
        tensors |= {f"{name}.{k}": v for k, v in found.items()}
        moments[name] = len(found)
    config = {"identity": identity, "step": training.step, "loss": training.loss, "psnr": training.psnr, "moments": moments,
              "hears": training.clip.hears.to_config()}
    save_state(path, {k: v.clone() for k, v in tensors.items()}, KIND, VERSION, config | degrees)


def _optimizers(training: AvatarTraining) -> dict[str, torch.optim.Optimizer | None]:
    """A training's optimizers by the name their moments are saved under; None where there is none (yet, or any more)."""
    branches = {f"{name}.{kind}_adam": branch and getattr(branch, f"{kind}_optimizer")
                for name, branch in (("face", training.face), ("mouth", training.mouth)) for kind in ("field", "net")}
    warmup = training.warmup_optimizer if training.phase == PHASES.index("warmup") else None
    poses = training.residuals and training.residuals.optimizer
    return branches | {"warmup_adam": warmup, "fuse_adam": training.fuse_optimizer, "poses_adam": poses}


def load_training(path: Path, clip: Clip, config: TrainConfig, seed: int, check: Callable[[dict[str, Any]], None],
                  group: SingleProcess | None = None) -> AvatarTraining:
    """The training as it was saved. `check` is given its identity before anything is built, and raises when it is another's.

    Raises:
        FileFormatError: absent, damaged, no unfinished training, one of an earlier version, or one that lacks something.
    """
    tensors, saved = load_state(path, KIND, VERSION, check)
    try:
        return _assembled(tensors, saved, clip, config, seed, path.name, group)
    except TalkingHeadsError:  # says more than the next clause
        raise
    except (KeyError, RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError("An unfinished training must hold its branches, their statistics and how far it is",
                              f"{path.name} lacks or garbles one ({error})", "Start over (resume off)") from error


def _assembled(tensors: dict[str, Tensor], saved: dict[str, Any], clip: Clip, config: TrainConfig, seed: int, file: str,
               group: SingleProcess | None) -> AvatarTraining:
    heard = SpeechFormat.from_config({**saved["hears"], "audio": {"audio_dim": clip.hears.dim}})
    if not heard.same_model(clip.hears.silence):
        raise TalkingHeadsError("An unfinished training can only be continued with the same speech encoder",
                                f"another model called '{heard.encoder}' than the one of {file}",
                                "Restore the model folder, choose another name, or start over (resume off)")
    extent, branches = extent_of(clip), {}
    for name, net, plan in (("face", lambda: fresh_face_net(clip, config), config.face),
                            ("mouth", lambda: MouthMotionNet(*audio_arguments(clip)), config.mouth)):
        part = strip(tensors, f"{name}.")
        if part:
            fresh = drawn(0, net).to(clip.device)
            branches[name] = Branch.restored(part, fresh, extent, plan.max_points, config.net_lr, config.uniform_lr,
                                             saved_count(saved, config.sh_degree, file, f"{name}_degree"), config.audio_lr,
                                             density_control(config))
    lengths = steps_of(config)
    step = saved_count(saved, sum(lengths), file)
    if step > sum(lengths[:PHASES.index("mouth")]) and "mouth" not in branches:  # a fresh one would be made in silence
        raise KeyError("mouth.")
    training = AvatarTraining(clip, config, seed, branches["face"], branches.get("mouth"), step=step, group=group)
    training.loss, training.psnr = float(saved["loss"]), float(saved["psnr"])
    if training.residuals is not None:
        with torch.no_grad():
            training.residuals.xi.copy_(_fitting(tensors["residuals.xi"], training.residuals.xi))
    moments = saved["moments"]
    for name, optimizer in _optimizers(training).items():
        if optimizer is not None:
            restore_optimizer(optimizer, strip(tensors, f"{name}."), moments[name], file, _has_moved(training, name))
    return training


def _fitting(saved: Tensor, own: Tensor) -> Tensor:
    """Raises:
        ValueError: tensors of other sizes, or not finite.
    """
    if saved.shape != own.shape or not torch.isfinite(saved).all():
        raise ValueError(f"pose residuals {list(saved.shape)} for {len(own)} frames")
    return saved


def _has_moved(training: AvatarTraining, name: str) -> bool:
    """Whether the steps already done moved what an optimizer moves; a motion net begins after its branch's static steps."""
    config, lengths = training.config, steps_of(training.config)
    phase, still = {"warmup_adam": (0, 0), "face.field_adam": (1, 0), "face.net_adam": (1, config.face.static),
                    "poses_adam": (1, config.face.static),
                    "mouth.field_adam": (2, 0), "mouth.net_adam": (2, config.mouth.static), "fuse_adam": (3, 0)}[name]
    frozen = name == "mouth.net_adam" and in_ending(config, still, MOUTH_FROZEN, config.mouth.steps)
    return not frozen and lengths[phase] > still and training.step > sum(lengths[:phase]) + still
