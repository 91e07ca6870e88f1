"""The person in an image, as a soft mask, by the network of selfie segmentation.

Images are shrunk and masks enlarged with pixels' middles where they belong. (The original samples its input without the half
pixel, so that its mask lies half an input pixel too far right and below: 1.6 to 4 px in images of 600 to 1700 px.)
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .nets import MeshNets, as_input, exactly

GENERAL, WIDE = (256, 256), (144, 256)  # (H, W) px at which the two networks work
_WIDE_FROM = 1.5  # width over height from which the wide network is used
_BATCH = 8        # images at a time


def person_mask(nets: MeshNets, image: np.ndarray, *, wide: bool | None = None) -> np.ndarray:
    """Where people are in an image (uint8 [H, W, 3] RGB): float32 [H, W], 0..1."""
    return person_masks(nets, [image], wide=wide)[0]


def person_masks(nets: MeshNets, images: Sequence[np.ndarray], *, wide: bool | None = None,
                 enlarge: bool = True) -> list[np.ndarray]:
    """The same for several images of one size, in batches.

    Args:
        wide: use the network for wide images; None: by their shape.
        enlarge: to the images' size; else masks are as large as the network's, `GENERAL` or `WIDE`.
    """
    import cv2

    if not images:
        return []
    height, width = images[0].shape[:2]
    wide = width >= _WIDE_FROM * height if wide is None else wide
    rows, columns = WIDE if wide else GENERAL
    net, out = nets.quick_person_wide if wide else nets.quick_person, []
    for first in range(0, len(images), _BATCH):
        small = [_shrunk(image, columns, rows) for image in images[first:first + _BATCH]]
        with exactly(nets.device):
            masks = net(as_input(np.stack(small), nets.device) / 255)[:, 0].cpu().numpy()
        out += [cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR) for mask in masks] if enlarge else list(masks)
    return out


def _shrunk(image: np.ndarray, columns: int, rows: int) -> np.ndarray:
    import cv2

    smaller = image.shape[0] >= rows and image.shape[1] >= columns
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
