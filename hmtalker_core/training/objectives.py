"""The losses of the three training stages, one function each (docs/hmtalker.md#losses).

Every function renders one frame and returns (loss, what to show). The published clear colour (green) is replaced by a random
one a step, laid under render and target alike: nothing can hide in it, and no clean-up by colour is needed.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.motion import LOWER_INDEX, UPPER_INDEX
from ...training_core.optim import autocast
from ..data.dataset import MOUTH
from ..model import fused_motion
from ..model.compose import compose
from ..model.gaussians import GaussianField
from ..model.motion import FaceMotionNet, MotionOutput, MouthMotionNet
from ..rasterizer import rasterization
from . import picture
from .augment import augment_windows
from .batches import Clip, View, bounding_box
from .branches import Branch
from .config import TrainConfig
from .curriculum import draw_mask, draw_path
from .losses import alpha_loss, masked_mean, motion_regulariser, photometric
from .lpips import LPIPS, patch_distance

HAIR_FRINGE = 0.02  # of the image's height: hidden around hair in the steps in which hair is (ours)
HAIR_ALWAYS, MASK_CLOSING, MOUTH_FROZEN = 0.92, 0.94, 0.98  # shares of a stage from which its published ending counts
LPIPS_FACE, LPIPS_MOUTH, LPIPS_FUSE = 0.94, 0.98, 0.5  # share of each stage after which LPIPS counts


@dataclass(frozen=True)
class Shot:
    """A rendered crop."""

    rgb: Tensor  # [h, w, 3], weighted by alpha
    alpha: Tensor  # [h, w, 1]
    meta: dict[str, Tensor]  # means2d (gradient kept), radii

    @property
    def centre_gradients(self) -> Tensor:  # [1, N, 2] per pixel
        """Of the loss to the projected centres, after its backward pass."""
        gradients = self.meta["means2d"].grad
        assert gradients is not None  # `shoot` keeps them
        return gradients


@dataclass(frozen=True)
class FrameResult:
    """What one frame of a step gives; a step of the warm-up has no image."""

    loss: Tensor  # []
    image: Tensor | None = None  # [h, w, 3]
    target: Tensor | None = None  # [h, w, 3]
    shot: Shot | None = None  # where density control counts gradients

    @property
    def psnr(self) -> float:  # dB
        if self.image is None or self.target is None:
            return math.nan
        return -10 * math.log10(max(float((self.image.detach() - self.target).square().mean()), 1e-10))


def shoot(branch: Branch, view: View, d_xyz: Tensor | None = None, d_rot: Tensor | None = None,
          d_scale: Tensor | None = None, *, backend: str = "auto") -> Shot:
    """Renders a branch into a view, moved by offsets [1, N, .] or still."""
    first: Callable[[Tensor | None], Tensor | None] = lambda x: None if x is None else x[0]
    return shoot_moved(branch.field.deformed(first(d_xyz), first(d_rot), first(d_scale)), branch, view, backend=backend)


def shoot_moved(moved: dict[str, Tensor], branch: Branch, view: View, *, backend: str = "auto") -> Shot:
    """Renders what `GaussianField.deformed` gives into a view."""
    rgb, alpha, meta = rasterization(moved["means"], moved["quats"], moved["scales"], moved["opacities"], moved["colors"],
                                     viewmats=view.viewmat[None], Ks=view.K[None], width=view.width, height=view.height,
                                     sh_degree=branch.field.active_sh_degree, backend=backend)
    if meta["means2d"].requires_grad:
        meta["means2d"].retain_grad()
    return Shot(rgb[0], alpha[0], meta)


def picture_loss(image: Tensor, target: Tensor, config: TrainConfig) -> Tensor:
    """L1 + lambda (1 - SSIM) of two images [h, w, 3]; differentiable in the first."""
    if picture.fits(image, target):
        return picture.photometric(image, target, config.lambda_ssim)
    return photometric(image.movedim(-1, 0), target.movedim(-1, 0), config.lambda_ssim)


def compared(shot: Shot, view: View, code: np.ndarray, clear: Tensor, weights: picture.Weights, *, differentiable: bool = False
             ) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, image [h, w, 3], target) of a render over a colour, as `picture.composed`; `differentiable`: the image too."""
    if not differentiable and picture.fits(shot.rgb, clear):
        return picture.composed(shot.rgb, shot.alpha, view.pixels, code, clear, weights)
    shown, hidden, detail, opaque = (torch.from_numpy((code & bit) > 0).to(clear.device).float()[..., None] for bit in (
        picture.SHOWN, picture.HIDDEN, picture.DETAIL, picture.OPAQUE))
    image = (shot.rgb + clear * (1 - shot.alpha)) * (1 - hidden) + clear * hidden
    target = view.image * shown * (1 - hidden) + clear * (1 - shown * (1 - hidden))
    loss = photometric(image.movedim(-1, 0), target.movedim(-1, 0), weights.ssim)
    if weights.detail:
        loss = loss + weights.detail * masked_mean((image - target).abs().mean(-1, keepdim=True), detail)
    if weights.alpha:
        loss = loss + weights.alpha * alpha_loss(shot.alpha, opaque)
    return loss, image, target


