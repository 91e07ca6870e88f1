"""What callers of the Python interface ask for in numbers, checked where it comes in: counts, seeds, steps, sizes, rates."""
from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from .errors import TalkingHeadsError


def whole(what: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """A whole number.

    Args:
        what: its name, as the message begins: "The seed".
    Raises:
        TalkingHeadsError: no whole number (a bool is none, nor is 3.0), or one out of range.
    """
    number = isinstance(value, Integral) and not isinstance(value, bool)
    if not number or value < least or (most is not None and value > most):
        within = f"{least} or above" if most is None else f"in {least}..{most}"
        raise TalkingHeadsError(f"{what} must be a whole number, {within}", f"{value!r}", "Choose another number")
    return int(value)


def real(what: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number.

    Raises:
        TalkingHeadsError: no number, NaN, infinite, or out of range.
    """
    if not _is_finite(value) or not least <= value <= most:
        bounds = {(True, True): "", (False, True): f", {least:g} or above", (True, False): f", {most:g} or below"}
        within = bounds.get((least == -math.inf, most == math.inf), f", in {least:g}..{most:g}")
        raise TalkingHeadsError(f"{what} must be a finite number{within}", f"{value!r}", "Choose another number")
    return float(value)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
