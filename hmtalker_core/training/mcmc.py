"""Gaussians as samples of a Markov chain (3DGS-MCMC, arXiv 2404.09591), on softplus scales: the other way in which they multiply.

Dead Gaussians move to where living ones are, their number grows by 5 % a control up to a cap, and noise keeps them exploring;
nothing is cloned, split or pruned (docs/hmtalker.md#densification). What a relocation changes leaves the image as it was: the N
copies at one place have together the opacity of the one, and their scale makes up for the summed blending weights.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from .branches import Branch
from .config import BranchConfig, TrainConfig
from .densify import DensifyReport, DensityControl, inverse_softplus, rotation_matrices

DEAD = 0.005  # opacity up to which a Gaussian is dead
GROWTH = 1.05  # per control
MOST_COPIES = 51  # of one Gaussian that the sums are made for
NOISE = 5e5  # times the positions' learning rate
GATE = 100.0  # steepness of the sigmoid that keeps noise to the transparent
LAMBDA_OPACITY = LAMBDA_SCALE = 0.01
SOLID = 1 - 1e-6  # largest opacity


def relocated(opacity: Tensor, scales: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity and scales of each of N Gaussians that take the place of one.

    Args:
        opacity: [n] in 0..1. scales: [n, 3] metres. copies: int [n], N including the original.
    Returns:
        opacity' = 1 - (1 - o)^(1/N), and scales times o / sum_{i=1}^{N} sum_{k=0}^{i-1} C(i-1, k) (-1)^k o'^(k+1) / sqrt(k+1).
    """
    copies = copies.clamp(1, MOST_COPIES)
    each = -torch.expm1(torch.log1p(-opacity.double().clamp(max=SOLID)) / copies)
    # sum over i of C(i - 1, k) is C(N, k + 1)
    k = torch.arange(MOST_COPIES, dtype=torch.float64, device=opacity.device)
    n = copies[:, None].double()
    binomial = torch.exp(torch.lgamma(n + 1) - torch.lgamma(k + 2) - torch.lgamma((n - k).clamp_min(1)))
    terms = torch.where(k < n, binomial * (-1) ** k * each[:, None] ** (k + 1) / (k + 1).sqrt(), 0.0)
    factor = opacity.double().clamp(max=SOLID) / terms.sum(-1)
    return each.to(opacity), (scales.double() * factor[:, None]).to(scales)


class MarkovControl(DensityControl):
    """Relocation, growth and noise in place of clones, splits and pruning; `max_points` is the cap."""

    @torch.no_grad()
    def control(self, plan: BranchConfig, at: int, lr: float, generator: torch.Generator) -> DensifyReport | None:
        """After a step's optimisers: noise, and every `densify_every` steps relocation and growth.

        Args:
            plan: of the branch. at: steps done in its phase. lr: of the positions now.
        """
        report = None
        if plan.densify_from <= at < plan.densify_until * plan.steps and at % plan.densify_every == 0:
            moved = self.relocate(generator)
            report = DensifyReport(self.grow(generator), 0, moved, len(self.field))
            self.reset()
        self.disturb(lr, generator)
        return report

    @torch.no_grad()
    def relocate(self, generator: torch.Generator) -> int:
        """Puts the dead onto living ones, drawn in proportion to opacity; both take the shared opacity and scale, and their
        moments start again. Returns how many moved."""
        opacity = self.field.opacities
        dead = (opacity <= DEAD).nonzero()[:, 0]
        if len(dead) in (0, len(opacity)):
            return 0
        places = drawn_places(torch.where(opacity > DEAD, opacity, 0.0), len(dead), generator)
        rows = torch.arange(len(opacity), device=opacity.device)
        rows[dead] = places
        self._share(rows, places, dead)
        return len(dead)

    @torch.no_grad()
    def grow(self, generator: torch.Generator) -> int:
        """Adds 5 %, up to the cap, as copies of Gaussians drawn in proportion to opacity. Returns how many were added."""
        count = len(self.field)
        more = math.ceil(GROWTH * count) if self.max_points is None else min(math.ceil(GROWTH * count), self.max_points)
        if more <= count:
            return 0
        places = drawn_places(self.field.opacities, more - count, generator)
        rows = torch.cat([torch.arange(count, device=places.device), places])
        self._share(rows, places, torch.arange(count, more, device=places.device))
        return more - count

    @torch.no_grad()
    def disturb(self, lr: float, generator: torch.Generator) -> None:
        """Noise on the positions, shaped by each Gaussian's covariance, as large as `NOISE` lr where it is transparent."""
        field = self.field
        gate = torch.sigmoid(-GATE * (field.opacities - DEAD))
        noise = self._noise(field.xyz, generator) * (gate * NOISE * lr)[:, None]
        axes = rotation_matrices(field.quats)
        field.xyz.add_((axes @ (field.scales.square()[..., None] * (axes.mT @ noise[..., None])))[..., 0])

    def _share(self, rows: Tensor, places: Tensor, fresh_rows: Tensor) -> None:
        """Row i becomes a copy of row `rows[i]`; `places` [m] are the rows that share with the m `fresh_rows`."""
        field, taken = self.field, places.unique()
        copies = torch.bincount(places, minlength=len(field))[taken] + 1
        opacity, scales = relocated(field.opacities[taken], field.scales[taken], copies)
        raw_opacity, raw_scales = field.opacity.detach().clone(), field.scaling.detach().clone()
        raw_opacity[taken] = opacity.clamp(DEAD, SOLID).logit()[:, None]
        raw_scales[taken] = inverse_softplus(scales)
        fresh = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        fresh[taken] = fresh[fresh_rows] = True
        self._rebuild(rows, fresh, {"opacity": raw_opacity[rows], "scaling": raw_scales[rows]})


def regularised(loss: Tensor, branch: Branch) -> Tensor:
    """With what pulls Gaussians that nothing needs towards death: 0.01 mean opacity + 0.01 mean scale (metres)."""
    if not isinstance(branch.density, MarkovControl):
        return loss
    return loss + LAMBDA_OPACITY * branch.field.opacities.mean() + LAMBDA_SCALE * branch.field.scales.mean()


def drawn_places(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:  # [N] -> int64 [count]
    """Row numbers in proportion to `weights`, with repetition."""
    return torch.multinomial(weights.to(generator.device), count, replacement=True, generator=generator).to(weights.device)


def density_control(config: TrainConfig) -> type[DensityControl]:
    """What the settings ask for."""
    return MarkovControl if config.densify == "mcmc" else DensityControl
