"""PSNR and SSIM of images: numpy or torch, [..., H, W, C] with values 0..1 (uint8 is divided by 255)."""
from __future__ import annotations

import torch

from .. import ssim as structural
from ..errors import TalkingHeadsError
from .arrays import Array, image_pair


def psnr(a: Array, b: Array, mask: Array | None = None) -> float:
    """Peak signal-to-noise ratio in dB, per frame, averaged over frames; inf for equal images.

    Args:
        mask: [..., H, W], the pixels that count; frames without any are left out, NaN when none remains.
    """
    a, b = image_pair(a, b)
    error = (a - b).square().mean(dim=-1).reshape(-1, *a.shape[-3:-1])  # [F, H, W]
    weight = torch.ones_like(error) if mask is None else torch.as_tensor(mask).to(error).expand(a.shape[:-1]).reshape(error.shape)
    counted = weight.sum(dim=(1, 2)) > 0
    if not counted.any():
        return float("nan")
    mse = (error * weight).sum(dim=(1, 2))[counted] / weight.sum(dim=(1, 2))[counted]
    return float((-10 * torch.log10(mse)).mean())


def ssim(a: Array, b: Array) -> float:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian of sigma 1.5, data range 1, without the border; mean of all.

    Raises:
        TalkingHeadsError: images under 11 px.
    """
    a, b = (x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2) for x in image_pair(a, b))  # [F, C, H, W]
    if min(a.shape[2:]) < structural.WINDOW:
        raise TalkingHeadsError("SSIM needs images of at least 11 x 11 px", f"{a.shape[3]} x {a.shape[2]}",
                                "Compare larger images")
    return float(torch.stack([structural.ssim(x, y, border="drop") for x, y in zip(a, b, strict=True)]).mean())
