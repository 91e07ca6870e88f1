"""A training of AToM between two steps, what one step does, and how it is kept on disk."""
from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...media_core.chance import drawn, share_chance
from ...media_core.errors import TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...training_core.optim import Ema, make_optimizer, rate_factor
from ...training_core.state import (
    ADAM,
    LOWER,
    check_finite_weights,
    check_saved_weights,
    optimizer_tensors,
    restore_optimizer,
    steps_done,
    strip,
)
from ...training_core.team import Alone
from .attention import Attention
from .denoiser import AToMDenoiser
from .diffusion import losses, noised
from .initial import fresh_denoiser
from .train_config import TrainConfig
from .windows import Windows

KIND, VERSION = "atom_training", 1
_START, _CHANCE = 1 << 32, 1 << 33  # beside the steps: seeds of the first weights and of dropout


class Run:
    """The state of a training.

    Args:
        config: the training; config.denoiser is the network's.
        windows: what it learns from.
        seed: of the weights, the windows and dropout.
        device: where to compute.
        team: the processes that work together.
    Attributes:
        done: steps behind it.
        network: the weights being trained. average: their average, or None.
    """

    def __init__(self, config: TrainConfig, windows: Windows, seed: int, device: torch.device, team: Alone):
        if config.batch % (team.size * config.accumulation):
            raise TalkingHeadsError("A batch must divide evenly into processes and accumulated pieces",
                                    f"{config.batch} windows, {team.size} processes, {config.accumulation} pieces",
                                    "Change the batch, or the pieces")
        self.config, self.windows, self.seed, self.device, self.team, self.done = config, windows, seed, device, team, 0
        self.network = fresh_denoiser(config.denoiser, _number(seed, _START, 0)).to(device).train()
        if config.attention_dropout is not None:
            for part in self.network.modules():
                if isinstance(part, Attention):
                    part.dropout = config.attention_dropout
        self.chance = share_chance(self.network)
        self.params = dict(self.network.named_parameters())
        self.optimizer = make_optimizer(config.optimizer, self.params.values(), config.lr, config.weight_decay, config.betas)
        self.average = None if config.ema is None else Ema(self.params, config.ema, config.ema_warm_up)
        self._wrapped = None

    def step(self) -> dict[str, float]:
        """One optimisation step: loss, its two parts, the rate and the gradient's norm.

        Raises:
            TalkingHeadsError: the loss or the gradient is not finite; the weights are those before the step.
        """
        self._wrapped = self.team.wrapped(self.network) if self._wrapped is None else self._wrapped
        rate = self.config.lr * rate_factor(self.done, self.config.steps, self.config.warm_up, self.config.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.team.total(self._gradients())
        norm = torch.nn.utils.clip_grad_norm_(self.params.values(), self.config.gradient_clip or math.inf)
        reconstruction, velocity, size = torch.stack([*parts, norm.to(parts)]).tolist()
        self._check(reconstruction + velocity, size, rate)
        self.optimizer.step()
        self.done += 1
        if self.average is not None:
            self.average.update(self.params, self.done)
        return {"loss": reconstruction + velocity, "reconstruction": reconstruction, "velocity": velocity, "rate": rate,
                "gradient": size}

    def _gradients(self) -> torch.Tensor:  # float32 [2]
        """Adds up this process's share of the batch; its share of the two parts of the loss."""
        config, team = self.config, self.team
        frames, pairs = self.windows.counts(self.done)
        pieces = np.split(np.arange(config.batch), team.size * config.accumulation)
        pieces = pieces[team.rank * config.accumulation:(team.rank + 1) * config.accumulation]
        parts = torch.zeros(2, device=self.device)
        for number, indices in enumerate(pieces):
            batch = self.windows.batch(self.done, indices).to(self.device)
            self.chance.seed(_number(self.seed, _CHANCE + self.done, int(indices[0])))  # of seed, step and window alone
            with nullcontext() if number == len(pieces) - 1 else team.apart(self._wrapped):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                    predicted = self._wrapped(noised(batch.x0, batch.times, batch.noise), batch.face, batch.audio, batch.times,
                                              batch.keep)
                each = losses(predicted.float(), batch.x0, batch.mask)
                counted = batch.mask.sum()
                share = torch.stack([each.reconstruction * counted / frames,
                                     each.velocity * (batch.mask[:, 1:] & batch.mask[:, :-1]).sum() / max(pairs, 1)])
                (share.sum() * team.size).backward()  # the processes' gradients are averaged, these are to be summed
            parts += share.detach()
        return parts

    def _check(self, loss: float, size: float, rate: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(size)):
            raise TalkingHeadsError("The loss of a training must stay finite",
                                    f"loss {loss:g}, gradient {size:g} at step {self.done + 1}, rate {rate:g}",
                                    LOWER)

    def weights(self) -> dict[str, torch.Tensor]:
        """Those to be kept: the average, or the last."""
        return dict(self.params) if self.average is None else self.average.average

    def averaged_network(self) -> AToMDenoiser:
        """A network of its own with `weights`, in evaluation mode."""
        network = drawn(0, lambda: AToMDenoiser(self.config.denoiser)).to(self.device).eval()
        network.load_state_dict({**self.network.state_dict(), **self.weights()})
        return network

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Writes everything `load` needs, whole or not at all.

        Raises:
            TalkingHeadsError: weights that are not finite (an earlier file stays), or no room.
        """
        check_finite_weights(self.params, f"step {self.done}")
        tensors = {f"network.{k}": v for k, v in self.params.items()}
        tensors |= {f"average.{k}": v for k, v in (self.average.average.items() if self.average else ())}
        moments = optimizer_tensors(self.optimizer)
        tensors |= {f"optimizer.{k}": v for k, v in moments.items()}
        state = {"identity": identity, "done": self.done, "moments": len(moments)}
        save_tensors(path, tensors, kind=KIND, version=VERSION, config=state)

    def load(self, path: Path, check: Callable[[dict[str, Any]], None]) -> None:
        """Goes on where `save` left off. `check` is given its identity first, and raises when it is another run's.

        Raises:
            FileFormatError: no such file, or one that lacks weights or moments, or whose counts are none.
        """
        tensors, saved = load_tensors(path, kind=KIND, version=VERSION)
        check(saved.get("identity", {}))
        for part in ("network.",) if self.average is None else ("network.", "average."):
            check_saved_weights(strip(tensors, part), self.params, path.name)
        self.network.load_state_dict(strip(tensors, "network."))
        if self.average is not None:
            self.average.average = {k: v.to(self.device) for k, v in strip(tensors, "average.").items()}
        done = steps_done(saved, self.config.steps, path.name)
        moments = saved.get("moments")
        if moments is None:  # states of earlier versions do not say how many there are
            moments = len(self.params) * len(getattr(self.optimizer, "entries", ADAM)) if done else 0
        restore_optimizer(self.optimizer, strip(tensors, "optimizer."), moments, path.name)
        self.done = done


def _number(seed: int, *more: int) -> int:
    """A seed of its own for every purpose."""
    return int(np.random.SeedSequence([seed, *more]).generate_state(1, np.uint64)[0] >> 1)
