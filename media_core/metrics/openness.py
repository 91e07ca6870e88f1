"""Whether the lips follow what is said: their opening against that of the phones.

How far each phone opens lips, and how neighbours blend, say the rules of the synthetic subject (`subject.articulation`): the
curve `la`, millimetres or so. Only its course counts. The null is the same correlation with the lips shifted by 1 to 2 s: what
remains of it is chance.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .lags import lagged
from .phones import MNEMONICS, SILENT, Phones

SHIFTS = (1.0, 1.25, 1.5, 1.75, 2.0)  # s, in both directions


class Following(NamedTuple):
    """How well lips follow the phones."""

    r: float  # -1..1, Pearson's
    shifted: float  # the same, mean over shifts of 1 to 2 s both ways: should be 0


def phone_openness(phones: Phones, frames: int, fps: float) -> np.ndarray:  # -> [frames] in the rules' unit, 0 shut
    """How far the rules open the lips at the middle of every frame."""
    return _mouth(phones, frames, fps)[:, 1].clip(min=0)


def phone_jaw(phones: Phones, frames: int, fps: float) -> np.ndarray:  # -> [frames] in the rules' unit, 0 shut
    """How far the rules lower the jaw at the middle of every frame."""
    return _mouth(phones, frames, fps)[:, 0]


def follows(opening: np.ndarray, openness: np.ndarray, fps: float) -> Following:  # [T], [T]
    """The correlation of two curves, and with one of them shifted.

    Args:
        opening: [T] of the lips in any unit, NaN where no face was seen.
        openness: [T] as `phone_openness` gives it.
        fps: frames per second of both.
    """
    shifts = [sign * round(s * fps) for s in SHIFTS for sign in (1, -1) if round(s * fps) < len(opening) - 1]
    chance = [r for r in (lagged(opening, openness, lag) for lag in shifts) if np.isfinite(r)]
    return Following(lagged(opening, openness, 0), float(np.mean(chance)) if chance else float("nan"))


def _mouth(phones: Phones, frames: int, fps: float) -> np.ndarray:  # -> [frames, 9]
    from ..subject.articulation import anchors, coarticulate, with_silences

    known = [(MNEMONICS.get(p.name, "_"), p.start, p.end) for p in phones.phones if p.name not in SILENT]
    return coarticulate(anchors(with_silences(known, frames / fps)), frames, fps)
