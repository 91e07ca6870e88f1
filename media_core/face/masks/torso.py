"""Neck and clothes as they go on under the head, for a picture that a moving head is laid over.

The published rule (`plates.torso_layer`) continues each column of the neck on its own, 53 rows up, whatever is there: on real
people that leaves torn columns, pillars beside the neck, and holes behind long hair. Here only what the head hides is painted, in
one piece: the neck's width under the jaw, and the shoulders behind hair.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .filling import filled
from .guided import between
from .masks import FrameMasks

_RISE = 52 / 512            # of the image's height: how far the neck goes on, as published
_FADE = 0.98                # brightness kept from a row (at 512) to the next above
_NECK = 0.33                # of the face's width, to either side of its middle
_SHOULDER = (0.2, 0.45)     # of the face's width below the chin; how steeply the shoulder's line falls beside the neck
_RIM = 2                    # pixels at 512: so near the head, colours are mixed with its own
_COARSE, _LEAST = 4, .05    # the painted part is smooth: made so much smaller, from cells that are known at least so far


@dataclass(frozen=True)
class _Face:
    """Where a head's skin is, pixels."""
    middle: float
    width: float
    chin: float

    @classmethod
    def of(cls, masks: FrameMasks) -> _Face | None:
        skin = masks.head & ~masks.hair
        rows = np.flatnonzero(skin.any(1))
        if not len(rows):
            skin = masks.head
            rows = np.flatnonzero(skin.any(1))
        columns = np.flatnonzero(skin.any(0))
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
    face = _Face.of(masks)
    nothing = np.zeros_like(masks.torso)
    neck, shoulders = (nothing, nothing) if face is None or not masks.torso.any() else _hidden(masks, face)
    layer, alpha = _painted(frame, masks, neck, shoulders), masks.torso | neck | shoulders
    layer = cv2.cvtColor(layer, cv2.COLOR_RGB2RGBA)
    return cv2.bitwise_and(layer, layer, mask=alpha.view(np.uint8))


def _painted(frame: np.ndarray, masks: FrameMasks, neck: np.ndarray, shoulders: np.ndarray) -> np.ndarray:
    """The frame, uint8 [H, W, 3], with what is hidden, and the torso's rim beside the head, in the torso's colours."""
    import cv2
    out, hidden = frame.copy(), neck | shoulders
    if not hidden.any():
        return out
    part = slice(int((hidden | masks.torso).any(1).argmax()), None)  # rows above show nothing
    torso, neck, hidden, out_part = masks.torso[part], neck[part], hidden[part], out[part]
    height, width = torso.shape
    rim = 2 * max(1, round(_RIM * len(frame) / 512)) + 1
    beside = torso & (cv2.dilate(masks.head[part].astype(np.uint8), np.ones((rim, rim), np.uint8)) > 0)
    known = (torso & ~beside).view(np.uint8)
    size = max(1, width // _COARSE), max(1, height // _COARSE)
    weight = cv2.resize(known * np.uint8(255), size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    image = cv2.resize(cv2.bitwise_and(out_part, out_part, mask=known), size, interpolation=cv2.INTER_AREA)
    image = image / np.maximum(weight, _LEAST)
    colours = filled(image, weight[..., 0] > _LEAST)
    places = np.asarray(cv2.findNonZero((hidden | beside).view(np.uint8))).reshape(-1, 2)
    columns, rows = places.T
    at = (places + np.float32(.5)) * np.divide(size, (width, height)).astype(np.float32) - np.float32(.5)
    painted = between(colours, at) * _fading(torso, neck, (rows, columns), 512 / len(frame))
    out_part[rows, columns] = np.clip(np.rint(painted), 0, 255)
    return out


def _hidden(masks: FrameMasks, face: _Face) -> tuple[np.ndarray, np.ndarray]:  # -> 2 of bool [H, W]
    """The parts of the head that the neck goes on behind, and that the shoulders do."""
    torso, height = masks.torso, len(masks.head)
    across, down = (np.flatnonzero(masks.head.any(axis)) for axis in (0, 1))
    part = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)  # nothing lies outside the head's box
    rows, columns = (np.arange(own.start, own.stop, dtype=np.float32) for own in part)
    aside, rows = np.abs(columns - face.middle) / face.width, rows[:, None]
    top, bottom = (ends[part[1]].astype(np.float32) for ends in _ends(torso, 0))
    left, right = (ends[part[0], None].astype(np.float32) for ends in _ends(torso, 1))
    line = face.chin + face.width * (_SHOULDER[0] + _SHOULDER[1] * np.maximum(aside - _NECK, 0))
    below, head = rows <= bottom, masks.head[part]
    shoulders = head & (rows > line) & (below | (columns >= left) & (columns <= right))
    first = np.where(aside < _NECK, top - _RISE * height, np.inf)
    neck = head & below & (rows >= first) & (rows <= line)
    out = np.zeros((2, *torso.shape), bool)
    out[0][part], out[1][part] = neck, shoulders
    return out[0], out[1]


def _ends(mask: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:  # bool [H, W] -> 2 of int [W] or [H]
    """First and last place along an axis; none: behind the end, and before the beginning."""
    import cv2
    lines = (cv2.transpose(mask.view(np.uint8)) if axis == 0 else mask.view(np.uint8)).view(bool)  # quickest along rows
    some, length = lines.any(1), lines.shape[1]
    return np.where(some, lines.argmax(1), length), np.where(some, length - 1 - lines[:, ::-1].argmax(1), -1)


def _fading(torso: np.ndarray, neck: np.ndarray, where: tuple[np.ndarray, ...], scale: float) -> np.ndarray:
    """At some pixels, float32 [N, 1]: the neck darkens with every row above the torso's uppermost, as in the chin's shadow."""
    table = (_FADE ** (np.arange(len(torso) + 1) * scale)).astype(np.float32)
    above = np.maximum(_ends(torso, 0)[0][where[1]] - where[0], 0)
    return np.where(neck[where], table[above], np.float32(1))[:, None]
