"""Everything in training that depends on the step: learning rates, thresholds, the curriculum, the draw of a path.

The published constants hold for 50 000 steps; `total` scales them, so that a preset of 5 000 steps sees the same curves
(docs/hmtalker.md#schedules).
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

PUBLISHED_STEPS = 50_000
PATHS = ("audio", "masked", "vanilla")


def exponential_lr(step: float, start: float = 1.6e-4, end: float = 1.6e-6, total: float = 45_000) -> float:
    """From `start` to `end` along an exponential, constant afterwards. The positions' rate, times the scene extent."""
    share = min(max(step / total, 0.0), 1.0)
    return math.exp(math.log(start) * (1 - share) + math.log(end) * share)


def _motion_factor(step: float, total: float, bend: float, end: float) -> float:
    unit = total / PUBLISHED_STEPS
    return 0.5 ** (step / (bend * unit)) if step < bend * unit else 0.1 ** (step / (end * unit))


def face_motion_factor(step: float, total: float = PUBLISHED_STEPS) -> float:
    """Multiplies the face motion net's rates: halves by 80 % of the run, then follows 0.1^(step/total)."""
    return _motion_factor(step, total, 40_000, 50_000)


def mouth_motion_factor(step: float, total: float = PUBLISHED_STEPS) -> float:
    """Multiplies the mouth motion net's rates: the same shape, bent at 78 % and reaching 0.1 at 98 %."""
    return _motion_factor(step, total, 39_000, 49_000)


def prune_opacity(step: float, until: float, low: float = 0.05, rise: float = 0.25) -> float:
    """Opacity under which a Gaussian is removed; rising, which keeps their number low."""
    return low + rise * min(step / until, 1.0)


def opening_window(step: float, low: float, high: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """Inner-lip openings (rows) from which the face's static phase draws: a window that slides from closed to open.

    Args:
        low, high: smallest and largest opening of the training frames.
    """
    floor = low + 0.2 * (high - low)
    half, centre = 0.2 * (high - floor), floor + step / (0.8 * total) * (high - floor)
    return centre - half, centre + half


def blink_window(step: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """Blink values (0..1) from which the face's motion phase draws."""
    share = step / (0.8 * total)
    return share - 0.15, share + 0.3


def lips_part_window(step: float, quartile: float, high: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """AU25 values from which the mouth's motion phase draws: the open ones first, down to the first quartile.

    Args:
        quartile, high: 25th percentile and (clipped) maximum of AU25 over the training frames.
    """
    return high - step / (0.78 * total) * (high - quartile), high


def draw_path(generator: torch.Generator | None = None, weights: tuple[float, ...] = (4, 4, 2)) -> str:
    """One of "audio", "masked", "vanilla" in the given proportions (paper: 4:4:2)."""
    return PATHS[int(torch.multinomial(torch.tensor(weights, dtype=torch.float64), 1, generator=generator))]


def draw_mask(channels: int, generator: torch.Generator | None = None, low: float = 0.1, high: float = 0.3) -> Tensor:
    """[1, channels] of 0 and 1: a ratio r ~ U(low, high) is drawn, then each channel is 0 with probability r; no rescaling."""
    ratio = low + (high - low) * torch.rand((), generator=generator)
    return (torch.rand(1, channels, generator=generator) >= ratio).float()
