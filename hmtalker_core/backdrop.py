"""What stands behind a drawn head, at any size: the body, and the plate or colour behind everything."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from .model.torso import TorsoModel

Background = Literal["plate", "black"] | Sequence[float]


def body_layer(torso: TorsoModel, index: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Premultiplied colour [B, H, W, 3] and alpha [B, H, W, 1] of the body in states `index` [B], at `size` (H, W) px."""
    colour, alpha = torso.layer(index)
    if tuple(torso.size) != tuple(size):
        alpha = resized(alpha, size)
        colour = torch.minimum(resized(colour, size), alpha)  # premultiplied: never above alpha
    return colour, alpha


def backdrop(plate: Tensor, background: Background, size: tuple[int, int]) -> Tensor:  # uint8 [h, w, 3] -> [H, W, 3] in 0..1
    """The recorded background (plate), black, or an RGB colour in 0..1, at `size` (H, W) px."""
    if background == "plate":
        image = plate.float().div(255)
        return image if tuple(plate.shape[:2]) == tuple(size) else resized(image[None], size)[0]
    colour = (0.0, 0.0, 0.0) if background == "black" else tuple(float(v) for v in background)
    return torch.tensor(colour, device=plate.device).expand(*size, 3)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:  # [B, h, w, C] in 0..1 -> [B, H, W, C] in 0..1
    """Cubic, so that what is made larger and averaged down again is what it was."""
    moved = torch.nn.functional.interpolate(image.movedim(-1, 1), size=tuple(size), mode="bicubic", align_corners=False,
                                            antialias=True)
    return moved.clamp(0, 1).movedim(1, -1)
