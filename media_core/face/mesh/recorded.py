"""Small networks without Python between their layers.

Recorded (traced) by torch, a network of many small layers takes three quarters of the time on the CPU for the same numbers, and
threads do not wait for one another's Python meanwhile. The numbers must be the same to the bit, whether it is recorded by now or
not: a recording that rounds otherwise (one of the mesh for a single view does) is not used.
"""
from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Out = TypeVar("Out")
_TRIALS = 5  # runs of a recording: torch changes it during the first ones
_OFTEN = 12  # calls with one shape after which the network is recorded for it: that takes as long as 50 calls


class Recorded(Generic[Out]):
    """A network that is asked about many images of one shape: `net` itself on a GPU, for rare shapes, and where torch does not
    record it well."""

    def __init__(self, net: nn.Module):
        self.net = net
        self._calls, self._lock = Counter[tuple[int, ...]](), Lock()
        self._known: dict[tuple[int, ...], Callable[[Tensor], Out]] = {}

    def __call__(self, x: Tensor) -> Out:
        shape = tuple(x.shape)
        if x.device.type != "cpu":
            return self.net(x)
        self._calls[shape] += 1
        if shape not in self._known and self._calls[shape] >= _OFTEN:
            with self._lock:
                if shape not in self._known:
                    self._known[shape] = self._recording(x)
        return self._known.get(shape, self.net)(x)

    def _recording(self, x: Tensor) -> Callable[[Tensor], Out]:
        with warnings.catch_warnings():  # torch calls recording old, and every length that it takes for constant a danger
            warnings.simplefilter("ignore")
            try:
                recording = torch.jit.trace(self.net, (x,), check_trace=False)  # not frozen: that may round otherwise
            except (AttributeError, RuntimeError):  # a newer torch without it, or Python without what it needs
                return self.net
        assert isinstance(recording, nn.Module)  # of a module
        wanted = self.net(x)
        return recording if all(_same(recording(x), wanted) for _ in range(_TRIALS)) else self.net


def _same(one: Tensor | tuple[Tensor, ...], other: Tensor | tuple[Tensor, ...]) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return all(map(torch.equal, one, other))
