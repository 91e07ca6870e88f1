"""The diffusion of MToV: the schedule, the noised start and the samplers (their steps: `walk.py`).

The official sampler is "ddim" with eta 1: of 100 steps the last 25 are run, from the identity's latent noised to t = 250. The
others are ours to choose from: DDIM without fresh noise, DPM-Solver++ (arXiv 2211.01095) and UniPC (arXiv 2302.04867), which
need 4 to 10 steps from the same start.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ..walk import SAMPLERS, STEPS, Walk, official_times

FIRST, LAST = 0.0015, 0.0195    # betas; their roots are evenly spaced
PREDICTIONS = ("epsilon", "sample", "v_prediction")  # what the network predicts, by diffusers' names; official: epsilon
RATIO, CALLS = 0.25, 25         # official: where the noised start stands, and how many steps follow
BEND = {"dpm++": 3, "unipc": 3}  # see `sampler_times`: of an error known exactly, a tenth of what even steps leave


def betas() -> Tensor:  # float64 [1000]
    return torch.linspace(FIRST ** 0.5, LAST ** 0.5, STEPS, dtype=torch.float64).square()


def alphas_cumprod() -> Tensor:  # float32 [1000]
    """The share of signal after each step, cumulated in float64, then rounded (docs/moditalker.md)."""
    return torch.cumprod(1 - betas(), 0).float()


def noised(x0: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """x_t from clean latents [B, 4, L], times int64 [B] and Gaussian noise like x0."""
    signal, spread = _levels(times, x0)
    return signal * x0 + spread * noise


def _levels(times: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:  # [B, 1, 1] each
    """Fractions of signal and of noise at `times`."""
    level = alphas_cumprod().to(like.device)[times][:, None, None]
    return level.sqrt().to(like.dtype), (1 - level).sqrt().to(like.dtype)


def training_target(prediction: str, x0: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """What the network should say of noised(x0, times, noise).

    Args:
        prediction: one of PREDICTIONS.
        x0, noise: [B, 4, L].
        times: int64 [B].
    """
    if prediction == "epsilon":
        return noise
    if prediction == "sample":
        return x0
    signal, spread = _levels(times, x0)
    return signal * noise - spread * x0


def pulled_noise(x0: Tensor, reference: Tensor, times: Tensor, noise: Tensor, pull: float, ratio: float = RATIO,
                 eta: float = 1.0) -> Tensor:
    """Noise that stands for a start from another latent: noised(x0, times, it) lies where the sampler comes by (ours).

    The sampler begins at the noised identity, not at the noised answer, and while it runs a rest of that difference is left,
    which the official training never shows to the network: so the identity's mouth shines through. Of it a sampler whose
    network is right keeps the fraction (sigma_t / sigma_start)^(1 + eta), sigma^2 = (1 - level) / level. Noise moved by that much
    makes x_t as if x0 were moved so far towards the reference, while the targets made of it (`training_target`) ask for x0.

    Args:
        x0, reference, noise: [B, 4, L]; the reference is where the sampler will start.
        times: int64 [B].
        pull: 0 leaves the noise as it is (published), 1 moves it by the whole difference.
        ratio, eta: of the sampler that will be used.
    """
    level = alphas_cumprod().to(x0.device)
    sigma = ((1 - level) / level).sqrt()
    start = sigma[round(STEPS * ratio) - 1]  # of the first step
    share = (sigma[times] / start).clamp_max(1) ** (1 + eta)
    return noise + (pull * share / sigma[times])[:, None, None].to(x0.dtype) * (reference - x0)


def noised_start(reference: Tensor, ratio: float, noise: Tensor) -> Tensor:
    """Where the sampler begins: the identity's latent noised to t = 1000 ratio, one step above the first one run (as published).

    Args:
        reference: [B or 1, 4, L].
        ratio: 0..1; at 1 it is the noise alone (the official code fails there).
        noise: [B, 4, L].
    """
    t = round(STEPS * ratio)
    return noise if t >= STEPS else noised(reference, torch.tensor([t], device=reference.device), noise)


def check_sampling(sampler: str, calls: int, ratio: float, prediction: str, clip: float | None, eta: float) -> None:
    """Raises:
        TalkingHeadsError: no such sampler or prediction, or numbers out of range.
    """
    if (sampler not in SAMPLERS or prediction not in PREDICTIONS or type(calls) is not int or not 0 < ratio <= 1
            or not 1 <= calls <= round(STEPS * ratio) or not 0 <= eta <= 1 or (clip is not None and not 0 < clip < math.inf)):
        raise TalkingHeadsError(
            f"Sampling needs one of {', '.join(SAMPLERS)}, a strength (ratio) above 0 and up to 1, 1 to {STEPS} x "
            f"strength steps, a prediction of {', '.join(PREDICTIONS)}, a clip above 0 or none, eta 0..1",
            f"{sampler}, strength {ratio}, {calls} steps, {prediction}, clip {clip}, eta {eta}", "Correct them")


def sampler_times(calls: int, ratio: float, bend: int = 1) -> list[int]:
    """The diffusion steps at which the network runs, from 1000 ratio - 1 downwards; the next would be -1.

    Evenly with bend 1; where 1000 / n is whole these are the last `calls` of the official n = calls / ratio. A higher power
    crowds them towards the end, where the noise's size changes fastest: solvers of a high order need that.
    """
    top = round(STEPS * ratio)
    return [max(left - 1, math.floor(top * (left / calls) ** bend - 1 + 1e-6)) for left in range(calls, 0, -1)]


def scheduled_times(schedule: int, ratio: float) -> list[int]:
    """The official noised start's steps, as its program counts them: of `schedule` steps over the whole way, those that are left
    when int(schedule (1 - ratio)) have been dropped. Where that does not come out even, the first may lie above the start.

    Args:
        schedule: 1..1000; official: 100.
        ratio: above 0, up to 1.
    Raises:
        TalkingHeadsError: numbers out of range, or no step would be left.
    """
    if type(schedule) is not int or not 1 <= schedule <= STEPS or not 0 < ratio <= 1 or int(schedule * (1 - ratio)) == schedule:
        raise TalkingHeadsError(f"A schedule must have 1 to {STEPS} steps, some of them within the strength (ratio) that is run",
                                f"{schedule} at strength {ratio}", "Choose more steps or a higher strength")
    return official_times(schedule)[int(schedule * (1 - ratio)):]


@dataclass(frozen=True)
class Scheduler:
    """A sampler's steps, and how its predictions are read."""

    sampler: str             # one of SAMPLERS
    timesteps: Tensor        # int64 [calls], descending: the steps the network is given
    prediction: str          # one of PREDICTIONS
    clip: float | None       # x0 is clamped to +-clip in every step
    eta: float               # fraction of fresh noise; above 0 in "ddim" only

    @property
    def draws(self) -> int:
        """How many Gaussian noises `sample` asks for."""
        return len(self.timesteps) - 1 if self.eta else 0


