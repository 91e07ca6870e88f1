"""The processes that train together: a single one, or several through `accelerate`."""
from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..media_core.errors import TalkingHeadsError

if TYPE_CHECKING:
    from accelerate import Accelerator


class SingleProcess:
    """One process."""

    rank, size = 0, 1

    @property
    def main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The module that a loss must go through, so that every process gets the mean of all gradients."""
        return network

    def no_sync(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """A stretch in which gradients are added up without being exchanged."""
        return nullcontext()

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, on the device of `values`."""
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Makes every gradient the sum over all processes; for networks that `wrapped` does not suit."""

    def any(self, said: bool) -> bool:
        """Whether one of the processes says so; every process must ask."""
        return said

    def wait(self) -> None:
        """Until all are here."""


class Distributed(SingleProcess):
    """Several processes, one of which this is (`accelerate launch`)."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes

    @classmethod
    def join(cls, device: str | torch.device | None = None) -> Distributed:
        """Meets the other processes.

        Args:
            device: "cpu", or None for what `accelerate` was configured for.
        Raises:
            TalkingHeadsError: accelerate is not installed.
        """
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise TalkingHeadsError("Training in several processes needs the library accelerate", "it is not installed",
                                    "Install talking-heads[train]") from error
        return cls(Accelerator(cpu=device is not None and torch.device(device).type == "cpu", mixed_precision="no"))

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.accelerator.device

    def wrapped(self, network: nn.Module) -> nn.Module:
        return self.accelerator.prepare_model(network)

    def no_sync(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        return self.accelerator.no_sync(wrapped)

    def total(self, values: Tensor) -> Tensor:
        # An avatar is trained on the CPU where nothing draws on the GPU; GPUs exchange only what lies on them.
        summed = self.accelerator.reduce(values.to(self.device), reduction="sum")
        assert isinstance(summed, Tensor)  # a tensor in, a tensor out; `reduce` takes nested containers too
        return summed.to(values.device)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """In one exchange. A gradient that no process has stays absent: an optimizer then leaves its parameter alone."""
        parameters = list(parameters)
        flags = self.total(torch.tensor([float(p.grad is not None) for p in parameters]))
        there = [p for p, count in zip(parameters, flags.tolist(), strict=True) if count]
        if not there:
            return
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in there]
        summed = self.total(torch.cat([g.flatten() for g in own]))
        for p, part in zip(there, summed.split([p.numel() for p in there]), strict=True):
            p.grad = part.view_as(p).clone()

    def any(self, said: bool) -> bool:
        return bool(self.total(torch.tensor(float(said))) > 0)

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()
