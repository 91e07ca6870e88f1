"""The masks of a still image, as a capture would make them of a video's frame."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..face.masks.masks import FrameMasks, HeadMasker
from .framing import cut_square, frame_face


@dataclass(frozen=True)
class MaskedStill:
    """The square around a still image's face, divided into parts."""
    square: np.ndarray   # uint8 [size, size, 3]
    points: np.ndarray   # [68, 2] px of the square
    masks: FrameMasks


def still_masks(image: np.ndarray, points: np.ndarray, size: int = 512) -> MaskedStill:
    """Cuts out the square that a capture would take, and finds the person's parts in it.

    Args:
        image: uint8 [H, W, 3] RGB.
        points: [68, 2] px of the image, finite.
        size: px, sides of the square.
    Raises:
        TalkingHeadsError: points that are missing or not finite.
    """
    crop = frame_face(points[None], image.shape[:2], size)
    square, inside = cut_square(image, crop), crop.to_crop(points[None])[0]
    return MaskedStill(square, inside, HeadMasker((size, size))(square, inside))
