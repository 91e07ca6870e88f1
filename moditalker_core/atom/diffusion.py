"""The diffusion of AToM: the cosine schedule, the loss, and the samplers (their steps: `walk.py`).

The official sampler is "ddim" with 50 steps, eta 1, x0 prediction clipped to +-1 cm and guidance 2; it draws one noise at the
start and one per step. The others are ours to choose from: DDIM without fresh noise, DPM-Solver++ (arXiv 2211.01095) and UniPC
(arXiv 2302.04867), good from 10 to 20 steps.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ..walk import SAMPLERS, STEPS, Walk, official_times

OFFSET = 8e-3  # s of the cosine schedule
RECONSTRUCTION, VELOCITY = 7.5, 1.5  # weights of the loss
LAMBDA_MIN = -5.1  # half log SNR below which DPM-Solver++ does not start, as diffusers advises for cosine schedules


def betas() -> Tensor:  # float32 [1000]
    """The cosine schedule of Nichol & Dhariwal 2021, computed in float64, clipped to 0..0.999, then rounded to float32."""
    t = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    level = torch.cos((t + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
    return (1 - level[1:] / level[:-1]).clamp(0, 0.999).float()


def alphas_cumprod() -> Tensor:  # float32 [1000]
    """The fraction of signal after each step, cumulated in float32 as the official code does."""
    return torch.cumprod(1 - betas(), 0)


def noised(x0: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """x_t from clean x0 [B, T, N], times int64 [B] and Gaussian noise like x0."""
    level = alphas_cumprod().to(x0.device)[times][:, None, None]
    return level.sqrt().to(x0.dtype) * x0 + (1 - level).sqrt().to(x0.dtype) * noise


@dataclass(frozen=True)
class Losses:
    """The training loss and its two parts, each a mean over the frames that count."""

    total: Tensor
    reconstruction: Tensor  # weighted
    velocity: Tensor  # weighted


def losses(predicted: Tensor, x0: Tensor, mask: Tensor | None = None, weights: Tensor | None = None) -> Losses:
    """7.5 MSE(x0) + 1.5 MSE(frame-to-frame velocity); frames that are padding do not count.

    Args:
        predicted, x0: [B, T, N].
        mask: bool [B, T], True where there is a frame; None: everywhere.
        weights: [B, T, N], how much every squared error counts; None: all alike.
    """
    mask = torch.ones(x0.shape[:2], dtype=torch.bool, device=x0.device) if mask is None else mask
    pairs = mask[:, 1:] & mask[:, :-1]
    wrong = predicted - x0 if weights is None else (predicted - x0) * weights.sqrt()
    reconstruction = RECONSTRUCTION * _mean(wrong.square(), mask)
    velocity = VELOCITY * _mean((wrong[:, 1:] - wrong[:, :-1]).square(), pairs)
    return Losses(reconstruction + velocity, reconstruction, velocity)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask[..., None]).sum() / (mask.sum() * values.shape[-1]).clamp_min(1)


@dataclass(frozen=True)
class Scheduler:
    """A sampler and its times."""

    sampler: str       # one of SAMPLERS
    timesteps: Tensor  # int64 [n], falling: the steps the network is given


def make_scheduler(sampler: str, steps: int) -> Scheduler:
    """A sampler of x0 predictions on AToM's schedule.

    Args:
        sampler: one of SAMPLERS.
        steps: 1..1000. DPM-Solver++ leaves out those at the schedule's noisiest end: of more than 222 it takes a few less.
    Raises:
        TalkingHeadsError: no such sampler, or numbers out of range.
    """
    if sampler not in SAMPLERS or type(steps) is not int or not 1 <= steps <= STEPS:
        raise TalkingHeadsError(f"The sampler must be one of {', '.join(SAMPLERS)}, with 1 to {STEPS} steps",
                                f"'{sampler}' with {steps}", "Choose one of those")
    times = official_times(steps) if sampler in ("ddim", "ddim0") else _even_times(sampler, steps)
    return Scheduler(sampler, torch.tensor(times))


def _even_times(sampler: str, steps: int) -> list[int]:
    """The multistep solvers' times: rounded, not cut off, and falling from the first that they can stand."""
    signal = alphas_cumprod().double()
    noisy = int((torch.log(signal / (1 - signal)) / 2 < LAMBDA_MIN).sum()) if sampler == "dpm++" else 0
    left = np.round(np.arange(STEPS - noisy, 0, -STEPS / steps)).astype(int) - 1
    return left[left >= 0].tolist()  # the range of floats may hold one number more


def sample(predict: Callable[[Tensor, Tensor], Tensor], draw: Callable[[int], Tensor], scheduler: Scheduler, *, eta: float = 1.0,
           clip: float | None = 1.0, watch: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Runs the sampler from pure noise to a clean window.

    Args:
        predict: (x_t [B, T, N], t int64 []) -> predicted x0, guidance included.
        draw: (k) -> the k-th Gaussian noise [B, T, N]: 0 is x_T, k > 0 that of step k. Samplers without fresh noise draw
            the first only.
        scheduler: of `make_scheduler`.
        eta: 0..1, fraction of fresh noise in "ddim".
        clip: x0 is clamped to +-clip in every step; None: not.
        watch: called after each step with its number and the predicted x0; may raise to cancel.
    Returns:
        [B, T, N].
    Raises:
        TalkingHeadsError: eta or clip out of range.
    """
    if not 0 <= eta <= 1:
        raise TalkingHeadsError("Eta, the fraction of fresh noise, must lie within 0..1", f"{eta}", "Choose another")
    if clip is not None and not 0 < clip < math.inf:
        raise TalkingHeadsError("The clip of x0 must be above 0, or none", f"{clip}", "Choose another")
    x, last = draw(0), len(scheduler.timesteps) - 1
    walk, fresh = Walk(scheduler.sampler, scheduler.timesteps, alphas_cumprod(), eta), eta > 0 and scheduler.sampler == "ddim"
    for k, t in enumerate(scheduler.timesteps):
        x0 = predict(x, t)
        x0 = x0 if clip is None else x0.clamp(-clip, clip)
        x = walk.step(k, x, x0, fresh=draw(k + 1) if fresh and k < last else None)  # the noise's direction from the clamped x0
        if watch is not None:
            watch(k, x0)
    return x
