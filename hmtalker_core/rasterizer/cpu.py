"""The processor back end: numba projects and blends, forward and backward.

Exact in the sense of `reference.py` (same pixels, same stopping rule), in float32 or float64. Without gradients `cpu_fused.py`
does the same frame by frame and keeps nothing. No result depends on the number of threads or on the other frames of a call.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import cpu_project, cpu_sh, kernels
from .arguments import Scene
from .backend import Backend, Rendered
from .frames import blended
from .jit import is_compiled, run_all
from .projection import Projected

LANES_PER_WORKER = 4       # tiles differ in cost; several portions a thread even it out
PORTION = 2048             # Gaussians a thread takes at once; fixed, so that sums over portions have one order


def per_frame(value: Tensor, batch: tuple[int, ...], cameras: int, own: int, has_camera: bool = False
              ) -> tuple[Tensor, np.ndarray]:
    """An argument as rows, and which row each of the B x C frames reads; shared rows are not copied.

    Args: value [..., *own dims]; own: number of trailing dimensions of a row; has_camera: the one before them is the camera's.
    Returns: rows [R, *own dims], contiguous, and int64 [B * C].
    """
    lead = value.shape[:value.dim() - own]
    count = math.prod(lead)
    index = np.arange(count).reshape(lead if has_camera else (*lead, 1))
    rows = value.reshape(count, *value.shape[value.dim() - own:]).contiguous()
    return rows, np.broadcast_to(index, (*batch, cameras)).reshape(-1)


def array_of(value: Tensor) -> np.ndarray:
    """A contiguous array, by numpy: torch would wake its threads for a copy of this size."""
    return np.ascontiguousarray(value.detach().numpy())


def of_frame(arrays: Sequence[np.ndarray], index: Sequence[np.ndarray], f: int) -> list[np.ndarray]:
    """Each array's row for frame f."""
    return [array[rows[f]] for array, rows in zip(arrays, index, strict=True)]


def portions(n: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + PORTION, n)) for begin in range(0, n, PORTION)]


def project(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Projected, Tensor]:
    """Splats with fields [M, N, ...] and colours [M, N, D] of all M = B x C frames, differentiable as `rasterization` says."""
    rows, index = zip(*(per_frame(value, scene.batch, scene.cameras, own, has_camera) for value, own, has_camera in (
        (scene.means, 2, False), (scene.quats, 2, False), (scene.scales, 2, False), (scene.opacities, 1, False),
        (scene.viewmats, 2, True), (scene.intrinsics.detach(), 2, True))), strict=True)
    settings = (scene.width, scene.height, near_plane, far_plane, eps2d)
    means2d, conics, depths, radii = _Project.apply(*rows, index, settings)
    color_rows, color_index = per_frame(scene.colors, scene.batch, scene.cameras, 2 if scene.sh_degree is None else 3)
    if scene.sh_degree is None:
        colors = color_rows.expand(len(color_index), -1, -1) if len(color_rows) == 1 else color_rows[torch.tensor(color_index)]
    else:
        colors = _Colors.apply(rows[0], rows[4], color_rows, radii, (index[0], index[4], color_index), scene.sh_degree)
    return Projected(means2d, conics, depths, radii), colors


