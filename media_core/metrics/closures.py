"""Whether the lips close where they must: at P, B and M.

A bilabial counts as closed when the smallest opening from one frame before it to one frame behind it lies in the lowest quarter
between the opening's 5th and 90th percentile. Both are the recording's own, so that how far a person opens does not matter. The
lips of real people reach 1.00 on lab recordings with known words. An open vowel counts as open when its largest opening lies
above 40 % of that way: lips that never open would "close" everywhere.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .phones import BILABIALS, OPEN_VOWELS, Phone, Phones

LOWEST = 0.25  # of the way from the 5th to the 90th percentile: below it lips are closed ...
OPEN = 0.40  # ... and above it open
PERCENTILES = (5, 90)


class Closures(NamedTuple):
    """How many of a recording's bilabials are closed, and of its open vowels open."""

    closed: int
    bilabials: int
    opened: int
    vowels: int

    @property
    def closed_fraction(self) -> float:
        """0..1; NaN without a bilabial."""
        return self.closed / self.bilabials if self.bilabials else float("nan")

    @property
    def open_fraction(self) -> float:
        """0..1; NaN without an open vowel."""
        return self.opened / self.vowels if self.vowels else float("nan")

    def plus(self, other: Closures) -> Closures:
        """Both recordings' together."""
        return Closures(*(a + b for a, b in zip(self, other, strict=True)))


def closures(opening: np.ndarray, phones: Phones, fps: float) -> Closures:  # [T]
    """Counts closed bilabials and open vowels.

    Args:
        opening: [T] of the lips in any unit, NaN where no face was seen; phones without a seen frame are not counted.
        phones: of the same recording, from its first frame on.
        fps: frames per second of `opening`.
    """
    if not np.isfinite(opening).any():
        return Closures(0, 0, 0, 0)
    low, high = np.nanpercentile(opening, PERCENTILES)
    least = [v.min() for v in _around(opening, phones.named(BILABIALS), fps, 1)]
    most = [v.max() for v in _around(opening, phones.named(OPEN_VOWELS), fps, 0)]
    return Closures(closed=sum(bool(v < low + LOWEST * (high - low)) for v in least), bilabials=len(least),
                    opened=sum(bool(v > low + OPEN * (high - low)) for v in most), vowels=len(most))


def _around(opening: np.ndarray, phones: tuple[Phone, ...], fps: float, before: int) -> list[np.ndarray]:
    """What is seen of the opening from `before` frames before each phone to the frame behind it."""
    cuts = [opening[max(0, int(p.start * fps) - before):int(np.ceil(p.end * fps)) + 1] for p in phones
            if int(p.start * fps) < len(opening)]
    seen = [cut[np.isfinite(cut)] for cut in cuts]
    return [cut for cut in seen if len(cut)]