def align_loss(net: FaceMotionNet, clip: Clip, frames: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """L_align = mean |c_l^a - c_l^v| over known channels of some frames; the explicit code is only a target."""
    windows = augment_windows(clip.windows(frames), config.audio_augment, generator, clip.hears.spectral)
    with computing(clip.device, config):
        return aligned(net, clip, frames, net.encode_audio(windows))


def aligned(net: FaceMotionNet, clip: Clip, frames: Tensor, c_implicit: Tensor) -> Tensor:  # [B], [B, 32] -> []
    """`align_loss` from the frames' codes of speech."""
    target = net.encode_au(clip.explicit[frames]).detach()
    deviation = (net.a2am(c_implicit).float() - target.float()).abs()
    return deviation[:, known_channels(clip, target.shape[1])].mean()


def known_channels(clip: Clip, width: int) -> Tensor:
    """bool [width]: which channels of an explicit code may be compared; unknown action units (the last 10 channels) may not."""
    keep = torch.ones(width, dtype=torch.bool)
    if clip.cue is not None:
        return keep.to(clip.device)
    keep[width - len(LOWER_INDEX):] = torch.tensor([clip.au_known[i] for i in LOWER_INDEX])
    return keep.to(clip.device)


def face_loss(branch: Branch, clip: Clip, view: View, step: int, config: TrainConfig, generator: torch.Generator,
              lpips: LPIPS | None = None) -> tuple[Tensor, Shot, Tensor, Tensor]:
    """Face stage: (loss, shot, image, target). Still before `static`; afterwards one of the three HMMM paths moves it."""
    clear = torch.rand(3, generator=generator).to(clip.device)
    moving = step >= config.face.static
    motion = _face_motion(branch, clip, view, config, generator) if moving else None
    shot = shoot_moved(branch.field.deformed() if motion is None else motion.arguments, branch, view)
    hair_counts = not moving or step % config.hair_every == 0 or in_ending(config, step, HAIR_ALWAYS, config.face.steps)
    regions = view.regions
    if in_ending(config, step, MASK_CLOSING, config.face.steps):
        regions = np.where(closed(view.mouth)[..., 0].cpu().numpy() > 0, regions | MOUTH, regions)
    weights = picture.Weights(config.lambda_ssim, config.lambda_detail,
                              config.lambda_alpha if moving or not config.published_endings else 0.0)
    code = picture.face_code(regions, hair_counts, 0.0 if config.published_endings else HAIR_FRINGE)
    late = lpips if step >= LPIPS_FACE * config.face.steps else None
    loss, image, target = compared(shot, view, code, clear, weights, differentiable=late is not None)
    if late is not None:
        without_lips = lambda x: clear * view.lips + x * (1 - view.lips)
        loss = loss + 0.2 * patch_distance(late, without_lips(image), without_lips(target), 64, 96, generator)
        loss = loss + 0.01 * lip_distance(late, image, target, view.lips)
    if motion is not None:
        loss = loss + config.lambda_motion * motion.deviation + align_weight(config) * motion.align
        if step % config.attention_every == 0:
            loss = loss + config.attention_every * config.lambda_attention * _attention_loss(motion, view, hair_counts)
    return loss, shot, image, target


def in_ending(config: TrainConfig, step: int, share: float, steps: int) -> bool:
    """Whether a stage of `steps` is past `share` and the run follows the published endings (docs/hmtalker.md#schedules)."""
    return config.published_endings and step >= share * steps


def closed(mask: Tensor) -> Tensor:  # [h, w, 1] of 0 and 1 -> same
    """Morphological closing, 3 x 3: gaps of a pixel between the teeth and the lips belong to the mouth."""
    from kornia.morphology import closing

    return closing(mask.movedim(-1, 0)[None], mask.new_ones(3, 3))[0].movedim(0, -1)


def align_weight(config: TrainConfig) -> float:
    """The paper's 1e-3 is for one frame; a batch of B frames stands for B steps of it, up to its square root (our choice)."""
    return config.lambda_align * config.align_batch ** 0.5


@dataclass(frozen=True)
class FaceMotion(fused_motion.Moved):
    """The face in one frame, with the alignment loss of that frame and others."""

    align: Tensor  # []


def _face_motion(branch: Branch, clip: Clip, view: View, config: TrainConfig, generator: torch.Generator) -> FaceMotion:
    """One pass of the audio net serves the frame and the alignment loss, each with an augmentation of its own."""
    index = torch.tensor([view.index])
    some = torch.randint(len(clip.dataset.train_index), (config.align_batch - 1,), generator=generator)
    index, frames = (x.to(clip.device) for x in (index, torch.cat([index, torch.as_tensor(clip.dataset.train_index)[some]])))
    windows = augment_windows(clip.windows(torch.cat([index, frames])), config.audio_augment, generator, clip.hears.spectral)
    path = draw_path(generator, config.path_weights)
    net, field = face_net(branch), branch.field
    mask = draw_mask(net.dims.code, generator, *config.mask_ratio).to(clip.device) if path == "masked" else None
    with computing(clip.device, config):
        c_implicit = net.encode_audio(windows)
        codes = net.codes_of(c_implicit[:1], clip.explicit[index], path, mask)
        align = aligned(net, clip, frames, c_implicit[1:])
        if config.precision == "fp32" and fused_motion.fits(net, field):
            moved = fused_motion.moved(net, field, codes["c_fused"], net.encode_upper(clip.upper[index]))
        else:
            moved = as_moved(net.moved(field.xyz, codes, clip.upper[index]), field)
    return FaceMotion(moved.arguments, moved.deviation, moved.attention, align)


def as_moved(out: MotionOutput, field: GaussianField) -> fused_motion.Moved:
    """What `fused_motion.moved` gives, from the net's own output for one frame."""
    offsets = [x.float() for x in (out.d_xyz, out.d_rot, out.d_opacity, out.d_scale)]
    arguments = field.deformed(offsets[0][0], offsets[1][0], offsets[3][0])
    return fused_motion.Moved(arguments, motion_regulariser(*offsets), torch.cat([out.att_upper, out.att_lower], -1).float())


def computing(device: torch.device, config: TrainConfig) -> AbstractContextManager[object]:
    """The motion nets' number format; drawing stays float32."""
    return nullcontext() if config.precision == "fp32" else autocast(device, config.precision)


def _attention_loss(motion: FaceMotion, view: View, with_hair: bool) -> Tensor:
    """Upper-face attention has no business on the lips, and no attention has any on the hair."""
    moved = {name: value.detach() for name, value in motion.arguments.items()}
    upper, lower = motion.attention.split([len(UPPER_INDEX), motion.attention.shape[1] - len(UPPER_INDEX)], dim=-1)
    colors = torch.cat([lower.norm(dim=-1, keepdim=True), upper.norm(dim=-1, keepdim=True)], dim=-1)
    image = rasterization(moved["means"], moved["quats"], moved["scales"], moved["opacities"], colors,
                          viewmats=view.viewmat.detach()[None], Ks=view.K[None], width=view.width, height=view.height)[0][0]
    lower, upper = image[..., :1], image[..., 1:]
    loss = masked_mean(upper, view.lips)
    if with_hair:
        loss = loss + masked_mean(upper, view.hair) + masked_mean(lower, view.hair)
    return loss


def lip_distance(lpips: LPIPS, image: Tensor, target: Tensor, lips: Tensor) -> Tensor:
    """LPIPS of the lip square alone; 0 when it lies outside the crop."""
    box = bounding_box(lips[..., 0].cpu().numpy() > 0, 0)
    if box is None:
        return image.new_zeros(())
    row0, row1, col0, col1 = box
    return lpips(*(x[row0:row1, col0:col1].movedim(-1, 0)[None] for x in (image, target)))


def mouth_loss(branch: Branch, clip: Clip, view: View, step: int, config: TrainConfig, generator: torch.Generator,
               lpips: LPIPS | None = None) -> tuple[Tensor, Shot, Tensor, Tensor]:
    """Inside-mouth stage: (loss, shot, image, target). What lies behind the lips inside the lip square is free."""
    clear = torch.rand(3, generator=generator).to(clip.device)
    if in_ending(config, step, MOUTH_FROZEN, config.mouth.steps):
        clear = torch.zeros_like(clear)
    moving = step >= config.mouth.static
    d_xyz = None
    if moving:
        index = torch.tensor([view.index], device=clip.device)
        windows = augment_windows(clip.windows(index), config.audio_augment, generator, clip.hears.spectral)
        with computing(clip.device, config):
            d_xyz = mouth_net(branch)(branch.field.xyz, windows)
        d_xyz = d_xyz.float()
    shot = shoot(branch, view, d_xyz)
    weights = picture.Weights(config.lambda_ssim, alpha=config.lambda_alpha if moving or not config.published_endings else 0.0)
    late = lpips if step >= LPIPS_MOUTH * config.mouth.steps else None
    loss, image, target = compared(shot, view, picture.mouth_code(view.regions), clear, weights, differentiable=late is not None)
    if late is not None:
        loss = loss + config.lambda_lpips * patch_distance(late, image, target, 32, 42, generator)
    return loss, shot, image, target


def fuse_loss(face: Branch, mouth: Branch, clip: Clip, view: View, step: int, config: TrainConfig, generator: torch.Generator,
              lpips: LPIPS | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Joint fine-tuning: (loss, image, target) of the whole image, on the audio path, with geometry and motion frozen."""
    image = driven(face, mouth, clip, view)
    loss = picture_loss(image, view.image, config)
    if lpips is not None and step >= LPIPS_FUSE * config.fuse_steps:
        loss = loss + config.lambda_lpips * patch_distance(lpips, image, view.image, 32, 42, generator)
    return loss, image, view.image


def driven(face: Branch, mouth: Branch | None, clip: Clip, view: View, *, moving: bool = True) -> Tensor:  # [h, w, 3]
    """What an avatar would show in a frame, driven by the frame's speech; only colours and opacities have gradients.

    Args:
        mouth: None before its phase. moving: whether the face's motion net has begun to learn.
    """
    index = torch.tensor([view.index], device=clip.device)
    windows, net = clip.windows(index), face_net(face)
    with torch.no_grad():
        codes = net.codes(windows)["c_fused"]
        assert codes is not None
        offsets = net.deform_cached(net.cache(face.field.xyz), codes, clip.upper[index]) if moving else ()
        inside = None
        if mouth is not None:
            other = mouth_net(mouth)
            inside = other.deform_cached(other.cache(mouth.field.xyz), other.encode_audio(windows))
    front = shoot(face, view, *offsets)
    if mouth is None:
        return front.rgb + view.backdrop * (1 - front.alpha)
    behind = shoot(mouth, view, inside)
    return compose(front.rgb, front.alpha, behind.rgb, behind.alpha, view.backdrop)


def side_by_side(result: FrameResult) -> np.ndarray | None:
    """uint8 [h, 2w, 3]: what should be, and what is."""
    if result.image is None or result.target is None:
        return None
    pair = torch.cat([result.target, result.image], dim=1).detach().clamp(0, 1)
    return (pair * 255).round().to(torch.uint8).cpu().numpy()


def face_net(branch: Branch) -> FaceMotionNet:
    """The face branch's motion net."""
    assert isinstance(branch.net, FaceMotionNet)
    return branch.net


def mouth_net(branch: Branch) -> MouthMotionNet:
    """The mouth branch's motion net."""
    assert isinstance(branch.net, MouthMotionNet)
    return branch.net