class _Project(torch.autograd.Function):
    """Rows of means, quats, scales, opacities, view matrices, intrinsics -> means2d, conics, depths, radii of M frames."""

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, views, intrinsics, index, settings):
        arrays = [value.detach().numpy() for value in (means, quats, scales, opacities, views, intrinsics)]
        m, n, dtype = len(index[0]), means.shape[1], arrays[0].dtype
        splat, depth, radius = np.empty((m, n, 8), dtype), np.empty((m, n), dtype), np.empty((m, n, 2), np.int32)
        jobs = ((*cut, *of_frame(arrays, index, f), *settings, splat[f], depth[f], radius[f])
                for f in range(m) for cut in portions(n))
        run_all(cpu_project.project, jobs, torch.get_num_threads())
        conic = np.ascontiguousarray(splat[..., 2:5])
        ctx.kept = arrays, index, settings, conic, radius
        means2d, radii = torch.from_numpy(np.ascontiguousarray(splat[..., :2])), torch.from_numpy(radius)
        ctx.mark_non_differentiable(radii)
        return means2d, torch.from_numpy(conic), torch.from_numpy(depth), radii

    @staticmethod
    @once_differentiable
    def backward(ctx, g_means2d, g_conics, g_depths, _):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        arrays, index, settings, conic, radius = ctx.kept
        incoming = [array_of(g) for g in (g_means2d, g_conics, g_depths)]
        grads = [np.zeros_like(array) for array in arrays[:3]]
        m, cuts = len(radius), portions(radius.shape[1])
        g_view = np.zeros((m, len(cuts), 3, 4))

        def portion(p):
            for f in range(m):
                mean, quat, scale, _, view, intrinsic = of_frame(arrays, index, f)
                cpu_project.project_backward(*cuts[p], mean, quat, scale, view, intrinsic, *settings[:2], conic[f], radius[f],
                                             *(g[f] for g in incoming), *of_frame(grads, index[:3], f), g_view[f, p])
        run_all(portion, ((p,) for p in range(len(cuts))), torch.get_num_threads())
        g_views = _sum_views(g_view.sum(1), index[4], arrays[4])
        return *(torch.from_numpy(grad) for grad in grads), None, g_views, None, None, None


def _sum_views(per_frame_grads: np.ndarray, rows: np.ndarray, views: np.ndarray) -> Tensor:
    """Gradients [M, 3, 4] of each frame's view matrix, added up where frames share it: [R, 4, 4]."""
    total = np.zeros(views.shape)
    np.add.at(total[:, :3], rows, per_frame_grads)
    return torch.from_numpy(total.astype(views.dtype))


class _Colors(torch.autograd.Function):
    """Rows of means, view matrices, spherical harmonics -> colours [M, N, 3]."""

    @staticmethod
    def forward(ctx, means, views, coefficients, radii, index, degree):
        arrays = [value.detach().numpy() for value in (means, views, coefficients)]
        radius = radii.numpy()
        m, n = radius.shape[:2]
        color = np.empty((m, n, 3), arrays[0].dtype)

        def portion(f, begin, end):
            mean, view, coefficient = of_frame(arrays, index, f)
            cpu_sh.colors(begin, end, mean, view, coefficient, degree, radius[f], np.empty(16, color.dtype), color[f])
        run_all(portion, ((f, *cut) for f in range(m) for cut in portions(n)), torch.get_num_threads())
        ctx.kept = arrays, radius, index, degree, color
        return torch.from_numpy(color)

    @staticmethod
    @once_differentiable
    def backward(ctx, g_colors):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        arrays, radius, index, degree, color = ctx.kept
        g_color = array_of(g_colors)
        g_mean, g_coefficients = np.zeros_like(arrays[0]), np.zeros_like(arrays[2])
        m, cuts = len(radius), portions(radius.shape[1])
        g_camera = np.zeros((m, len(cuts), 3))

        def portion(p):
            room = np.empty(32, color.dtype)
            for f in range(m):
                mean, view, coefficient = of_frame(arrays, index, f)
                cpu_sh.colors_backward(*cuts[p], mean, view, coefficient, degree, radius[f], color[f], g_color[f], room,
                                       g_mean[index[0][f]], g_coefficients[index[2][f]], g_camera[f, p])
        run_all(portion, ((p,) for p in range(len(cuts))), torch.get_num_threads())
        views = arrays[1][index[1]].astype(np.float64)
        position = g_camera.sum(1)                                    # of the camera: -R^T t
        g_view = np.empty((m, 3, 4))
        g_view[:, :, :3] = -views[:, :3, 3, None] * position[:, None, :]
        g_view[:, :, 3] = -(views[:, :3, :3] @ position[:, :, None])[..., 0]
        g_views = _sum_views(g_view, index[1], arrays[1])
        return torch.from_numpy(g_mean), g_views, torch.from_numpy(g_coefficients), None, None, None


