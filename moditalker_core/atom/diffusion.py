"""The diffusion of AToM: the cosine schedule, the loss, and the samplers (spec/moditalker.md 2.5).

Samplers come from diffusers. The published one is "ddim" with 50 steps, eta 1, x0 prediction clipped to +-1 cm and guidance 2; it
draws one noise at the start and one a step. The others are ours to choose from: DDIM without fresh noise, DPM-Solver++
(arXiv 2211.01095) and UniPC (arXiv 2302.04867), good from 10 to 20 steps.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError

STEPS = 1000  # of the training schedule
OFFSET = 8e-3  # s of the cosine schedule
RECONSTRUCTION, VELOCITY = 7.5, 1.5  # weights of the loss
SAMPLERS = ("ddim", "ddim0", "dpm++", "unipc")
LAMBDA_MIN = -5.1  # half log SNR below which the multistep solvers do not start, as diffusers advises for cosine schedules


def betas() -> Tensor:  # float32 [1000]
    """The cosine schedule of Nichol & Dhariwal 2021, computed in float64, clipped to 0..0.999, then rounded to float32 (A10)."""
    t = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    level = torch.cos((t + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
    return (1 - level[1:] / level[:-1]).clamp(0, 0.999).float()


def alphas_cumprod() -> Tensor:  # float32 [1000]
    """The share of signal after each step, cumulated in float32 as the published code does."""
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


def losses(predicted: Tensor, x0: Tensor, mask: Tensor | None = None) -> Losses:
    """7.5 MSE(x0) + 1.5 MSE(frame-to-frame velocity); frames that are padding do not count (spec 13 B17).

    Args:
        predicted, x0: [B, T, N].
        mask: bool [B, T], True where there is a frame; None: everywhere.
    """
    mask = torch.ones(x0.shape[:2], dtype=torch.bool, device=x0.device) if mask is None else mask
    pairs = mask[:, 1:] & mask[:, :-1]
    wrong = predicted - x0
    reconstruction = RECONSTRUCTION * _mean(wrong.square(), mask)
    velocity = VELOCITY * _mean((wrong[:, 1:] - wrong[:, :-1]).square(), pairs)
    return Losses(reconstruction + velocity, reconstruction, velocity)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask[..., None]).sum() / (mask.sum() * values.shape[-1]).clamp_min(1)


def make_scheduler(sampler: str, steps: int, clip: float | None = 1.0) -> Any:
    """A diffusers scheduler for x0 prediction on AToM's schedule, its timesteps set.

    Args:
        sampler: one of SAMPLERS.
        steps: 1..1000.
        clip: predictions are clamped to +-clip in every step; None: not.
    Raises:
        TalkingHeadsError: no such sampler, or steps out of range.
    """
    if sampler not in SAMPLERS or not 1 <= steps <= STEPS:
        raise TalkingHeadsError(f"The sampler must be one of {', '.join(SAMPLERS)}, with 1 to {STEPS} steps",
                                f"'{sampler}' with {steps}", "Choose one of those")
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    common = {"num_train_timesteps": STEPS, "trained_betas": betas().numpy(), "prediction_type": "sample",
              "timestep_spacing": "trailing"}
    if sampler in ("ddim", "ddim0"):
        scheduler = DDIMScheduler(**common, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
    elif sampler == "dpm++":
        scheduler = DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", solver_order=2,
                                                lambda_min_clipped=LAMBDA_MIN, final_sigmas_type="zero")
    else:
        scheduler = UniPCMultistepScheduler(**common, solver_order=2, final_sigmas_type="zero", predict_x0=True)
    scheduler.set_timesteps(steps)
    return scheduler


def sample(predict: Callable[[Tensor, Tensor], Tensor], draw: Callable[[int], Tensor], scheduler: Any, *, eta: float = 1.0,
           clip: float | None = 1.0, watch: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Runs the sampler from pure noise to a clean window.

    Args:
        predict: (x_t [B, T, N], t int64 []) -> predicted x0, guidance included.
        draw: (k) -> the k-th Gaussian noise [B, T, N]: 0 is x_T, k > 0 that of step k. Samplers without fresh noise draw
            the first only.
        scheduler: of `make_scheduler`.
        eta: share of fresh noise in DDIM.
        clip: as given to `make_scheduler`; the other samplers are clipped here.
        watch: called after each step with its number and the predicted x0; may raise to cancel.
    Returns:
        [B, T, N].
    """
    from diffusers import DDIMScheduler

    ddim = isinstance(scheduler, DDIMScheduler)
    x = draw(0) * scheduler.init_noise_sigma
    last = len(scheduler.timesteps) - 1
    for k, t in enumerate(scheduler.timesteps):
        x0 = predict(x, t)
        x0 = x0 if clip is None else x0.clamp(-clip, clip)
        if ddim:
            fresh = draw(k + 1) if eta > 0 and k < last else torch.zeros_like(x)
            x = scheduler.step(x0, t, x, eta=eta, use_clipped_model_output=True, variance_noise=fresh).prev_sample
            x = x0 if k == last else x  # diffusers stops short of the end where the steps do not divide 1000
        else:
            x = scheduler.step(x0, t, x).prev_sample
        if watch is not None:
            watch(k, x0)
    return x
