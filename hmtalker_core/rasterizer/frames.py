"""What back ends share: splats of all frames by torch, leading dimensions, backgrounds."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .arguments import Scene
from .backend import Rendered
from .projection import Projected, project, sh_colors

Blend = Callable[[Projected, Tensor, Tensor, int, int], tuple[Tensor, Tensor]]  # as `reference.render`


def project_by_torch(scene: Scene, near_plane: float = 0.01, far_plane: float = 1e10, eps2d: float = 0.3
                     ) -> tuple[Projected, Tensor]:
    """Splats with fields [M, N, ...] and colours [M, N, D] of all M = B x C frames, by `projection.py`."""
    means, quats, scales, opacities = (value.unsqueeze(axis) for value, axis in (
        (scene.means, -3), (scene.quats, -3), (scene.scales, -3), (scene.opacities, -2)))
    viewmats, intrinsics = scene.viewmats[..., None, :, :], scene.intrinsics.detach()[..., None, :, :]
    splats = project(means, quats, scales, opacities, viewmats, intrinsics, scene.width, scene.height,
                     near_plane, far_plane, eps2d)
    if scene.sh_degree is None:
        colors = scene.colors.unsqueeze(-3)
    else:
        colors = sh_colors(scene.colors.unsqueeze(-4), means, viewmats, scene.sh_degree)
    lead = (*scene.batch, scene.cameras, scene.points)
    splats = Projected(*(field.expand(*lead, *tail).reshape(scene.frames, scene.points, *tail)
                         for field, tail in zip(splats, ((2,), (3,), (), (2,)), strict=True)))
    return splats, colors.expand(*lead, colors.shape[-1]).reshape(scene.frames, scene.points, colors.shape[-1])


def blended(scene: Scene, splats: Projected, colors: Tensor, blend: Blend, name: str, device: torch.device) -> Rendered:
    """Blend splats [M, N, ...] and give the results their leading dimensions, on `device`.

    meta's tensors stay in the graph: where `device` is another than the splats', the image is made from their copies' copies.
    """
    lead = (*scene.batch, scene.cameras)
    means2d, depths = (value.reshape(*lead, *value.shape[1:]).to(device) for value in (splats.means2d, splats.depths))
    flat = scene.frames, scene.points
    splats = splats._replace(means2d=means2d.reshape(*flat, 2).to(colors.device), depths=depths.reshape(flat).to(colors.device))
    if scene.with_depth:
        colors = torch.cat([colors, splats.depths[..., None]], -1)
    opacities = scene.opacities.unsqueeze(-2).expand(*lead, scene.points).reshape(flat)
    image, alpha = blend(splats, colors, opacities, scene.width, scene.height)
    image, alpha = (value.reshape(*lead, *value.shape[1:]) for value in (image, alpha))
    radii = splats.radii.reshape(*lead, scene.points, 2).to(device)
    meta = {"means2d": means2d, "radii": radii, "depths": depths, "backend": name}
    return on_background(image, alpha, scene).to(device), alpha.to(device), meta


def on_background(image: Tensor, alpha: Tensor, scene: Scene) -> Tensor:
    """Add the background behind the colours [..., C, H, W, D (+1)]; depth, if there is any, has none."""
    if scene.backgrounds is None:
        return image
    behind = scene.backgrounds.to(image.dtype)[..., None, None, :] * (1.0 - alpha)
    if scene.with_depth:
        behind = torch.cat([behind, torch.zeros_like(behind[..., :1])], -1)
    return image + behind
