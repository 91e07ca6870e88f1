"""What every measure accepts: numpy or torch, checked, as float64 on the CPU."""
from __future__ import annotations

import numpy as np
import torch

from ..errors import TalkingHeadsError

Array = np.ndarray | torch.Tensor


def double(x: Array) -> torch.Tensor:
    """As float64 on the CPU: not every device has float64."""
    return torch.as_tensor(x).detach().cpu().double()


def image(x: Array) -> torch.Tensor:
    """Pixels as float64 0..1; uint8 is divided by 255."""
    return double(x) / 255 if torch.as_tensor(x).dtype == torch.uint8 else double(x)


def image_pair(a: Array, b: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images or batches of them [..., H, W, C] of one shape, as float64 0..1.

    Raises:
        TalkingHeadsError: no such images, or of different shapes.
    """
    a, b = image(a), image(b)
    same(a, b)
    if a.ndim < 3:
        raise TalkingHeadsError("Images must be [..., H, W, C]", f"{list(a.shape)}", "Add the channel axis")
    return a, b


def points(x: Array) -> torch.Tensor:  # float64 [T, 68, D]
    """Landmarks of T frames; those of one image become T = 1.

    Raises:
        TalkingHeadsError: not 68 points of 2 or 3 coordinates.
    """
    x = double(x)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[1] != 68:
        raise TalkingHeadsError("Landmarks must be [T, 68, 2 or 3]", f"{list(x.shape)}", "Use the 68-point layout")
    return x


def point_pair(a: Array, b: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of landmarks of one shape."""
    a, b = points(a), points(b)
    same(a, b)
    return a, b


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    """Raises:
        TalkingHeadsError: the shapes differ.
    """
    if a.shape != b.shape:
        raise TalkingHeadsError("Inputs to compare must have equal shape", f"{list(a.shape)} and {list(b.shape)}",
                                "Cut or resample one of them")