def blend(splats: Projected, colors: Tensor, opacities: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Blend projected Gaussians front to back.

    Args:
        splats: fields [M, N, ...] of M frames. colors [M, N, D]; opacities [M, N]. All float32 or all float64, on the CPU.
    Returns: images [M, H, W, D] without background and alphas [M, H, W, 1], differentiable in means2d, conics, colors, opacities.
    """
    image, left = _Blend.apply(splats.means2d, splats.conics, colors, opacities, splats.depths, splats.radii, width, height)
    return image, (1.0 - left)[..., None]


class _Blend(torch.autograd.Function):
    """M frames at once; every argument has the leading dimension M."""

    @staticmethod
    def forward(ctx, means2d, conics, colors, opacities, depths, radii, width, height):
        mean2d, conic, opacity, color, depth, radius = (array_of(value) for value in (
            means2d, conics, opacities, colors, depths, radii))
        m, n, d = color.shape
        splat, tiles_x = np.empty((m, n, 8), color.dtype), -(-width // kernels.TILE)
        lists, bits = [None] * m, depth.view(np.int32 if depth.itemsize == 4 else np.int64)

        def prepare(f):
            kernels.pack(mean2d[f], conic[f], opacity[f], splat[f])
            lists[f] = kernels.tile_lists(splat[f], kernels.depth_order(bits[f], radius[f]), tiles_x, -(-height // kernels.TILE))
        workers = torch.get_num_threads()
        run_all(prepare, ((f,) for f in range(m)), workers)
        image = np.empty((m, height, width, d), color.dtype)
        left, last = np.empty((m, height, width), color.dtype), np.empty((m, height, width), np.int32)
        lanes, nothing = LANES_PER_WORKER * workers, np.zeros(d, color.dtype)
        run_all(kernels.blend, ((lane, lanes, splat[f], color[f], *lists[f], width, height, tiles_x, (0,) * d, nothing,
                                 image[f], left[f], last[f]) for f in range(m) for lane in range(lanes)), workers)
        ctx.kept = splat, color, lists, left, last, tiles_x
        return torch.from_numpy(image), torch.from_numpy(left)

    @staticmethod
    @once_differentiable
    def backward(ctx, g_image, g_left):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        splat, color, lists, left, last, tiles_x = ctx.kept
        m, height, width = left.shape
        d = color.shape[2]
        g_image, g_left = array_of(g_image), array_of(g_left)
        slots = [np.zeros((len(ids), kernels.GEOMETRY + d), color.dtype) for _, ids in lists]
        workers = torch.get_num_threads()
        lanes = LANES_PER_WORKER * workers
        run_all(kernels.blend_backward, ((lane, lanes, splat[f], color[f], *lists[f], width, height, tiles_x, (0,) * d,
                                          left[f], last[f], g_image[f], g_left[f], slots[f])
                                         for f in range(m) for lane in range(lanes)), workers)
        out = np.zeros((m, splat.shape[1], kernels.GEOMETRY + d), color.dtype)
        run_all(kernels.add_slots, ((lists[f][1], slots[f], out[f]) for f in range(m)), workers)
        grad = torch.from_numpy(out)
        return grad[..., 0:2], grad[..., 2:5], grad[..., 6:], grad[..., 5], None, None, None, None


class Cpu(Backend):
    """Tensors of another device are copied to memory and back, gradients too."""

    name = "cpu"

    def render(self, scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> Rendered:
        """See `Backend.render`."""
        from . import cpu_fused  # which is built on this module

        device = scene.means.device
        tensors = {name: value for name, value in scene._asdict().items() if isinstance(value, Tensor)}
        scene = scene._replace(**{name: value.cpu() for name, value in tensors.items()})
        if torch.is_grad_enabled() and any(value.requires_grad for value in tensors.values()):
            splats, colors = project(scene, near_plane, far_plane, eps2d)
            return blended(scene, splats, colors, blend, self.name, device)
        image, alpha, meta = cpu_fused.render(scene, near_plane, far_plane, eps2d)
        return image.to(device), alpha.to(device), {k: v.to(device) if isinstance(v, Tensor) else v for k, v in meta.items()}

    def place(self, device: torch.device) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def must_compile(self, gradients: bool) -> bool:
        """Whether the kernels have not been compiled on this machine."""
        return not is_compiled(kernels.blend_backward if gradients else kernels.blend)


BACKEND = Cpu()
