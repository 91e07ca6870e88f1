"""Neck and clothes as they go on under the head, for a picture that a moving head is laid over.

The published rule (`plates.torso_layer`) continues each column of the neck on its own, 53 rows up, whatever is there: on real
people that leaves torn columns, pillars beside the neck, and holes behind long hair. Here only what the head hides is painted, in
one piece: the neck's width under the jaw, and the shoulders behind hair.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .filling import filled
from .masks import FrameMasks

_RISE = 52 / 512            # of the image's height: how far the neck goes on, as published
_FADE = 0.98                # brightness kept from a row (at 512) to the next above
_NECK = 0.33                # of the face's width, to either side of its middle
_SHOULDER = (0.2, 0.45)     # of the face's width below the chin; how steeply the shoulder's line falls beside the neck
_RIM = 2                    # pixels at 512: so near the head, colours are mixed with its own
_HALF = 2                   # the painted part is smooth: made at this fraction of the size


@dataclass(frozen=True)
class _Face:
    """Where a head's skin is, pixels."""
    middle: float
    width: float
    chin: float

    @classmethod
    def of(cls, masks: FrameMasks) -> _Face | None:
        skin = masks.head & ~masks.hair if (masks.head & ~masks.hair).any() else masks.head
        columns, rows = np.flatnonzero(skin.any(0)), np.flatnonzero(skin.any(1))
        if not len(columns):
            return None
        return cls(float(columns[0] + columns[-1]) / 2, float(columns[-1] - columns[0] + 1), float(rows[-1]))


def torso_under_head(frame: np.ndarray, masks: FrameMasks) -> np.ndarray:
    """Neck and clothes, continued to where the head hides them.

    Args:
        frame: uint8 [H, W, 3].
        masks: its regions.
    Returns:
        uint8 [H, W, 4] RGBA; alpha is 255 or 0, and where it is 0 so is the colour.
    """
    import cv2
    height, width = masks.head.shape
    face = _Face.of(masks)
    if face is None or not masks.torso.any():
        return np.dstack([np.where(masks.torso[..., None], frame, 0), masks.torso.astype(np.uint8) * 255]).astype(np.uint8)
    hidden = _hidden(masks, face)
    rim = 2 * max(1, round(_RIM * height / 512)) + 1
    clean = masks.torso & (cv2.dilate(masks.head.astype(np.uint8), np.ones((rim, rim), np.uint8)) == 0)
    small = cv2.resize(frame, (width // _HALF, height // _HALF), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    known = cv2.resize(clean.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    colours = cv2.resize(filled(small, known), (width, height), interpolation=cv2.INTER_LINEAR)
    colours *= _fading(masks.torso, hidden)[..., None]
    layer = np.where((masks.torso & clean)[..., None], frame, np.clip(np.rint(colours), 0, 255)).astype(np.uint8)
    alpha = masks.torso | hidden
    return np.dstack([np.where(alpha[..., None], layer, 0), alpha.astype(np.uint8) * 255]).astype(np.uint8)


def _hidden(masks: FrameMasks, face: _Face) -> np.ndarray:  # -> bool [H, W]
    """The part of the head that the torso goes on behind."""
    torso, head = masks.torso, masks.head
    rows, columns = np.arange(head.shape[0])[:, None], np.arange(head.shape[1])[None]
    below, aside = _from_below(torso), np.abs(columns - face.middle) / face.width
    top = np.where(torso.any(0), torso.argmax(0), head.shape[0])[None]
    neck = (aside < _NECK) & below & (rows >= top - _RISE * head.shape[0])
    line = face.chin + face.width * (_SHOULDER[0] + _SHOULDER[1] * np.maximum(aside - _NECK, 0))
    between = np.logical_or.accumulate(torso, 1) & np.logical_or.accumulate(torso[:, ::-1], 1)[:, ::-1]
    shoulders = (rows > line) & (below | between)
    return head & (neck | shoulders)


def _from_below(torso: np.ndarray) -> np.ndarray:  # bool [H, W]
    """Above a column's lowest part of the torso."""
    return np.logical_or.accumulate(torso[::-1], 0)[::-1]


def _fading(torso: np.ndarray, hidden: np.ndarray) -> np.ndarray:  # -> float32 [H, W]
    """Darker with every row above a column's uppermost pixel of the torso: it is the chin's shadow."""
    top = np.where(torso.any(0), torso.argmax(0), 0)[None]
    above = np.maximum(top - np.arange(len(torso))[:, None], 0) * (512 / len(torso))
    return np.where(hidden, _FADE ** above, 1).astype(np.float32)
