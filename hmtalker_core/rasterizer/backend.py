"""What a back end of the rasteriser is, and how the registered ones are found. The list itself is `backend_registry.py`."""
from __future__ import annotations

import functools
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ..backend_registry import BACKENDS
from .arguments import Scene

Rendered = tuple[Tensor, Tensor, dict[str, Any]]  # image [..., C, H, W, D (+1)], alpha [..., C, H, W, 1], meta


class Backend(Protocol):
    """Draws scenes. Only `name` and `render` must be given; the rest suits a back end that works everywhere."""

    name: str  # of its module, in BACKENDS
    needs: str = "nothing"  # what `why_not` looks for, for messages
    remedy: str = ""  # how to get it
    works: str = "it works"  # why it is chosen, as a clause before "on <device>"

    def render(self, scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> Rendered:
        """What `rasterization` returns, over the scene's background; differentiable as it says."""
        ...

    def why_not(self, device: torch.device) -> str | None:
        """None where it can draw tensors of `device`, otherwise the reason why it cannot, as a clause. May try it out."""
        return None

    def is_pending(self, device: torch.device) -> bool:
        """Whether `why_not` would now try something that takes long, such as compiling. Tries nothing itself."""
        return False

    def place(self, device: torch.device) -> torch.device:
        """Where a scene should lie to be drawn: elsewhere than on `device` where every frame would have to be copied."""
        return device

    def must_compile(self, gradients: bool) -> bool:
        """Whether the next image waits for a compiler. Compiles nothing."""
        return False


@functools.lru_cache(maxsize=len(BACKENDS))
def backend(name: str) -> Backend:
    """The back end of a name in BACKENDS; its module is imported at the first call."""
    return import_module(f".{name}", __package__).BACKEND


def checked_name(wanted: str) -> str:
    """`wanted`, "auto" or a name in BACKENDS.

    Raises:
        TalkingHeadsError: it is neither.
    """
    if wanted != "auto" and wanted not in BACKENDS:
        raise TalkingHeadsError(f"The rasteriser's back end must be auto or one of {', '.join(BACKENDS)}",
                                repr(wanted), "Choose one of them")
    return wanted


def chosen(device: torch.device, wanted: str) -> tuple[Backend, str]:
    """The back end that draws tensors of `device`, and why in a sentence.

    Raises:
        TalkingHeadsError: no such back end, or one that does not work here.
    """
    reasons: list[str] = []
    for name in BACKENDS if checked_name(wanted) == "auto" else (wanted,):
        one = backend(name)
        missing = one.why_not(device)
        if missing is None:
            why = "; ".join(reasons) or f"{one.works} on {device}"
            return one, why if wanted == "auto" else "asked for by name"
        if wanted != "auto":
            raise TalkingHeadsError(f"The back end {name} needs {one.needs}", missing,
                                    f'Use backend="auto" or "cpu"{one.remedy and ", or "}{one.remedy}')
        reasons.append(f"{name} is not used: {missing}")
    raise TalkingHeadsError("A rasteriser's back end must work here", "; ".join(reasons), "Install one of them")


def pending(device: torch.device, wanted: str) -> bool:
    """Whether `chosen` would first try something that takes long."""
    for name in BACKENDS if checked_name(wanted) == "auto" else (wanted,):
        if backend(name).is_pending(device):
            return True
        if backend(name).why_not(device) is None:
            return False
    return False