def make_scheduler(sampler: str, calls: int, ratio: float = 1.0, prediction: str = "epsilon", clip: float | None = 1.0,
                   eta: float = 1.0, schedule: int | None = None) -> Scheduler:
    """A sampler of `calls` steps from t = 1000 ratio. Any number of steps ends exactly at the clean latent.

    Args:
        sampler: one of SAMPLERS.
        calls: 1..1000 ratio.
        ratio: above 0, up to 1: where `noised_start` stands; 1: pure noise.
        prediction: one of PREDICTIONS.
        clip: None: not.
        eta: 0..1, for "ddim"; the others draw no fresh noise.
        schedule: instead of `calls`, which then does not count: see `scheduled_times`.
    Raises:
        TalkingHeadsError: see `check_sampling` and `scheduled_times`.
    """
    times = None if schedule is None else scheduled_times(schedule, ratio)
    check_sampling(sampler, calls if times is None else 1, ratio, prediction, clip, eta)
    times = sampler_times(calls, ratio, BEND.get(sampler, 1)) if times is None else times
    return Scheduler(sampler=sampler, timesteps=torch.tensor(times), prediction=prediction, clip=clip,
                     eta=eta if sampler == "ddim" else 0.0)


def sample(predict: Callable[[Tensor, Tensor], Tensor], start: Tensor, draw: Callable[[int], Tensor], scheduler: Scheduler, *,
           watch: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Runs the sampler from a start to clean latents.

    Args:
        predict: (x_t [B, 4, L], t int64 []) -> what the network predicts.
        start: of `noised_start`, [B, 4, L].
        draw: (k) -> Gaussian noise [B, 4, L] of step k, k = 1.. `scheduler.draws`; 0 is left to the start.
        scheduler: of `make_scheduler`.
        watch: called after each step with its number 0.. and the predicted x0; may raise to cancel.
    Returns:
        [B, 4, L].
    """
    x, clip, walk = start, scheduler.clip, Walk(scheduler.sampler, scheduler.timesteps, alphas_cumprod(), scheduler.eta)
    for k, t in enumerate(scheduler.timesteps):
        told = predict(x, t)
        x0 = clean(scheduler.prediction, told, x, t)
        x0 = x0 if clip is None else x0.clamp(-clip, clip)
        # as published: the noise is not computed again from the clamped x0
        x = walk.step(k, x, x0, noise=told if scheduler.prediction == "epsilon" else None,
                      fresh=draw(k + 1) if k < scheduler.draws else None)
        if watch is not None:
            watch(k, x0)
    return x


def clean(prediction: str, told: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """x0 from what the network said of x_t [B, 4, L] at t int64 []."""
    if prediction == "sample":
        return told
    signal, spread = _levels(t[None], x)
    return (x - spread * told) / signal if prediction == "epsilon" else signal * x - spread * told
