"""Image losses of the avatar's training (docs/hmtalker.md#losses). Images are [3, H, W] or [B, 3, H, W] in 0..1."""
from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
_C1, _C2 = 0.01 ** 2, 0.03 ** 2


def l1(a: Tensor, b: Tensor) -> Tensor:  # any equal shapes -> []
    """Mean absolute difference."""
    return (a - b).abs().mean()


@lru_cache(maxsize=8)
def _gaussian(window: int, sigma: float) -> tuple[float, ...]:
    weights = torch.exp(-(torch.arange(window, dtype=torch.float64) - window // 2).square() / (2 * sigma ** 2))
    return tuple((weights / weights.sum()).tolist())


def ssim(a: Tensor, b: Tensor, window: int = SSIM_WINDOW, sigma: float = SSIM_SIGMA) -> Tensor:  # -> [], 1 for equal images
    """Structural similarity with a Gaussian window and zero padding, averaged over pixels and channels."""
    a, b = a.view(-1, *a.shape[-3:]), b.view(-1, *b.shape[-3:])
    channels = a.shape[1]
    weights = a.new_tensor(_gaussian(window, sigma))
    stacked = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    groups = stacked.shape[1]
    down = F.conv2d(stacked, weights.view(1, 1, -1, 1).expand(groups, 1, -1, 1), padding=(window // 2, 0), groups=groups)
    mean_a, mean_b, aa, bb, ab = F.conv2d(down, weights.view(1, 1, 1, -1).expand(groups, 1, 1, -1), padding=(0, window // 2),
                                          groups=groups).split(channels, dim=1)
    covariance, variance = ab - mean_a * mean_b, aa - mean_a ** 2 + bb - mean_b ** 2
    score = ((2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)) / ((mean_a ** 2 + mean_b ** 2 + _C1) * (variance + _C2))
    return score.mean()


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
