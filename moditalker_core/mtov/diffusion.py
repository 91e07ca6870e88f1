"""The diffusion of MToV: the schedule, the noised start and the samplers (spec/moditalker.md 5).

Samplers come from diffusers. The published one is "ddim" with eta 1: of 100 steps the last 25 are run, from the identity's latent
noised to t = 250. The others are ours to choose from: DDIM without fresh noise, DPM-Solver++ (arXiv 2211.01095) and UniPC
(arXiv 2302.04867), which need 4 to 10 calls from the same start.
"""
from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError

STEPS = 1000                    # of the training schedule
FIRST, LAST = 0.0015, 0.0195    # betas; their roots are evenly spaced
SAMPLERS = ("ddim", "ddim0", "dpm++", "unipc")
PREDICTIONS = ("epsilon", "sample", "v_prediction")  # what the network predicts, by diffusers' names; published: epsilon
RATIO, CALLS = 0.25, 25         # published: where the noised start stands, and how many calls follow


def betas() -> Tensor:  # float64 [1000]
    return torch.linspace(FIRST ** 0.5, LAST ** 0.5, STEPS, dtype=torch.float64).square()


def alphas_cumprod() -> Tensor:  # float32 [1000]
    """The share of signal after each step, cumulated in float64, then rounded (A10)."""
    return torch.cumprod(1 - betas(), 0).float()


def noised(x0: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """x_t from clean latents [B, 4, L], times int64 [B] and Gaussian noise like x0."""
    level = alphas_cumprod().to(x0.device)[times][:, None, None]
    return level.sqrt().to(x0.dtype) * x0 + (1 - level).sqrt().to(x0.dtype) * noise
