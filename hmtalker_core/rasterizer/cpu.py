"""The processor back end with gradients: torch projects, numba blends, both ways.

Exact in the sense of `reference.py` (same pixels, same stopping rule), in float32 or float64.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import kernels
from .jit import run_all
from .projection import Projected

LANES_PER_WORKER = 4       # tiles differ in cost; several portions a thread even it out


def render(splats: Projected, colors: Tensor, opacities: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Blend projected Gaussians front to back on the CPU.

    Args:
        splats: fields [M, N, ...] of M images. colors [M, N, D]; opacities [M, N]. All float32 or all float64, on the CPU.
    Returns: images [M, H, W, D] without background and alphas [M, H, W, 1], differentiable in means2d, conics, colors, opacities.
    """
    image, left = _Blend.apply(splats.means2d, splats.conics, colors, opacities, splats.depths, splats.radii, width, height)
    return image, (1.0 - left)[..., None]


class _Blend(torch.autograd.Function):
    """M images at once; every argument has the leading dimension M."""

    @staticmethod
    def forward(ctx, means2d, conics, colors, opacities, depths, radii, width, height):
        splat = _rows(means2d, conics, opacities)
        color = colors.detach().contiguous().numpy()
        m, d = color.shape[0], color.shape[2]
        tiles_x, tiles_y = -(-width // kernels.TILE), -(-height // kernels.TILE)
        order = np.argsort(depths.detach().numpy(), axis=-1, kind="stable")
        radii = radii.contiguous().numpy()
        lists = [kernels.tile_lists(splat[i, :, :2], radii[i], order[i], tiles_x, tiles_y) for i in range(m)]
        image = np.empty((m, height, width, d), color.dtype)
        left, last = np.empty((m, height, width), color.dtype), np.empty((m, height, width), np.int32)
        workers = torch.get_num_threads()
        lanes = LANES_PER_WORKER * workers
        run_all(kernels.blend, ((lane, lanes, splat[i], color[i], *lists[i], width, height, tiles_x, (0,) * d, image[i], left[i], last[i])
                                for i in range(m) for lane in range(lanes)), workers)
        ctx.kept = splat, color, lists, left, last, tiles_x
        return torch.from_numpy(image), torch.from_numpy(left)

    @staticmethod
    def backward(ctx, g_image, g_left):
        splat, color, lists, left, last, tiles_x = ctx.kept
        m, height, width = left.shape
        d = color.shape[2]
        g_image, g_left = g_image.contiguous().numpy(), g_left.contiguous().numpy()
        slots = [np.zeros((len(ids), kernels.GEOMETRY + d), color.dtype) for _, ids in lists]
        workers = torch.get_num_threads()
        lanes = LANES_PER_WORKER * workers
        run_all(kernels.blend_backward, ((lane, lanes, splat[i], color[i], *lists[i], width, height, tiles_x, (0,) * d, left[i], last[i],
                                          g_image[i], g_left[i], slots[i]) for i in range(m) for lane in range(lanes)), workers)
        out = np.zeros((m, splat.shape[1], kernels.GEOMETRY + d), color.dtype)
        run_all(kernels.add_slots, ((lists[i][1], slots[i], out[i]) for i in range(m)), workers)
        grad = torch.from_numpy(out)
        return grad[..., 0:2], grad[..., 2:5], grad[..., 6:], grad[..., 5], None, None, None, None


def _rows(means2d: Tensor, conics: Tensor, opacities: Tensor) -> np.ndarray:
    """The kernels' table [M, N, 8]."""
    with torch.no_grad():
        limit = 2 * torch.log((opacities * 255).clamp_min(1))
        determinant = conics[..., 0] * conics[..., 2] - conics[..., 1] ** 2
        half_height = torch.sqrt(limit * conics[..., 0] / determinant.clamp_min(1e-20))
        return torch.cat([means2d, conics, opacities[..., None], limit[..., None], half_height[..., None]], -1).numpy()
