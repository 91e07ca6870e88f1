"""Neck and clothes as they go on under the head, for a picture that a moving head is laid over.

The published rule (`plates.torso_layer`) continues each column of the neck on its own, 53 rows up, whatever is there: on real
people that leaves torn columns, pillars beside the neck, and holes behind long hair. Here only what the head hides is painted, in
one piece: the neck's width under the jaw, and the shoulders behind hair.
"""
from __future__ import annotations

import numpy as np

from .filling import filled
from .layer_kernels import ends, hidden, laid
from .masks import FrameMasks

_RISE = 52 / 512            # of the image's height: how far the neck goes on, as published
_FADE = 0.98                # brightness kept from a row (at 512) to the next above
_NECK = 0.33                # of the face's width, to either side of its middle
_SHOULDER = (0.2, 0.45)     # of the face's width below the chin; how steeply the shoulder's line falls beside the neck
_RIM = 2                    # pixels at 512: so near the head, colours are mixed with its own
_NOTHING = np.zeros((1, 1, 3), np.float32), np.zeros((0, 1), np.uint8)  # no colours, for no rows
_COARSE, _LEAST = 4, .05    # the painted part is smooth: made so much smaller, from cells that are known at least so far


def torso_under_head(frame: np.ndarray, masks: FrameMasks) -> np.ndarray:
    """Neck and clothes, continued to where the head hides them.

    Args:
        frame: uint8 [H, W, 3].
        masks: its regions.
    Returns:
        uint8 [H, W, 4] RGBA; alpha is 255 or 0, and where it is 0 so is the colour.
    """
    torso, face = _bytes(masks.torso), _face(masks)
    lines, behind = ends(torso), np.zeros_like(torso)
    if face is not None and (lines[1] >= 0).any():
        behind = hidden(_bytes(masks.head), lines, face, _NECK, _RISE * len(torso), _SHOULDER)
    colours, painted = _smooth(frame, masks, behind, lines) if behind.any() else _NOTHING
    fade = (_FADE ** (np.arange(len(torso) + 1) * (512 / len(frame)))).astype(np.float32)
    return laid(np.ascontiguousarray(frame), torso, behind, painted, lines[0], colours, fade)


def _face(masks: FrameMasks) -> tuple[float, float, float] | None:
    """Where a head's skin is, pixels: its middle, width and lowest row."""
    for skin in (masks.head & ~masks.hair, masks.head):
        _, _, left, right = ends(_bytes(skin))
        rows = np.flatnonzero(right >= 0)
        if len(rows):
            first, last = int(left[rows].min()), int(right[rows].max())
            return (first + last) / 2, float(last - first + 1), float(rows[-1])
    return None


def _smooth(frame: np.ndarray, masks: FrameMasks, behind: np.ndarray, lines: tuple[np.ndarray, ...]
            ) -> tuple[np.ndarray, np.ndarray]:
    """The torso's colours where it is hidden (uint8 [H, W] `behind`) and at its rim beside the head.

    Returns:
        (float32 [h, w, 3], uint8 [rows, W]: where they are wanted), both of the lowest rows, from the first that shows anything.
    """
    import cv2
    part = slice(min(int(np.argmax(behind.any(1))), int(lines[0].min())), None)
    out, torso = frame[part], _bytes(masks.torso[part])
    height, width = torso.shape
    rim = 2 * max(1, round(_RIM * len(frame) / 512)) + 1
    beside = torso & cv2.dilate(_bytes(masks.head[part]), np.ones((rim, rim), np.uint8))
    known = torso & ~beside
    size = max(1, width // _COARSE), max(1, height // _COARSE)
    weight = cv2.resize(known * np.uint8(255), size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    image = cv2.resize(cv2.bitwise_and(out, out, mask=known), size, interpolation=cv2.INTER_AREA)
    image = image / np.maximum(weight, _LEAST)
    return filled(image, weight[..., 0] > _LEAST), behind[part] | beside


def _bytes(mask: np.ndarray) -> np.ndarray:  # bool [H, W] -> uint8 [H, W]
    return np.ascontiguousarray(mask).view(np.uint8)
