"""Holes filled smoothly from what is around them, by a pyramid of weighted means (push and pull)."""
from __future__ import annotations

import numpy as np

_TRUST = 2.0   # a coarser pixel is known when so much less than all of it is
_LEAST = 1e-4  # weight below which a place says nothing


def filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """An image whose unknown pixels go over smoothly from the known ones.

    Args:
        image: float32 [H, W, C].
        known: bool [H, W].
    Returns:
        float32 [H, W, C]; known pixels stay. Zero where nothing is known at all.
    """
    weight = known.astype(np.float32)[..., None]
    return np.where(weight > 0, image, _level(image * weight, weight))


def _level(image: np.ndarray, weight: np.ndarray) -> np.ndarray:  # premultiplied [h, w, C], [h, w, 1] -> [h, w, C]
    """Means of what is known; where little is known, of the next coarser level's too."""
    import cv2
    own = image / np.maximum(weight, _LEAST)
    height, width = image.shape[:2]
    if min(height, width) < 2 or weight.min() > .999:
        return own
    half = (width + 1) // 2, (height + 1) // 2
    smaller = cv2.resize(np.dstack([image, weight]), half, interpolation=cv2.INTER_AREA)
    seen = smaller[..., -1:]
    trusted = np.minimum(seen * _TRUST, 1)
    coarse = _level(smaller[..., :-1] / np.maximum(seen, _LEAST) * trusted, trusted)
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    share = np.minimum(weight, 1)
    return own * share + coarse * (1 - share)
