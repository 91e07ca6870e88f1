"""Image losses of the avatar's training (docs/hmtalker.md#losses). Images are [3, H, W] or [B, 3, H, W] in 0..1."""
from __future__ import annotations

import torch
from torch import Tensor

from ...media_core.ssim import ssim


def l1(a: Tensor, b: Tensor) -> Tensor:  # any equal shapes -> []
    """Mean absolute difference."""
    return (a - b).abs().mean()


def photometric(a: Tensor, b: Tensor, ssim_weight: float = 0.2) -> Tensor:
    """L1 + weight (1 - SSIM): the term every stage shares."""
    return l1(a, b) + ssim_weight * (1 - ssim(a, b))


def patchify(image: Tensor, size: int) -> Tensor:  # [C, H, W] or [B, C, H, W] -> [n, C, size, size]
    """Cuts an image into squares side by side, row by row; what is left at the right and at the bottom is dropped."""
    image = image.view(-1, *image.shape[-3:])
    rows, columns = image.shape[-2] // size, image.shape[-1] // size
    cut = image[..., :rows * size, :columns * size].unflatten(-2, (rows, size)).unflatten(-1, (columns, size))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:  # values [..., H, W], mask bool broadcastable -> []
    """Mean over a mask, zero (with zero gradient) when it is empty: a frame without hair is no reason for NaN."""
    mask = mask.to(values.dtype).expand_as(values)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)


def alpha_loss(alpha: Tensor, mask: Tensor) -> Tensor:  # alpha 0..1, mask bool of the same shape -> []
    """Opaque inside the mask, empty outside: mean((1 - A) M) + mean(A (1 - M))."""
    mask = mask.to(alpha.dtype)
    return ((1 - alpha) * mask).mean() + (alpha * (1 - mask)).mean()


def motion_regulariser(*offsets: Tensor) -> Tensor:
    """Sum over the offsets of their mean absolute value (weight 1e-5)."""
    return torch.stack([offset.abs().mean() for offset in offsets]).sum()
