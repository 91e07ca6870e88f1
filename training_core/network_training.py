"""A training of networks by gradient descent: a method brings its networks and their losses, the rest is done here."""
from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..media_core.errors import FileFormatError, TalkingHeadsError
from .optim import Ema, lr_factor, make_optimizer
from .process_group import SingleProcess
from .settings import TrainSettings
from .state import (
    check_finite,
    check_finite_weights,
    check_saved_weights,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    saved_count,
    strip,
)
from .trainer import TrainState

SKIPPED = 20  # steps of fp16 in a row whose gradient is not finite, before the training is given up
STEP_METRICS = ("lr", "grad_norm")  # of every step, after the method's own


class Part:
    """One network that is trained: its moving parameters and their optimizer."""

    def __init__(self, network: nn.Module, settings: TrainSettings, *, lr: float, clip: float | None):
        self.network, self.lr, self.clip = network, lr, clip
        self.params = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(settings.optimizer, self.params.values(), lr, settings.weight_decay, settings.betas)

    def set_lr(self, factor: float) -> float:
        """Sets the optimizer's learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * factor
        return self.lr * factor


class NetworkTraining(TrainState):
    """The state of a training.

    Args:
        config: its settings.
        parts: what is trained, by name; the first is the model to save.
        group: the processes that train together.
        device: where to compute.
    Attributes:
        model: the part that is saved. average: its averaged weights, or None.
        skipped: steps in a row that fp16 could not take.
    """

    kind: ClassVar[str]  # of its files
    version: ClassVar[int]

    def __init__(self, config: TrainSettings, parts: Mapping[str, Part], group: SingleProcess, device: torch.device):
        super().__init__(config, config.steps, group)
        check_batch(config, group)
        self.settings, self.parts, self.device = config, parts, device
        self.model = next(iter(parts.values()))
        self.average = None if config.ema is None else Ema(self.model.params, config.ema, config.ema_warm_up)
        self.scaler, self.skipped = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16"), 0

    # what a method brings -------------------------------------------------------------------------------------------------------

    def turn(self, step: int) -> str:
        """The part that moves in `step`."""
        return next(iter(self.parts))

    @abstractmethod
    def wrapped(self, turn: str) -> nn.Module:
        """What the losses of a turn go through: `SingleProcess.wrapped` of it."""

    @abstractmethod
    def metric_names(self, turn: str) -> tuple[str, ...]:
        """Of what `losses` gives, "loss" first."""

    @abstractmethod
    def losses(self, turn: str, indices: Sequence[int]) -> Tensor:  # float32 [metrics]
        """What samples `indices` of this step's batch contribute to the batch's metrics; the first one has a gradient."""

    # one step -------------------------------------------------------------------------------------------------------------------

    def train_step(self) -> dict[str, float]:
        """One optimisation step: loss, its parts, the learning rate and the gradient's norm.

        Raises:
            TalkingHeadsError: the loss or the gradient is not finite; the weights are those before the step. With fp16 such a
                gradient only skips the step, until it happens `SKIPPED` times in a row.
        """
        config, turn = self.settings, self.turn(self.step)
        part = self.parts[turn]
        lr = part.set_lr(lr_factor(self.step, config.steps, config.warm_up, config.schedule, config.floor))
        part.optimizer.zero_grad(set_to_none=True)
        sums = self.group.total(self.gradients(turn))
        self.scaler.unscale_(part.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(part.params.values(), part.clip or math.inf)
        *values, size = torch.stack([*sums, norm.to(sums)]).tolist()
        may_skip = self.scaler.is_enabled() and self.skipped < SKIPPED
        check_finite(values[0], 0.0 if may_skip else size, f"step {self.step + 1}, learning rate {lr:g}")
        self.whole = False  # memory may run out while weights move
        if math.isfinite(size):
            self.scaler.step(part.optimizer)
        self.scaler.update()
        self.skipped = 0 if math.isfinite(size) else self.skipped + 1
        self.step += 1
        if self.average is not None and part is self.model and self.step % config.ema_every == 0:
            self.average.update(part.params, self.step // config.ema_every)
        self.whole = True
        return {**dict(zip(self.metric_names(turn), values, strict=True)), "lr": lr, "grad_norm": size}

    def gradients(self, turn: str) -> Tensor:  # float32 [metrics]
        """Adds up the gradients of this process's part of the batch; its contribution to the metrics."""
        config, group = self.settings, self.group
        pieces = np.split(np.arange(config.batch), group.size * config.accumulation)
        pieces = pieces[group.rank * config.accumulation:(group.rank + 1) * config.accumulation]
        sums = torch.zeros(len(self.metric_names(turn)), device=self.device)
        for number, indices in enumerate(pieces):
            with nullcontext() if number == len(pieces) - 1 else group.no_sync(self.wrapped(turn)):
                found = self.losses(turn, indices.tolist())
                self.scaler.scale(found[0] * group.size).backward()  # gradients are averaged over processes; these are summed
            sums += found.detach()
        return sums

    def weights(self) -> dict[str, Tensor]:
        """All tensors of the model to save: averaged where they are averaged, else the last."""
        return {**self.model.network.state_dict(), **(self.average.average if self.average is not None else {})}

    def less_memory(self) -> str:
        """What takes less memory than this step did."""
        piece = self.settings.batch // (self.group.size * self.settings.accumulation)
        more = self.settings.accumulation
        pieces = f"gradient accumulation above {more}" if piece > 1 else "a smaller preset or smaller images"
        return (f"Set less memory (memory_gb, --memory-gb) or {pieces}, and checkpointing on; or close other programs. Then run "
                "it again: it continues")

    # on disk --------------------------------------------------------------------------------------------------------------------

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        tensors, moments = {}, {}
        for name, part in self.parts.items():
            check_finite_weights(part.params, f"step {self.step}")
            found = optimizer_tensors(part.optimizer)
            tensors |= {f"{name}.{k}": v for k, v in part.network.state_dict().items()}
            tensors |= {f"optimizer.{name}.{k}": v for k, v in found.items()}
            moments[name] = len(found)
        tensors |= {f"average.{k}": v for k, v in (self.average.average.items() if self.average else ())}
        save_state(path, tensors, self.kind, self.version, {
            "identity": identity, "step": self.step, "skipped": self.skipped, "scaler": self.scaler.state_dict(),
            "moments": moments})

    def load(self, path: Path, check: Callable[[dict[str, Any]], None]) -> None:
        """Goes on where `save` left off. `check` is given its identity first, and raises when it is another training's.

        Raises:
            FileFormatError: no such file, of an earlier version, or one that lacks weights or moments, or whose counts are none.
        """
        tensors, saved = load_state(path, self.kind, self.version, check)
        wanted = {f"{name}.": part.network.state_dict() for name, part in self.parts.items()}
        wanted |= {} if self.average is None else {"average.": self.average.average}
        for prefix, own in wanted.items():
            check_saved_weights(strip(tensors, prefix), own, path.name)
        step, skipped = saved_count(saved, self.steps, path.name), saved_count(saved, SKIPPED, path.name, "skipped")
        counts = saved["moments"] if isinstance(saved.get("moments"), dict) else {}
        for name, part in self.parts.items():
            part.network.load_state_dict(strip(tensors, f"{name}."))
            restore_optimizer(part.optimizer, strip(tensors, f"optimizer.{name}."), counts.get(name), path.name,
                              self._has_moved(name, step, skipped))
        if self.average is not None:
            self.average.average = {k: v.to(self.device) for k, v in strip(tensors, "average.").items()}
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(self._scaler_state(saved, path.name))
        self.step, self.skipped = step, skipped

    def _has_moved(self, name: str, step: int, skipped: int) -> bool:
        """Whether part `name` has surely been moved by one of the steps before `step`. Of those with fp16 only the last before
        the `skipped` ones is known to have been taken."""
        taken = step - skipped
        sure = range(max(0, taken - 1) if self.scaler.is_enabled() else 0, taken)
        return any(self.turn(earlier) == name for earlier in sure)

    def _scaler_state(self, saved: Mapping[str, Any], file: str) -> dict[str, Any]:
        """How fp16 scales its gradients, as a state says it.

        Raises:
            FileFormatError: it does not, or with numbers that no training makes.
        """
        state, own = saved.get("scaler"), self.scaler.state_dict()

        def fits(value: object, like: float | int) -> bool:
            if type(like) is int:
                return type(value) is int and 0 <= value < 2 ** 31
            return isinstance(value, (int, float)) and type(value) is not bool and 0 < value <= torch.finfo(torch.float32).max

        if not isinstance(state, dict) or state.keys() != own.keys() or not all(fits(v, own[k]) for k, v in state.items()):
            raise FileFormatError("An unfinished training in fp16 must say how it scales its gradients", f"{state!r} in {file}",
                                  "Start over (resume off)")
        return state


def check_batch(config: TrainSettings, group: SingleProcess) -> None:
    """Raises:
        TalkingHeadsError: the batch does not divide evenly.
    """
    if config.batch % (group.size * config.accumulation):
        raise TalkingHeadsError("A batch must divide evenly into processes and accumulated pieces",
                                f"{config.batch} samples, {group.size} processes, {config.accumulation} pieces",
                                "Change the batch, or the pieces")


def seed_of(seed: int, *more: int) -> int:
    """A seed of its own for every purpose."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1, np.uint64)[0] >> 1)
