"""The part of a video's frame that MToV is pasted back into: the face below the nose, the only one it was not shown."""
from __future__ import annotations

import numpy as np

from .rasters import NOSE_BASE

CHIN, SIDES = 8, slice(2, 15)  # of the 68 points: SIDES is the jaw below the ears
_ROOM = 0.22             # of nose base to chin, around the jaw: a mouth that opens takes the chin down
_FADE = 0.22             # of the same, over which it fades out


def lower_face(points: np.ndarray, size: int) -> np.ndarray:  # [68, 2+] px of the crop -> float32 [size, size] 0..1
    """How much of each pixel is taken: all within the jaw below the nose's base, fading out around it."""
    import cv2

    flat = np.asarray(points, np.float64)[:, :2]
    height = max(1.0, float(np.hypot(*(flat[CHIN] - flat[NOSE_BASE]))))
    hull = cv2.convexHull(np.rint(np.concatenate([flat[SIDES], flat[NOSE_BASE:NOSE_BASE + 1]]) * 8).astype(np.int32))
    inside = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(inside, hull, (255,), shift=3)
    away = cv2.distanceTransform(255 - inside, cv2.DIST_L2, 5)
    around = _smooth(1 - (away - _ROOM * height) / (_FADE * height))
    below = _smooth((np.arange(size) - flat[NOSE_BASE, 1]) / (_FADE * height))
    return (around * below[:, None]).astype(np.float32)


def _smooth(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
