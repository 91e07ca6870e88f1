"""What the dataset's reader derives from one frame's labels, landmarks and action units: pure array functions.

Rectangles are [row0, row1, col0, col1] in pixels, ends exclusive.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FACE, MOUTH, HAIR = (0, 0, 255), (100, 100, 100), (0, 0, 0)  # RGB of the parsing's labels
OUTER_LIPS, INNER_LIPS, NOSE_BASE = slice(48, 60), slice(60, 68), slice(31, 36)  # of 68 iBUG landmarks
BLINK_CEILING = 2.0  # AU45 at which an eye counts as shut


@dataclass(frozen=True)
class FrameMasks:
    """Regions of one frame, bool [H, W] each (or [F, H, W])."""
    face: np.ndarray    # skin, lips, eyes, brows
    hair: np.ndarray
    mouth: np.ndarray   # inside of the mouth, teeth included


def label_masks(parsing: np.ndarray, teeth: np.ndarray, *, published: bool = False) -> FrameMasks:
    """Regions from the parsing's colours.

    Args:
        parsing: uint8 [..., H, W, 3] RGB.
        teeth: bool [..., H, W].
        published: as TalkingGaussian's official program computes the face (blue XOR teeth): teeth within the grey mouth label
            then lie in the face and in the mouth (docs/hmtalker.md#differences). Otherwise teeth belong to the mouth alone.
    """
    blue, grey, black = ((parsing == np.array(label, np.uint8)).all(-1) for label in (FACE, MOUTH, HAIR))
    return FrameMasks(face=blue ^ teeth if published else blue & ~teeth, hair=black, mouth=grey | teeth)


def lip_square(landmarks: np.ndarray) -> np.ndarray:  # [68, 2] x y pixels -> int64 [4]
    """The square around the outer lips, of even side, from whole-pixel extremes. It may leave the image: see `clamp_rect`."""
    columns, rows = landmarks[OUTER_LIPS].astype(np.int64).T
    (top, bottom), (left, right) = (rows.min(), rows.max()), (columns.min(), columns.max())
    half = max(bottom - top, right - left) // 2
    row, column = (top + bottom) // 2, (left + right) // 2
    return np.array([row - half, row + half, column - half, column + half])


def lower_half(landmarks: np.ndarray) -> np.ndarray:  # [68, 2] -> int64 [4]
    """From the base of the nose to the chin, as wide as the face."""
    columns, rows = landmarks.astype(np.int64).T
    return np.array([rows[NOSE_BASE].min(), rows.max(), columns.min(), columns.max()])


def clamp_rect(rect: np.ndarray, height: int, width: int) -> np.ndarray | None:  # int64 [4] -> int64 [4] or None
    """The part of a rectangle inside the image, None when there is none."""
    inside = np.clip(rect, 0, [height, height, width, width])
    return inside if inside[1] > inside[0] and inside[3] > inside[2] else None


def lip_opening(landmarks: np.ndarray) -> np.ndarray:  # [..., 68, 2] -> int64 [...]
    """Rows between the highest and the lowest point of the inner lips."""
    rows = landmarks[..., INNER_LIPS, 1].astype(np.int64)
    return rows.max(-1) - rows.min(-1)


def blink(au45: np.ndarray) -> np.ndarray:  # [F] intensities 0..5 -> [F] in 0..1
    """How far the eyes are shut."""
    return np.clip(au45, 0, BLINK_CEILING) / BLINK_CEILING


def lips_part_levels(au25: np.ndarray) -> np.ndarray:  # [F] intensities -> [F, 5]
    """AU25 clipped at its 95th percentile, with the clip's 25th, 50th, 75th percentile and maximum beside it."""
    clipped = np.clip(au25, 0, np.percentile(au25, 95))
    levels = [*np.percentile(clipped, [25, 50, 75]), clipped.max()]
    return np.concatenate([clipped[:, None], np.tile(levels, (len(clipped), 1))], axis=1)


def backdrop(torso: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The torso's layer over the clean background: what is seen behind the head.

    Args:
        torso: uint8 [..., H, W, 4] RGBA, straight alpha.
        background: uint8 [..., H, W, 3].
    Returns:
        uint8 [..., H, W, 3].
    """
    alpha = torso[..., 3:].astype(np.float32) / 255
    return np.rint(torso[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)
