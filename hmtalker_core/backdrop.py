"""What stands behind a drawn head, at any size: the body, and the plate or colour behind everything."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..media_core.tracks import ping_pong
from .model.camera import Window
from .model.torso import TorsoModel

Background = Literal["plate", "black", "transparent"] | Sequence[float] | Tensor
_NOTHING = 1 / 512  # of alpha: no colour is known below


def is_clear(background: Background) -> bool:
    """Whether nothing is behind the head."""
    return isinstance(background, str) and background == "transparent"


def body_layer(torso: TorsoModel, index: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Premultiplied colour [B, H, W, 3] and alpha [B, H, W, 1] of the body in states `index` [B], in a window on its image."""
    colour, alpha = torso.layer(index)
    if tuple(torso.size) != window.whole:
        alpha = resized(alpha, window.whole)
        colour = torch.minimum(resized(colour, window.whole), alpha)  # premultiplied: never above alpha
    return window.cut(colour), window.cut(alpha)


def backdrop(plate: Tensor, background: Background, window: Window, begin: int, end: int) -> Tensor:
    """What is behind frames begin..end, [B or 1, H, W, 3] in 0..1, in a window on the plate.

    Args:
        plate: uint8 [h, w, 3], the recorded background.
        background: plate, black (so is what is transparent), an RGB colour in 0..1, or images [n, h, w, 3] in 0..1: of the first
            n frames, then ping-pong. They fill the frame; what is too wide or too high is cut off on both sides.
    """
    if isinstance(background, Tensor):
        rows = ping_pong(len(background), end)[begin:end] if len(background) > 1 else [0]
        return filling(background[rows].to(plate.device, torch.float32), window.size)
    if isinstance(background, str) and background == "plate":
        image = plate.float().div(255)[None]
        return window.cut(image if tuple(plate.shape[:2]) == window.whole else resized(image, window.whole))
    colour = (0.0, 0.0, 0.0) if isinstance(background, str) else tuple(float(v) for v in background)
    return torch.tensor(colour, device=plate.device).expand(1, *window.size, 3)


def filling(images: Tensor, size: tuple[int, int]) -> Tensor:  # [B, h, w, 3] -> [B, H, W, 3]
    """The middle of the images, in the shape of `size`, resized."""
    (height, width), (tall, wide) = size, images.shape[1:3]
    scale = min(tall / height, wide / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (tall - rows) // 2, (wide - columns) // 2
    middle = images[:, top:top + rows, left:left + columns]
    return middle if tuple(middle.shape[1:3]) == tuple(size) else resized(middle, size)


def straight(colour: Tensor, alpha: Tensor) -> Tensor:  # premultiplied [B, H, W, 3], [B, H, W] -> [B, H, W, 3] in 0..1
    """The colour itself, for files and nodes that keep alpha beside it; black where there is nothing."""
    return torch.where(alpha[..., None] > _NOTHING, colour / alpha[..., None].clamp(min=_NOTHING), 0.0).clamp(0, 1)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:  # [B, h, w, C] in 0..1 -> [B, H, W, C] in 0..1
    """Cubic, so that what is made larger and averaged down again is what it was."""
    moved = torch.nn.functional.interpolate(image.movedim(-1, 1), size=tuple(size), mode="bicubic", align_corners=False,
                                            antialias=True)
    return moved.clamp(0, 1).movedim(1, -1)
