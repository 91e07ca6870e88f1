"""Private random numbers: initial weights and dropout from a generator instead of torch's default one, which all threads share.

Two trainings in two threads of a process would otherwise share one sequence, and each would end with different weights.
"""
from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .errors import TalkingHeadsError

Made = TypeVar("Made")
_ONE_AT_A_TIME = RLock()  # entering and leaving a mode keeps and restores flags of torch's that all threads share


class _DrawnFrom(TorchDispatchMode):
    """What this thread draws on the CPU while the mode is on comes from `generator`; torch keeps modes apart by thread.

    Raises, while it is on:
        TalkingHeadsError: a draw in a form that takes no generator.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("generator") is None:
            if any(argument.name == "generator" for argument in func._schema.arguments):
                kwargs["generator"] = self.generator
            elif "generator" in func.overloadpacket.overloads():  # randn and its like: another form of it takes one
                func, kwargs["generator"] = _with_generator(func), self.generator
        return func(*args, **kwargs)


def _with_generator(func: Any) -> Any:
    """The same draw in the form that takes a generator: randint.generator for randint, randint.low_generator for randint.low."""
    name = "generator" if func._overloadname == "default" else f"{func._overloadname}_generator"
    if name not in func.overloadpacket.overloads():
        raise TalkingHeadsError("Initial weights must be sampled in a way that takes a generator", str(func),
                                "Use the plain form: torch.rand, randn or randint without `out`")
    return getattr(func.overloadpacket, name)


def drawn(seed: int, make: Callable[[], Made]) -> Made:
    """What `make` returns, its initial weights sampled as after `torch.manual_seed(seed)`, bit for bit; the default generator is
    neither read nor changed. Threads take turns.

    Args:
        seed: 0..2^64 - 1.
        make: builds networks on the CPU.
    """
    with _ONE_AT_A_TIME, _DrawnFrom(torch.Generator().manual_seed(seed)):
        return make()


class Chance:
    """The random numbers of one network's dropout: a generator for each device, reseeded by whoever trains it."""

    def __init__(self) -> None:
        self._seed = 0
        self._generators: dict[torch.device, torch.Generator] = {}

    def seed(self, number: int) -> None:
        """From now on everything depends on `number` (0..2^64 - 1) alone."""
        self._seed = number
        for generator in self._generators.values():
            generator.manual_seed(number)

    def of(self, device: torch.device) -> torch.Generator:
        """The generator that draws on `device`."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


@runtime_checkable
class _Random(Protocol):
    """A part of a network that draws random numbers."""

    chance: Chance | None


class Dropout(nn.Module):
    """`nn.Dropout`, bit for bit on the CPU, but drawn from `chance`; without one (None) from torch's default generator.

    Args:
        p: fraction of the numbers that become 0 in training, 0..1.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.chance: Chance | None = None

    def forward(self, x: Tensor) -> Tensor:  # any shape -> the same
        return dropped(x, self.p, self.chance) if self.training and self.p > 0 else x


def dropped(x: Tensor, p: float, chance: Chance | None) -> Tensor:  # any shape -> the same
    """`x` with a fraction `p` (below 1) of its numbers 0 and the others divided by 1 - p."""
    generator = None if chance is None else chance.of(x.device)
    return x * torch.empty_like(x).bernoulli_(1 - p, generator=generator).div_(1 - p)


def share_chance(network: nn.Module) -> Chance:
    """One `Chance` for every part of `network` that has one: dropout, and attention with dropout."""
    chance = Chance()
    for part in network.modules():
        if isinstance(part, _Random):
            part.chance = chance
    return chance
