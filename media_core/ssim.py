"""Structural similarity of images (Wang et al. 2004), for losses and for measures alike: kornia's, with our borders."""
from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import pad

WINDOW = 11  # px, of the Gaussian of sigma 1.5 px


def ssim(a: Tensor, b: Tensor, border: Literal["zero", "drop"] = "zero") -> Tensor:
    """Mean structural similarity, [] (1 for equal images), over pixels, channels and images.

    Args:
        a, b: float [C, H, W] or [B, C, H, W] in 0..1, of one shape.
        border: "zero" pads with zeros, as the losses of Gaussian splatting do; "drop" counts only whole windows (H, W >= WINDOW).
    """
    from kornia.metrics import ssim as similarity

    margin = WINDOW // 2 if border == "zero" else 0
    a, b = (pad(x.reshape(-1, *x.shape[-3:]), (margin,) * 4) for x in (a, b))
    return similarity(a, b, WINDOW, eps=0.0, padding="valid").mean()
