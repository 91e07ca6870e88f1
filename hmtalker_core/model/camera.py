"""Cameras: the dataset's OpenGL poses, the rasteriser's OpenCV matrices, the tracker's angles (docs/hmtalker.md#camera).

The world is the head; the head is static and the camera moves. Lengths are metres.
"""
from __future__ import annotations

from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from ...media_core.motion import PoseTrack

BLUR = 0.3  # px^2 that the rasteriser adds to every Gaussian, at the size an avatar was trained at
DECIMETRE = 0.1  # metres; the 3DMM tracker's unit
EXTENT_MARGIN = 1.1


class Cameras(TypedDict):
    """Arguments of the rasteriser that say from where B frames are seen."""
    viewmats: Tensor  # [B, 1, 4, 4] world to camera, OpenCV axes, metres
    Ks: Tensor        # [B, 1, 3, 3] px
    width: int        # px
    height: int       # px
    eps2d: float      # px^2 that every Gaussian is blurred by


class Window(NamedTuple):
    """What a frame shows of the image an avatar was trained at: all of it enlarged, or a part where the shapes differ."""
    size: tuple[int, int]    # (H, W) px of the frame
    whole: tuple[int, int]   # (H, W) px of the whole image, enlarged alike
    corner: tuple[int, int]  # (row, column) of the frame in it

    @classmethod
    def of(cls, size: tuple[int, int], trained: tuple[int, int], centre: tuple[float, float] = (0.5, 0.5)) -> Window:
        """The largest part of the shape of `size` (H, W) around `centre`, (down, across) in 0..1 of the image."""
        scale = max(side / own for side, own in zip(size, trained))
        whole = [max(side, round(own * scale)) for side, own in zip(size, trained)]
        row, column = (round(min(max(c * w - side / 2, 0), w - side)) for c, w, side in zip(centre, whole, size))
        return cls((size[0], size[1]), (whole[0], whole[1]), (row, column))

    def cut(self, image: Tensor) -> Tensor:  # [B, *whole, C] -> [B, *size, C]
        """The part of an image that the frame shows."""
        (row, column), (height, width) = self.corner, self.size
        return image[:, row:row + height, column:column + width]


def size_of(width: int, height: int, own: tuple[int, int]) -> tuple[int, int] | None:
    """(H, W) px of frames of this width and height, where 0 stands for: in proportion; None for the `own` ones: both are 0."""
    if not width and not height:
        return None
    return height or max(1, round(width * own[0] / own[1])), width or max(1, round(height * own[1] / own[0]))


def opengl_c2w_to_viewmat(c2w: Tensor) -> Tensor:  # [..., 4, 4] rigid -> [..., 4, 4]
    """Camera-to-world with OpenGL axes (x right, y up, z back) to world-to-camera with OpenCV axes (y down, z forward)."""
    rotation = (c2w[..., :3, :3] * c2w.new_tensor([1.0, -1.0, -1.0])).transpose(-1, -2)
    viewmat = torch.zeros_like(c2w)
    viewmat[..., :3, :3] = rotation
    # Term by term: a matrix product's last bits depend on how many there are, and a live frame must equal the recorded one.
    x, y, z = c2w[..., :3, 3].unbind(-1)
    moved = rotation[..., 0] * x[..., None] + rotation[..., 1] * y[..., None] + rotation[..., 2] * z[..., None]
    viewmat[..., :3, 3] = -moved
    viewmat[..., 3, 3] = 1.0
    return viewmat


def intrinsics(focal: float, width: int, height: int) -> Tensor:  # -> [3, 3]
    """Pinhole with the principal point at the image's centre; `focal` in pixels. Pixel i covers i..i + 1."""
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def film_cameras(poses: PoseTrack, begin: int, end: int, shown: Window | tuple[int, int], trained: tuple[int, int],
                 device: torch.device) -> Cameras:
    """Arguments of the rasteriser for frames begin..end.

    A frame `shown` (or of this (H, W) px) that is not as the `trained` image is that image scaled, or a part of it. The blur of
    every Gaussian, which training adapted to, scales along: at half the size a video is then the full one averaged down, where
    the full blur would make thin Gaussians cover more than they did (10 dB farther from it); at twice the size no holes open
    between them (benchmarks/avatar_sizes.py).
    """
    window = shown if isinstance(shown, Window) else Window.of(shown, trained)
    tall, wide = (whole / own for whole, own in zip(window.whole, trained))
    viewmats = opengl_c2w_to_viewmat(poses.camera_to_head[begin:end].float()).to(device)
    K = intrinsics(poses.focal * window.whole[0] / poses.image_size[0], window.whole[1], window.whole[0])
    K[0, 0] *= wide / tall
    K[0, 2] -= window.corner[1]
    K[1, 2] -= window.corner[0]
    height, width = window.size
    return {"viewmats": viewmats[:, None], "Ks": K.to(device)[None, None].expand(end - begin, 1, 3, 3), "width": width,
            "height": height, "eps2d": BLUR * tall * wide}


def euler_to_rotation(euler: Tensor) -> Tensor:  # [..., 3] radians about x, y, z -> [..., 3, 3]
    """Rx(a) Ry(b) Rz(-c): what the 3DMM tracker means by its angles (the last turns the other way; fixture `camera`)."""
    (cx, cy, cz), (sx, sy, sz) = euler.cos().unbind(-1), (euler * euler.new_tensor([1.0, 1.0, -1.0])).sin().unbind(-1)
    rows = [cy * cz, -cy * sz, sy,
            cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy,
            sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def tracker_to_c2w(euler: Tensor, translation: Tensor) -> Tensor:  # [..., 3] radians, [..., 3] decimetres -> [..., 4, 4] OpenGL
    """The tracker moves the head before a fixed camera; the same view as a camera moving about a fixed head."""
    back = euler_to_rotation(euler).transpose(-1, -2)
    c2w = back.new_zeros(*back.shape[:-2], 4, 4)
    c2w[..., :3, :3] = back
    c2w[..., :3, 3] = -(back @ (DECIMETRE * translation)[..., None])[..., 0]
    c2w[..., 3, 3] = 1.0
    return c2w


def project(points: Tensor, viewmat: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """Image coordinates and depths.

    Args:
        points: [..., N, 3] world, metres.
        viewmat: [..., 4, 4] OpenCV world-to-camera.
        K: [3, 3] intrinsics.
    Returns:
        [..., N, 2] continuous pixels (the centre of pixel i is i + 0.5) and [..., N] depth, metres.
    """
    seen = points @ viewmat[..., :3, :3].transpose(-1, -2) + viewmat[..., None, :3, 3]
    flat = seen @ K.to(seen).T
    return flat[..., :2] / flat[..., 2:], seen[..., 2]


def head_centre(poses: PoseTrack) -> tuple[float, float]:
    """Where the head is on the average of a track, (down, across) in 0..1 of the image."""
    height, width = poses.image_size
    viewmats = opengl_c2w_to_viewmat(poses.camera_to_head.float().cpu())
    at, _ = project(viewmats.new_zeros(1, 3), viewmats, intrinsics(poses.focal, width, height))
    across, down = (at.mean((0, 1)) / at.new_tensor([width, height])).nan_to_num(0.5, 0.5, 0.5).tolist()
    return down, across


def scene_extent(c2w: Tensor) -> float:  # [F, 4, 4]
    """1.1 times the largest distance of a camera from their mean, metres (typically 0.1-0.3).

    Scales the positions' learning rate and every size threshold of densification.
    """
    centres = c2w[:, :3, 3].double()
    return float(EXTENT_MARGIN * (centres - centres.mean(0)).norm(dim=-1).max())
