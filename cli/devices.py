"""`--device`: checked before the work begins."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..media_core.errors import TalkingHeadsError

if TYPE_CHECKING:
    import torch


def add_device(add: Callable[..., argparse.Action]) -> None:
    """The option, the same for every command that computes. `add`: of a parser."""
    add("--device", default=None, help="a torch device such as cpu or cuda:1 (default: the accelerator, or else cpu)")


def chosen_device(name: str | None) -> torch.device:
    """The torch device of that name; None: the accelerator, or else the CPU.

    Raises:
        TalkingHeadsError: torch knows no such device, or this machine has none.
    """
    import torch

    from ..host.shim import model_management

    if name is None:
        return model_management.get_torch_device()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # what torch raises depends on the device
        raise TalkingHeadsError("The device must be one that torch can use here", f"{name!r} ({str(error).splitlines()[0]})",
                                "Leave --device out, or write cpu") from error
    return device
