"""Checks of numbers that callers of the Python interface pass in: counts, seeds, steps, sizes, rates. What counts as a number is
said in `schema.py`, which checks files."""
from __future__ import annotations

import math
from fractions import Fraction

from .errors import TalkingHeadsError
from .schema import is_real, is_whole


def whole(what: str, value: object, least: int = 0, most: int | None = None) -> int:
    """A whole number.

    Args:
        what: its name, as the message begins: "The seed".
    Raises:
        TalkingHeadsError: no whole number (a bool is none, nor is 3.0), or one out of range.
    """
    if not is_whole(value) or value < least or (most is not None and value > most):
        within = f"{least} or above" if most is None else f"in {least}..{most}"
        raise TalkingHeadsError(f"{what} must be a whole number, {within}", f"{value!r}", "Choose another number")
    return int(value)


def real(what: str, value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number.

    Raises:
        TalkingHeadsError: no number, NaN, infinite, or out of range.
    """
    if not is_real(value) or not _is_finite(value) or not least <= value <= most:
        bounds = {(True, True): "", (False, True): f", {least:g} or above", (True, False): f", {most:g} or below"}
        within = bounds.get((least == -math.inf, most == math.inf), f", in {least:g}..{most:g}")
        raise TalkingHeadsError(f"{what} must be a finite number{within}", f"{value!r}", "Choose another number")
    return float(value)


def frame_rate(value: float | Fraction, least: float = 1e-3, most: float = 1e5) -> float:
    """A frame rate, in frames per second. What is stored or written as a video keeps to the narrower `schema.RATES`.

    Raises:
        TalkingHeadsError: no finite number, or out of range.
    """
    return real("The frame rate (frames per second)", value, least, most)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
