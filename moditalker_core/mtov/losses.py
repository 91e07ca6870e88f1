"""What MToV's autoencoders are trained with (docs/moditalker.md#losses). Clips are [B, 3, T, H, W] in -1..1.

The official loss: L1, LPIPS with a VGG16 on one frame of each clip, and in the GAN phase hinge terms of two discriminators with
feature matching. Where the user has no LPIPS weights, a substitute of ours stands in its place: L1 of neighbouring pixels'
differences (edges) and L1 of images a quarter of the size (colour). It wants no weights and keeps edges sharp, but knows
nothing of perceptual quality. Pixels may be weighted (ours): those of the mouth count more.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor
from torch.nn import functional as F

PYRAMID = 4  # the substitute's coarse images are so many times smaller


def l1(found: Tensor, clips: Tensor, weight: Tensor | float = 1.0) -> Tensor:  # [B, 3, T, H, W] x 2 -> []
    """Mean absolute difference, pixels weighted."""
    return ((found - clips).abs() * weight).mean()


def edges(found: Tensor, clips: Tensor, weight: Tensor | float = 1.0) -> Tensor:  # -> []
    """Mean absolute difference of the steps to the right and downwards, pixels weighted."""
    off = found - clips
    w = weight if isinstance(weight, Tensor) else off.new_ones(()).expand(1, 1, *off.shape[2:])
    right = (off.diff(dim=-1).abs() * w[..., 1:]).mean()
    return right + (off.diff(dim=-2).abs() * w[..., 1:, :]).mean()


def coarse(found: Tensor, clips: Tensor) -> Tensor:  # -> []
    """L1 of the frames a quarter of the size."""
    return F.avg_pool2d((found - clips).transpose(1, 2).flatten(0, 1), PYRAMID).abs().mean()


def frames_at(clips: Tensor, numbers: Tensor) -> Tensor:  # [B, 3, T, H, W], int64 [B] -> [B, 3, H, W]
    """One frame of each clip."""
    return clips[torch.arange(len(clips), device=clips.device), :, numbers.to(clips.device)]


def generator_terms(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """The discriminators' loss terms for the autoencoder.

    Args:
        fake, real: for each discriminator the outputs of its stages, the score last, on the reconstruction and on the original.
    Returns:
        minus the mean score, summed over discriminators; L1 of the stages before it, summed over both.
    """
    score = -_total(stages[-1].float().mean() for stages in fake)
    pairs = [pair for mine, true in zip(fake, real) for pair in zip(mine[:-1], true)]
    matched = _total((a.float() - b.detach().float()).abs().mean() for a, b in pairs)
    return score, matched


def hinge(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """What the discriminators learn from, summed over them: half the mean of relu(1 - D(real)) and of relu(1 + D(fake))."""
    pairs = [(true[-1].float(), made[-1].float()) for true, made in zip(real, fake)]
    return _total(0.5 * (F.relu(1 - true).mean() + F.relu(1 + made).mean()) for true, made in pairs)


def _total(values: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor, from left to right."""
    return reduce(add, values)
