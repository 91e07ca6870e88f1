"""LPIPS over patches of the avatar's images (docs/hmtalker.md#losses); the distance itself is `media_core.metrics.lpips`."""
from __future__ import annotations

import torch
from torch import Tensor

from ...media_core.metrics.lpips import LPIPS, load_lpips
from .losses import patchify

__all__ = ["LPIPS", "load_lpips", "patch_distance"]


def patch_distance(net: LPIPS, image: Tensor, target: Tensor, low: int, high: int, generator: torch.Generator) -> Tensor:
    """LPIPS over the patches of two images [h, w, 3]: of an even size in low..high, at most the image's edge."""
    size = low + 2 * int(torch.randint((high - low) // 2 + 1, (1,), generator=generator))
    size = min(size, *image.shape[:2])
    return net(*(patchify(x.movedim(-1, 0), size) for x in (image, target)))
