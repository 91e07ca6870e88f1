"""A training of MToV between two steps, what one step does, and how it is kept on disk."""
from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...training_core.optim import Ema, make_optimizer, rate_factor
from ...training_core.state import (
    LOWER,
    check_finite_weights,
    check_saved_weights,
    optimizer_tensors,
    restore_optimizer,
    steps_done,
    strip,
)
from .objectives import Objective
from .train_config import TrainConfig

KIND, VERSION = "mtov_training", 1
SKIPPED = 20  # steps of fp16 in a row whose gradient is not finite, before the training is given up


class Part:
    """One network that is trained: its moving parameters and their optimiser."""

    def __init__(self, network: nn.Module, config: TrainConfig, lr: float, clip: float | None):
        self.network, self.lr, self.clip = network, lr, clip
        self.params = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(config.optimizer, self.params.values(), lr, config.weight_decay, config.betas)

    def rate(self, factor: float) -> float:
        """Sets the optimiser's rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * factor
        return self.lr * factor


class Run:
    """The state of a training.

    Args:
        config: the stage's settings.
        objective: what is asked of the networks, and the networks.
    Attributes:
        done: steps behind it.
        parts: what is trained, by name; the first is what is kept. average: its averaged weights, or None.
        skipped: steps in a row that fp16 could not take.
    """

    def __init__(self, config: TrainConfig, objective: Objective):
        team = objective.team
        if config.batch % (team.size * config.accumulation):
            raise TalkingHeadsError("A batch must divide evenly into processes and accumulated pieces",
                                    f"{config.batch} windows, {team.size} processes, {config.accumulation} pieces",
                                    "Change the batch, or the pieces")
        self.config, self.objective, self.team, self.device, self.done = config, objective, team, objective.device, 0
        self.parts = {name: Part(network, config, config.judges_lr if name == "judges" else config.lr,
                                 config.judges_clip if name == "judges" else config.gradient_clip)
                      for name, network in objective.networks.items()}
        self.kept = next(iter(self.parts.values()))
        self.average = None if config.ema is None else Ema(self.kept.params, config.ema, config.ema_warm_up)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.skipped = 0

    def step(self) -> dict[str, float]:
        """One optimisation step: loss, its parts, the rate and the gradient's norm.

        Raises:
            TalkingHeadsError: the loss or the gradient is not finite; the weights are those before the step. With fp16 such a
                gradient only skips the step, until it happens `SKIPPED` times in a row.
        """
        config, turn = self.config, self.objective.turn(self.done)
        part = self.parts[turn]
        rate = part.rate(rate_factor(self.done, config.steps, config.warm_up, config.schedule, config.floor))
        part.optimizer.zero_grad(set_to_none=True)
        sums = self.team.total(self._gradients(turn))
        self.scaler.unscale_(part.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(part.params.values(), part.clip or math.inf)
        *figures, size = torch.stack([*sums, norm.to(sums)]).tolist()
        self._check(figures[0], size, rate)
        if math.isfinite(size):
            self.scaler.step(part.optimizer)
        self.scaler.update()
        self.skipped = 0 if math.isfinite(size) else self.skipped + 1
        self.done += 1
        if self.average is not None and part is self.kept and self.done % config.ema_every == 0:
            self.average.update(part.params, self.done // config.ema_every)
        return {**dict(zip(self.objective.figures(turn), figures)), "rate": rate, "gradient": size}

    def _gradients(self, turn: str) -> Tensor:  # float32 [figures]
        """Adds up this process's share of the batch; its share of the figures."""
        config, team = self.config, self.team
        pieces = np.split(np.arange(config.batch), team.size * config.accumulation)
        pieces = pieces[team.rank * config.accumulation:(team.rank + 1) * config.accumulation]
        sums = torch.zeros(len(self.objective.figures(turn)), device=self.device)
        for number, indices in enumerate(pieces):
            last, share = number == len(pieces) - 1, len(indices) / config.batch
            with nullcontext() if last else team.apart(self.objective.wrapped[turn]):
                figures = self.objective.losses(turn, self.done, indices)
                self.scaler.scale(figures[0] * share * team.size).backward()  # processes' gradients are averaged; to be summed
            sums += share * figures.detach()
        return sums

    def _check(self, loss: float, size: float, rate: float) -> None:
        may_skip = self.scaler.is_enabled() and self.skipped < SKIPPED
        if not math.isfinite(loss) or not (math.isfinite(size) or may_skip):
            raise TalkingHeadsError("The loss of a training must stay finite",
                                    f"loss {loss:g}, gradient {size:g} at step {self.done + 1}, rate {rate:g}",
                                    LOWER)

    def weights(self) -> dict[str, Tensor]:
        """All tensors of the network that is kept: averaged where they are averaged, else the last."""
        return {**self.kept.network.state_dict(), **(self.average.average if self.average is not None else {})}

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Writes everything `load` needs, whole or not at all.

        Raises:
            TalkingHeadsError: weights that are not finite (an earlier file stays), or no room.
        """
        tensors, moments = {}, {}
        for name, part in self.parts.items():
            check_finite_weights(part.params, f"step {self.done}")
            kept = optimizer_tensors(part.optimizer)
            tensors |= {f"{name}.{k}": v for k, v in part.network.state_dict().items()}
            tensors |= {f"optimizer.{name}.{k}": v for k, v in kept.items()}
            moments[name] = len(kept)
        tensors |= {f"average.{k}": v for k, v in (self.average.average.items() if self.average else ())}
        state = {"identity": identity, "done": self.done, "skipped": self.skipped, "scaler": self.scaler.state_dict(),
                 "moments": moments}
        save_tensors(path, tensors, kind=KIND, version=VERSION, config=state)

    def load(self, path: Path, check: Callable[[dict[str, Any]], None]) -> None:
        """Goes on where `save` left off. `check` is given its identity first, and raises when it is another run's.

        Raises:
            FileFormatError: no such file, or one that lacks weights or moments, or whose counts are none.
        """
        tensors, saved = load_tensors(path, kind=KIND, version=VERSION)
        check(saved.get("identity", {}))
        wanted = {f"{name}.": part.network.state_dict() for name, part in self.parts.items()}
        wanted |= {} if self.average is None else {"average.": self.average.average}
        for prefix, own in wanted.items():
            check_saved_weights(strip(tensors, prefix), own, path.name)
        done, skipped = (steps_done(saved, most, path.name, what) for what, most in (("done", self.config.steps),
                                                                                     ("skipped", SKIPPED)))
        moments = saved.get("moments") if isinstance(saved.get("moments"), dict) else {}
        for name, part in self.parts.items():
            part.network.load_state_dict(strip(tensors, f"{name}."))
            restore_optimizer(part.optimizer, strip(tensors, f"optimizer.{name}."), moments.get(name), path.name,
                              self._has_moved(name, done, skipped))
        if self.average is not None:
            self.average.average = {k: v.to(self.device) for k, v in strip(tensors, "average.").items()}
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(self._scaler_state(saved, path.name))
        self.done, self.skipped = done, skipped

    def _has_moved(self, name: str, done: int, skipped: int) -> bool:
        """Whether part `name` has surely been moved by one of `done` steps. Of those with fp16 only the last before the
        `skipped` ones is known to have been taken."""
        taken = done - skipped
        sure = range(max(0, taken - 1) if self.scaler.is_enabled() else 0, taken)
        return any(self.objective.turn(step) == name for step in sure)

    def _scaler_state(self, saved: dict[str, Any], file: str) -> dict[str, Any]:
        """How fp16 scales its gradients, as a state tells it.

        Raises:
            FileFormatError: it does not, or with numbers that no training makes.
        """
        state, own = saved.get("scaler"), self.scaler.state_dict()

        def fits(value: Any, like: float | int) -> bool:
            if type(like) is int:
                return type(value) is int and 0 <= value < 2 ** 31
            return type(value) in (int, float) and 0 < value <= torch.finfo(torch.float32).max

        if not isinstance(state, dict) or state.keys() != own.keys() or not all(fits(v, own[k]) for k, v in state.items()):
            raise FileFormatError("An unfinished training in fp16 must say how it scales its gradients", f"{state!r} in {file}",
                                  "Begin anew (resume off)")
        return state


def number(seed: int, *more: int) -> int:
    """A seed of its own for every purpose."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1, np.uint64)[0] >> 1)
