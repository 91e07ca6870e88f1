"""Projection and spherical harmonics by `triton_project_kernels.py`, differentiable: a kernel for each and one for its gradients,
where torch takes 241 operations forward and 559 backward (degree 2)."""
from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import triton_project_kernels as kernels
from .arguments import Scene
from .projection import Projected
from .triton_blend import by_rows, check_size
from .triton_kernels import launch


@functools.lru_cache(maxsize=64)
def _settings(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:  # [5]
    """Width, height, near and far plane, eps2d, where the kernels read them. Do not write."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def project(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Projected, Tensor]:
    """Splats with fields [M, N, ...] of all M = B x C frames, differentiable as `rasterization` says, and colours: [M, N, 3] of
    harmonics, otherwise as they were given, with a dimension of cameras [..., 1, N, D]."""
    lead = (*scene.batch, scene.cameras)
    settings = _settings((scene.width, scene.height, near_plane, far_plane, eps2d), scene.means.dtype, scene.means.device)
    check_size(scene.frames * max(scene.points, 1))
    means, quats, scales = scene.means.unsqueeze(-3), scene.quats.unsqueeze(-3), scene.scales.unsqueeze(-3)
    splats = Projected(*_Project.apply(means, quats, scales, scene.opacities.detach().unsqueeze(-2), scene.viewmats,
                                       scene.intrinsics.detach(), settings, lead))
    if scene.sh_degree is None:
        return splats, scene.colors.unsqueeze(-3)
    colors = _Harmonics.apply(means, scene.viewmats, scene.colors.unsqueeze(-4), splats.radii, scene.sh_degree, lead)
    return splats, colors


def _programs(m: int, n: int) -> int:
    """Blocks of all frames."""
    return m * -(-n // kernels.BLOCK)


class _Project(torch.autograd.Function):
    """Arguments that broadcast to the frames -> means2d, conics, depths, radii [M, N, ...]."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, views, intrinsics, settings, lead):
        m, n = math.prod(lead), means.shape[-2]
        pairs = [by_rows(value, lead, own) for value, own in ((means, 2), (quats, 2), (scales, 2), (opacities, 1), (views, 2),
                                                              (intrinsics, 2))]
        means2d, conics, depths = (settings.new_empty(m, n, *tail) for tail in ((2,), (3,), ()))
        radii = torch.empty(m, n, 2, dtype=torch.int32, device=settings.device)
        launch(kernels.project, _programs(m, n), *(part for pair in pairs for part in pair), settings, means2d, conics, depths,
               radii, n, BLOCK=kernels.BLOCK)
        ctx.mark_non_differentiable(radii)
        ctx.kept = pairs, settings, conics, radii, lead, [value.shape for value in (means, quats, scales, views)]
        return means2d, conics, depths, radii

    @staticmethod
    @once_differentiable
    def backward(ctx, g_means2d, g_conics, g_depths, _):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        (means, quats, scales, _, views, intrinsics), settings, conics, radii, lead, shapes = ctx.kept
        m, n = radii.shape[:2]
        grads = [settings.new_empty(m, n, width) for width in (3, 4, 3)]
        g_view = settings.new_zeros(m, -(-n // kernels.BLOCK), 3, 4)
        given = (part for pair in (means, quats, scales, views, intrinsics) for part in pair)
        launch(kernels.project_backward, _programs(m, n), *given, settings, conics, radii, g_means2d.contiguous(),
               g_conics.contiguous(), g_depths.contiguous(), *grads, g_view, n, BLOCK=kernels.BLOCK)
        own = [grad.reshape(*lead, n, grad.shape[-1]).sum_to_size(shape) for grad, shape in zip(grads, shapes, strict=False)]
        return *own, None, _view_gradient(g_view.sum(1), lead, shapes[3]), None, None, None


def _view_gradient(rows: Tensor, lead: tuple[int, ...], shape: torch.Size) -> Tensor:
    """Gradients [M, 3, 4] of the frames' view matrices as one of the given matrices [..., C, 4, 4]."""
    return torch.nn.functional.pad(rows, (0, 0, 0, 1)).reshape(*lead, 4, 4).sum_to_size(shape)


class _Harmonics(torch.autograd.Function):
    """Means, view matrices, harmonics [..., 1, N, K, 3], radii -> colours [M, N, 3]."""

    @staticmethod
    def forward(ctx, means, views, coefficients, radii, degree, lead):
        (m, n), terms, stride = radii.shape[:2], (degree + 1) ** 2, 3 * coefficients.shape[-2]
        given = [part for value, own in ((means, 2), (views, 2), (coefficients, 3)) for part in by_rows(value, lead, own)]
        colors = means.new_empty(m, n, 3)
        launch(kernels.harmonics, _programs(m, n), *given, radii, colors, n, stride, TERMS=terms, BLOCK=kernels.BLOCK)
        ctx.kept = given, colors, terms, stride, lead, [value.shape for value in (means, views, coefficients)]
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx, g_colors):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        given, colors, terms, stride, lead, shapes = ctx.kept
        m, n = colors.shape[:2]
        g_mean, g_sh = torch.empty_like(colors), colors.new_zeros(m, n, stride // 3, 3)
        g_eye = colors.new_zeros(m, -(-n // kernels.BLOCK), 3)
        launch(kernels.harmonics_backward, _programs(m, n), *given, colors, g_colors.contiguous(), g_mean, g_sh, g_eye, n, stride,
               TERMS=terms, BLOCK=kernels.BLOCK)
        views, rows = given[2], given[3]
        view, eye = views[rows.long()], g_eye.sum(1)  # of the camera's position -R^T t
        g_rotation = -view[:, :3, 3, None] * eye[:, None, :]
        g_shift = -(view[:, :3, :3] * eye[:, None, :]).sum(-1, keepdim=True)
        g_view = _view_gradient(torch.cat([g_rotation, g_shift], -1), lead, shapes[1])
        return (g_mean.reshape(*lead, n, 3).sum_to_size(shapes[0]), g_view,
                g_sh.reshape(*lead, n, stride // 3, 3).sum_to_size(shapes[2]), None, None, None)
