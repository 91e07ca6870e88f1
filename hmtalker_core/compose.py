"""Putting a frame together: face over mouth interior over background (spec 2.6 "fuse", 2.14)."""
from __future__ import annotations

from typing import Literal, Optional

import torch.nn.functional as F
from torch import Tensor

DILATION = 13  # pixels; hides the seam around the teeth at inference
Layout = Literal["HWC", "CHW"]


def remove_clear_colour(rgb: Tensor, alpha: Tensor, clear: Tensor, layout: Layout = "HWC") -> Tensor:
    """Takes a clear colour out of a render that has it behind: R - clear (1 - A) = sum of weighted colours.

    Args:
        rgb, alpha: [..., H, W, 3], [..., H, W, 1], or channels first.
        clear: [3] in 0..1.
    """
    return rgb - (1 - alpha) * (clear if layout == "HWC" else clear[:, None, None])


def dilate(alpha: Tensor, size: int = DILATION, layout: Layout = "HWC") -> Tensor:
    """Maximum of an alpha (one channel) over a square of `size` (odd) pixels."""
    planes = alpha.movedim(-1, -3) if layout == "HWC" else alpha
    wide = F.max_pool2d(planes.reshape(-1, 1, *planes.shape[-2:]), size, stride=1, padding=size // 2).view(planes.shape)
    return wide.movedim(-3, -1) if layout == "HWC" else wide


def compose(face_rgb: Tensor, face_alpha: Tensor, mouth_rgb: Tensor, mouth_alpha: Tensor, background: Tensor, *,
            clear: Optional[Tensor] = None, dilation: int = 0, layout: Layout = "HWC") -> Tensor:
    """out = F + (M + background (1 - A_m)) (1 - A_f), with colours that already carry their alpha.

    Args:
        face_rgb, mouth_rgb: [..., H, W, 3] as rendered: over nothing, or over `clear`, which is then removed.
        face_alpha, mouth_alpha: [..., H, W, 1] in 0..1.
        background: [..., H, W, 3] in 0..1.
        clear: [3] clear colour of both renders (training), None for none.
        dilation: odd size in pixels of the maximum filter on the mouth's alpha where it covers the background; 0 for none.
        layout: "HWC" as above, "CHW" for channels first throughout.
    """
    if clear is not None:
        face_rgb = remove_clear_colour(face_rgb, face_alpha, clear, layout)
        mouth_rgb = remove_clear_colour(mouth_rgb, mouth_alpha, clear, layout)
    covering = dilate(mouth_alpha, dilation, layout) if dilation else mouth_alpha
    return face_rgb + (mouth_rgb + background * (1 - covering)) * (1 - face_alpha)


def coverage(face_alpha: Tensor, mouth_alpha: Tensor) -> Tensor:
    """Alpha of both branches together, any equal shapes."""
    return 1 - (1 - face_alpha) * (1 - mouth_alpha)
