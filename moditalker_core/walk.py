"""A sampler's walk from noise to a clean sample over any falling list of times, for both diffusions.

DDIM is written here from eq. 12 and 16 of Song, Meng and Ermon (arXiv 2010.02502). Its factors are float64, and in a form that
adds and never subtracts: the textbook's root of 1 - a' - sigma^2 is that of almost nothing at the noisiest step with eta 1, and
in single precision, on some processors, of less than nothing. DPM-Solver++ (arXiv 2211.01095) and UniPC (arXiv 2302.04867) come
from diffusers, which is given the schedule of the chosen steps alone: so any number of them ends exactly at the clean sample, and
every step goes to the time that comes next.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .choices import SAMPLERS as SAMPLERS  # read from here by both diffusions

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

STEPS = 1000  # of both training schedules


def official_times(steps: int) -> list[int]:
    """The times of the official samplers, both networks': the whole schedule in so many steps; the next would be -1.

    Evenly, cut off to whole numbers. In single precision, as published: where an exact number would be whole this is at times one
    less.

    Args:
        steps: 1..1000.
    """
    return torch.linspace(-1, STEPS - 1, steps + 1, dtype=torch.float32, device="cpu").int().flip(0)[:-1].tolist()


def ddim_factors(levels: Tensor, eta: float) -> Tensor:  # [..., n] rising -> float64 [..., n, 3]
    """What each step takes of the predicted clean sample, of the noise's direction and of fresh noise; the last lands on the
    prediction alone.

    Args:
        levels: fraction of signal (the papers' alpha-bar) at each step's time, above 0 and below 1.
        eta: 0..1, fraction of fresh noise: 0 none, 1 as much as the ancestral sampler's.
    """
    here = levels.double()
    there = torch.cat([here[..., 1:], torch.ones_like(here[..., :1])], -1)
    # sigma^2 = eta^2 (1 - a') (1 - a / a') / (1 - a), and 1 - a' - sigma^2 with this put in
    fresh = eta ** 2 * (1 - there) * (there - here).clamp_min(0) / (there * (1 - here))
    direction = (1 - eta ** 2) * (1 - there) + eta ** 2 * (1 - there) ** 2 * here / (there * (1 - here))
    return torch.stack([there, direction, fresh], -1).sqrt()


class Walk:
    """The steps of one sampling, taken in order.

    Args:
        sampler: one of SAMPLERS.
        times: int64 [n], falling.
        levels: fraction of signal after each of the training schedule's steps, [1000].
        eta: see `ddim_factors`; of "ddim" only.
    """

    def __init__(self, sampler: str, times: Tensor, levels: Tensor, eta: float = 0.0):
        reached = levels.cpu().double()[times.cpu()]  # [n]
        self.signals, self.spreads = reached.sqrt().tolist(), (1 - reached).sqrt().tolist()
        self.factors: list[list[float]] | None = None
        self.solver: DPMSolverMultistepScheduler | UniPCMultistepScheduler | None = None
        if sampler in ("ddim", "ddim0"):
            self.factors = ddim_factors(reached, eta if sampler == "ddim" else 0.0).tolist()
        else:
            self.solver = multistep(sampler, reached)

    def step(self, k: int, x: Tensor, x0: Tensor, noise: Tensor | None = None, fresh: Tensor | None = None) -> Tensor:
        """x at the next time.

        Args:
            k: number of the step, from 0.
            x: x_t, any shape.
            x0: the clean sample that the network predicts, like x.
            noise: its direction, like x, for DDIM; None: what lies between x and x0.
            fresh: Gaussian noise like x; None: none.
        """
        if self.factors is None:
            assert self.solver is not None
            return self.solver.step(x0, self.solver.timesteps[k], x, return_dict=False)[0]
        to_clean, to_noise, to_fresh = self.factors[k]
        noise = (x - self.signals[k] * x0) / self.spreads[k] if noise is None else noise
        moved = to_clean * x0 + to_noise * noise
        return moved if fresh is None else moved + to_fresh * fresh


def multistep(sampler: str, levels: Tensor) -> DPMSolverMultistepScheduler | UniPCMultistepScheduler:
    """A diffusers scheduler of just these steps, whose predictions are clean samples; it numbers them n - 1 .. 0.

    Args:
        sampler: "dpm++" or "unipc".
        levels: float64 [n] rising, see `Walk`.
    """
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    cleaner = levels.flip(0)  # from the least noise to the most, as diffusers counts
    own = 1 - cleaner / torch.cat([cleaner.new_ones(1), cleaner[:-1]])
    common = {"num_train_timesteps": len(levels), "trained_betas": own.numpy(), "timestep_spacing": "trailing",
              "prediction_type": "sample", "solver_order": 2, "final_sigmas_type": "zero"}
    solver = (DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++") if sampler == "dpm++"
              else UniPCMultistepScheduler(**common, predict_x0=True))
    solver.alphas_cumprod = cleaner.float()  # not cumulated in float32
    solver.set_timesteps(len(levels))
    return solver
