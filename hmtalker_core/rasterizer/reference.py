"""The slow twin: every Gaussian against every pixel, in float64, with autograd. An oracle for tests, on any device.

A strip of rows at a time, so that memory without gradients stays bounded; with gradients it grows with N x H x W (for tests).
"""
from __future__ import annotations

import torch
from torch import Tensor

from .arguments import Scene
from .backend import Backend, Rendered
from .constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from .frames import blended, project_by_torch
from .projection import Projected

PAIRS_AT_ONCE = 250_000        # Gaussian-pixel pairs worked on together (a temporary of 2 MB stays in the cache)


def render(splats: Projected, colors: Tensor, opacities: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Blend projected Gaussians front to back.

    Args:
        splats: fields [M, N, ...] of M images. colors [M, N, D]; opacities [M, N].
    Returns: images [M, H, W, D] without background and alphas [M, H, W, 1], float64 if the arguments are.
    """
    images, alphas = [], []
    for m in range(colors.shape[0]):
        image, alpha = _render_one(Projected(*(field[m] for field in splats)), colors[m], opacities[m], width, height)
        images.append(image)
        alphas.append(alpha)
    return torch.stack(images), torch.stack(alphas)


def _render_one(splats: Projected, colors: Tensor, opacities: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """One image: [H, W, D] and [H, W, 1]."""
    order = torch.argsort(splats.depths, stable=True)
    order = order[(splats.radii[order] > 0).all(-1)]
    means2d, conics, colors, opacities = splats.means2d[order], splats.conics[order], colors[order], opacities[order]
    rows = max(1, PAIRS_AT_ONCE // max(1, len(order) * width))
    strips = []
    for top in range(0, height, rows):
        weights = _weights(means2d, conics, opacities, width, top, min(top + rows, height))
        strips.append(torch.cat([weights @ colors, weights.sum(-1, keepdim=True)], -1))
    whole = torch.cat(strips).view(height, width, -1)
    return whole[..., :-1], whole[..., -1:]


def _weights(means2d: Tensor, conics: Tensor, opacities: Tensor, width: int, top: int, bottom: int) -> Tensor:
    """Share of each of the sorted Gaussians in each pixel of rows top..bottom, [(bottom - top) * W, N]."""
    y, x = torch.meshgrid(torch.arange(top, bottom), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2).to(means2d) + 0.5
    dx, dy = (means2d[None, :, i] - pixels[:, None, i] for i in range(2))
    a, b, c = conics.unbind(-1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (opacities * torch.exp(-sigma.clamp_max(50.0))).clamp_max(ALPHA_MAX)       # exp is slow where it underflows
    alpha = torch.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, -1)
    before = torch.cat([torch.ones_like(after[:, :1]), after], -1)[:, :-1]
    return alpha * before * (after > TRANSMITTANCE_MIN)


class Reference(Backend):
    """Everything in float64 torch."""

    name = "reference"

    def render(self, scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> Rendered:
        """See `Backend.render`."""
        wide = scene._replace(**{name: value.double() for name, value in scene._asdict().items() if isinstance(value, Tensor)})
        splats, colors = project_by_torch(wide, near_plane, far_plane, eps2d)
        image, alpha, meta = blended(wide, splats, colors, render, self.name, scene.means.device)
        return image.to(scene.means.dtype), alpha.to(scene.means.dtype), meta


BACKEND = Reference()
