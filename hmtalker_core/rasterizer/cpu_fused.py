"""The processor back end without gradients: each frame goes through projection, colour, order, tiles and blending in one
thread, with all that it needs still in that core's cache. Frames run side by side; fewer frames than threads are cut into
portions instead.

Gaussians shared by all frames (quats, scales, opacities, harmonics) are read where they lie. Results equal those of `cpu.py`.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import cpu_project, cpu_sh, kernels
from .arguments import Scene
from .cpu import LANES_PER_WORKER, of_frame, per_frame, portions
from .jit import run_all


def render(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Tensor, Tensor, dict]:
    """What `rasterization` returns; the scene is on the CPU."""
    frames = _Frames.of(scene, near_plane, far_plane, eps2d)
    count, workers = len(frames.depth), torch.get_num_threads()
    if count >= workers:
        run_all(frames.whole, ((f,) for f in range(count)), workers)
    else:
        cuts, lanes = portions(scene.points), LANES_PER_WORKER * workers
        run_all(frames.project, ((f, *cut) for f in range(count) for cut in cuts), workers)
        run_all(frames.sort, ((f,) for f in range(count)), workers)
        run_all(frames.blend, ((f, lane, lanes) for f in range(count) for lane in range(lanes)), workers)
    lead = (*scene.batch, scene.cameras)
    image, alpha, means2d, radii, depths = (torch.from_numpy(array).reshape(*lead, *array.shape[1:]) for array in (
        frames.image, 1.0 - frames.left, frames.splat[..., :2], frames.radius, frames.depth))
    return image, alpha[..., None], {"means2d": means2d, "radii": radii, "depths": depths, "backend": "cpu"}


@dataclass(frozen=True)
class _Frames:
    """M = B x C frames under work; arrays with a leading M are written frame by frame."""

    inputs: list[np.ndarray]        # rows of means, quats, scales, opacities, view matrices, intrinsics, colours, backgrounds
    index: list[np.ndarray]         # for each of them, the row that a frame reads, int64 [M]
    settings: tuple[int, int, float, float, float]  # width, height, near, far, eps2d
    degree: int | None              # of the harmonics; None: colours
    with_depth: bool                # one more channel
    splat: np.ndarray               # [M, N, 8] see kernels.py
    depth: np.ndarray               # [M, N]
    radius: np.ndarray              # int32 [M, N, 2]
    color: list[np.ndarray]         # of M: [N, D (+1)]
    lists: dict[int, tuple[np.ndarray, np.ndarray]]  # tile lists of the frames in work
    image: np.ndarray               # [M, H, W, D (+1)]
    left: np.ndarray                # [M, H, W] light that passes

    @classmethod
    def of(cls, scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> _Frames:
        channels = scene.channels + scene.with_depth
        backgrounds = scene.backgrounds if scene.backgrounds is not None else scene.means.new_zeros(1, scene.channels)
        rows, index = zip(*(per_frame(value.detach(), scene.batch, scene.cameras, own, has_camera) for value, own, has_camera in (
            (scene.means, 2, False), (scene.quats, 2, False), (scene.scales, 2, False), (scene.opacities, 1, False),
            (scene.viewmats, 2, True), (scene.intrinsics, 2, True), (scene.colors, 2 if scene.sh_degree is None else 3, False),
            (torch.nn.functional.pad(backgrounds, (0, int(scene.with_depth))), 1, True))), strict=True)
        inputs = [value.numpy() for value in rows]
        m, n, dtype = len(index[0]), scene.points, inputs[0].dtype
        settings = scene.width, scene.height, near_plane, far_plane, eps2d
        return cls(inputs=inputs, index=list(index), settings=settings, degree=scene.sh_degree, with_depth=scene.with_depth,
                   splat=np.empty((m, n, 8), dtype), depth=np.empty((m, n), dtype), radius=np.empty((m, n, 2), np.int32),
                   color=[cls._color_room(inputs[6], index[6][f], scene) for f in range(m)], lists={},
                   image=np.empty((m, scene.height, scene.width, channels), dtype),
                   left=np.empty((m, scene.height, scene.width), dtype))

    @staticmethod
    def _color_room(colors: np.ndarray, row: int, scene: Scene) -> np.ndarray:
        """Where a frame's colours go: for plain colours without depth, where they already are."""
        if scene.sh_degree is None and not scene.with_depth:
            return colors[row]
        return np.empty((scene.points, scene.channels + scene.with_depth), colors.dtype)

    def project(self, f: int, begin: int, end: int) -> None:
        """Splats and colours of the points [begin, end) of frame f."""
        mean, quat, scale, opacity, view, intrinsic, colors, _ = of_frame(self.inputs, self.index, f)
        cpu_project.project(begin, end, mean, quat, scale, opacity, view, intrinsic, *self.settings,
                            self.splat[f], self.depth[f], self.radius[f])
        color = self.color[f]
        if self.degree is not None:
            cpu_sh.colors(begin, end, mean, view, colors, self.degree, self.radius[f], np.empty(16, color.dtype), color)
        elif self.with_depth:
            color[begin:end, :-1] = colors[begin:end]
        if self.with_depth:
            color[begin:end, -1] = self.depth[f, begin:end]

    def sort(self, f: int) -> None:
        """Tile lists of frame f."""
        bits = self.depth[f].view(np.int32 if self.depth.itemsize == 4 else np.int64)
        width, height = self.settings[:2]
        self.lists[f] = kernels.tile_lists(self.splat[f], kernels.depth_order(bits, self.radius[f]), -(-width // kernels.TILE),
                                           -(-height // kernels.TILE))

    def blend(self, f: int, lane: int, lanes: int) -> None:
        """Tiles lane, lane + lanes, ... of frame f."""
        width, height = self.settings[:2]
        color, only_for_backward = self.color[f], np.empty((height, width), np.int32)
        kernels.blend(lane, lanes, self.splat[f], color, *self.lists[f], width, height, -(-width // kernels.TILE),
                      (0,) * color.shape[1], self.inputs[7][self.index[7][f]], self.image[f], self.left[f],
                      only_for_backward)

    def whole(self, f: int) -> None:
        """All of frame f."""
        self.project(f, 0, self.depth.shape[1])
        self.sort(f)
        self.blend(f, 0, 1)
        del self.lists[f]
