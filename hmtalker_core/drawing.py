"""An avatar's frames in torch, on any device: face over mouth over body over background.

On the processor without gradients `cpu_frames.py` does the same several times as fast.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .backdrop import Background, backdrop, body_layer, is_clear, straight
from .basis import Deformation
from .model.camera import Cameras, Window, film_cameras
from .model.compose import compose, coverage, dilate, dilation_at
from .model.gaussians import GaussianField
from .model.hidden import MouthPlace, hidden
from .rasterizer import rasterization

if TYPE_CHECKING:
    from .avatar_motion import AvatarMotion
    from .avatar_rendering import Rendering


@dataclass(frozen=True)
class Picture:
    """What frames look like, whatever the motion; the options of `Avatar.render`."""
    window: Window
    background: Background = "plate"
    torso: bool = True
    backend: str = "auto"
    deformation: Deformation = "exact"


def drawn(avatar: Rendering, motion: AvatarMotion, begin: int, end: int, picture: Picture) -> tuple[Tensor, Tensor]:
    """rgb [B, H, W, 3] and alpha [B, H, W] of frames begin..end, in 0..1."""
    (d_xyz, d_rot, d_scale), inside = avatar.offsets(motion, begin, end, picture.deformation)
    window, background, device = picture.window, picture.background, avatar.device
    camera = film_cameras(motion.poses, begin, end, window, avatar.size, device)
    face_rgb, face_alpha = draw_branch(avatar.face, camera, picture.backend, d_xyz, d_rot, d_scale, before=avatar.mouth_place)
    mouth_rgb, mouth_alpha = draw_branch(avatar.mouth, camera, picture.backend, inside)
    mouth_alpha = dilate(mouth_alpha, dilation_at(window.whole[0]))  # no background between lips and what is behind
    behind = backdrop(avatar.background, background, window, begin, end)
    cover = coverage(face_alpha, mouth_alpha)
    if picture.torso:
        body, body_alpha = body_layer(avatar.torso, motion.torso_index[begin:end].to(device), window)
        behind = body + behind * (1 - body_alpha)
        cover = 1 - (1 - cover) * (1 - body_alpha)
    image, cover = compose(face_rgb, face_alpha, mouth_rgb, mouth_alpha, behind).clamp(0, 1), cover[..., 0].clamp(0, 1)
    return straight(image, cover) if is_clear(background) else image, cover


def draw_branch(field: GaussianField, camera: Cameras, backend: str, *offsets: Tensor,
                before: MouthPlace | None = None) -> tuple[Tensor, Tensor]:
    """One branch in B frames: (rgb [B, H, W, 3] weighted by alpha, alpha [B, H, W, 1]); without what lies behind `before`."""
    # A frame at a time: the same in any chunk.
    each = [field.deformed(*(o[frame] for o in offsets)) for frame in range(len(offsets[0]))]
    moved = each[0] | {name: torch.stack([e[name] for e in each]) for name in ("means", "quats", "scales")[:len(offsets)]}
    if before is not None:
        shown = [~hidden(e["means"], view[0], before) for e, view in zip(each, camera["viewmats"])]
        moved["opacities"] = moved["opacities"] * torch.stack(shown)
    rgb, alpha, _ = rasterization(moved["means"], moved["quats"], moved["scales"], moved["opacities"], moved["colors"],
                                  **camera, sh_degree=field.active_sh_degree, backend=backend)
    return rgb[:, 0], alpha[:, 0]
