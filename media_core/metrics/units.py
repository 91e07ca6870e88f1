"""The action-unit error (AUE) of two tracks, in both splits of the units that are published."""
from __future__ import annotations

from typing import NamedTuple

from ..motion import AU_NAMES, LOWER_AUS, UPPER_AUS
from .arrays import Array, double, same

SPLITS = {  # TalkingGaussian's numbers count AU09 as upper, HM-Talker's split as lower (docs/hmtalker.md#published-results)
    "hmtalker": (LOWER_AUS, UPPER_AUS),
    "talkinggaussian": (tuple(a for a in LOWER_AUS if a != "AU09"), tuple(sorted((*UPPER_AUS, "AU09")))),
}


class AuError(NamedTuple):
    """Sum over a group's action units of the mean squared difference; NaN when one of the group is unknown throughout."""

    lower: float
    upper: float


def aue(a: Array, b: Array, split: str = "hmtalker") -> AuError:
    """Action-unit error (AUE-L, AUE-U) of two [T, 17] tracks over frames in which both are known.

    Args:
        split: "hmtalker" (AU09 lower) or "talkinggaussian" (AU09 upper); name it beside the number.
    """
    a, b = (double(x) for x in (a, b))
    same(a, b)
    squared = (a - b).square().nanmean(dim=0)
    lower, upper = (float(squared[[AU_NAMES.index(n) for n in group]].sum()) for group in SPLITS[split])
    return AuError(lower, upper)
