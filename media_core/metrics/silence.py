"""Whether the mouth is shut where nobody speaks, and not shut where somebody does.

Shut: the lips stand no more than 2 % of the outer eye corners' distance (1.8 mm) further apart than at rest. The frames shortly
before and behind speech are nobody's business: lips part before the voice and close after it.
"""
from __future__ import annotations

import numpy as np

from .phones import OPEN_VOWELS, Phone, Phones

SHUT = 0.02  # of the outer eye corners' distance; also `mouth.CLOSED`
BEFORE = 0.24  # s before speech in which the mouth may open
AFTER = 0.44  # s behind it in which it may still be open
RESTING = 5  # percentile of the opening that stands for rest where it is not known


def speaking_frames(phones: Phones, frames: int, fps: float, before: float = 0.0, after: float = 0.0) -> np.ndarray:
    """bool [frames], True where a phone is heard in the frame, or from `after` s before it to `before` s behind it.

    `before` and `after` are seconds by which speech is made longer at its beginning and its end.
    """
    out = np.zeros(frames, bool)
    for phone in phones.spoken:
        out[max(0, int((phone.start - before) * fps)):max(0, int(np.ceil((phone.end + after) * fps)))] = True
    return out


def quiet_frames(phones: Phones, frames: int, fps: float) -> np.ndarray:  # -> bool [frames]
    """True where nobody speaks, nor is about to, nor has just done so."""
    return ~speaking_frames(phones, frames, fps, BEFORE, AFTER)


def shut(opening: np.ndarray, rest: float | None = None) -> np.ndarray:  # [T] -> bool [T]
    """Where the lips are shut.

    Args:
        opening: [T] in parts of the outer eye corners' distance (`metrics.lip_aperture`); NaN is not shut.
        rest: the opening of this person's closed mouth; None: the 5th percentile.
    """
    if not np.isfinite(opening).any():
        return np.zeros(len(opening), bool)
    return opening <= (float(np.nanpercentile(opening, RESTING)) if rest is None else rest) + SHUT


def shut_fraction(opening: np.ndarray, quiet: np.ndarray, rest: float | None = None) -> float:  # [T], bool [T]
    """Fraction of the quiet frames in which the lips are shut, of those with a face; NaN when there is none."""
    counted = quiet & np.isfinite(opening)
    return float(shut(opening, rest)[counted].mean()) if counted.any() else float("nan")


def missed_fraction(silent: np.ndarray, phones: Phones, fps: float) -> float:  # bool [T]
    """Fraction of the frames with speech that a gate calls silent; NaN without speech."""
    speaking = speaking_frames(phones, len(silent), fps)
    return float(silent[speaking].mean()) if speaking.any() else float("nan")


def missed_vowels(opening: np.ndarray, phones: Phones, fps: float, rest: float | None = None) -> float:  # [T]
    """Fraction of the open vowels at which the lips stay shut, one frame to either side included; NaN without one."""
    closed = shut(opening, rest)
    seen = [_frames(closed, vowel, fps) for vowel in phones.named(OPEN_VOWELS)]
    seen = [frames for frames in seen if len(frames)]
    return float(np.mean([frames.all() for frames in seen])) if seen else float("nan")


def _frames(curve: np.ndarray, phone: Phone, fps: float) -> np.ndarray:
    return curve[max(0, int(phone.start * fps) - 1):int(np.ceil(phone.end * fps)) + 1]
