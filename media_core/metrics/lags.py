"""Lip correlation at one fixed lag, and the offset between audio and video by what is heard.

A lag counts frames; positive: the first curve is late. The best of several lags flatters whatever is judged by it, so a lag is
chosen by others (`consensus_lag`), or is 0.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..audio import Sound
from .curves import correlation

REACH = 4  # frames, lags tried to either side
_LEAST = 3  # frames that must be seen in both
_FLOOR_DB = -50.0  # re the loud level (95th percentile): quieter is silence


class Offset(NamedTuple):
    """By how much one curve is late, and how well they agree there."""

    frames: float  # positive: the video is late (lips move after the sound), negative: early; NaN when undecided
    r: float  # at the best whole lag


def lagged(made: np.ndarray, truth: np.ndarray, lag: int) -> float:  # [T], [T]
    """Pearson's r of made[t + lag] and truth[t] where both are known; NaN when either is constant or hardly seen."""
    count = min(len(made), len(truth))
    if abs(lag) >= count:
        return float("nan")
    made, truth = made[:count], truth[:count]
    a, b = made[max(lag, 0):count + min(lag, 0)], truth[max(-lag, 0):count - max(lag, 0)]
    both = np.isfinite(a) & np.isfinite(b)
    return correlation(a[both], b[both]) if both.sum() >= _LEAST else float("nan")


def lag_scores(made: np.ndarray, truth: np.ndarray, reach: int = REACH) -> np.ndarray:  # -> [2 reach + 1]
    """`lagged` at the lags -reach..reach."""
    return np.array([lagged(made, truth, lag) for lag in range(-reach, reach + 1)])


def consensus_lag(models: Sequence[np.ndarray], truth: np.ndarray, reach: int = REACH) -> int:
    """The lag at which several curves together agree best with the truth (highest mean r); 0 when none agrees with it at all.

    Whoever is judged at this lag should not be among `models`.
    """
    scores = np.nanmean(np.stack([np.nan_to_num(lag_scores(m, truth, reach), nan=0.0) for m in models]), axis=0)
    return int(np.argmax(scores)) - reach if scores.max() > 0 else 0


def speech_offset(opening: np.ndarray, heard: np.ndarray, reach: int = 15) -> Offset:  # [T], [T]
    """The offset between lips and what is heard, to a fraction of a frame (a parabola through the best lag and its neighbours).

    Args:
        opening: [T] of the lips, NaN where unknown.
        heard: [T] `openness.phone_openness` (better), or `loudness`.
        reach: frames tried to either side; a best lag at the border decides nothing.
    """
    scores = np.nan_to_num(lag_scores(opening, heard, reach), nan=-1.0)
    best = int(np.argmax(scores))
    if not 0 < best < len(scores) - 1 or scores[best] <= 0:
        return Offset(float("nan"), float(scores[best]))
    before, here, after = scores[best - 1:best + 2]
    bend = before - 2 * here + after
    return Offset(best - reach + (float((before - after) / (2 * bend)) if bend < 0 else 0.0), float(here))


def loudness(sound: Sound, frames: int, fps: float) -> np.ndarray:  # -> [frames] dB, -50..about 5
    """Level of every frame's own time, re the recording's loud level (95th percentile), not below -50."""
    mono = sound.mono(16000)
    edges = np.clip(np.rint(np.arange(frames + 1) / fps * 16000).astype(int), 0, len(mono))
    energy = np.concatenate([[0.0], np.cumsum(np.square(mono, dtype=np.float64))])
    power = (energy[edges[1:]] - energy[edges[:-1]]) / np.maximum(edges[1:] - edges[:-1], 1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level - np.percentile(level, 95), _FLOOR_DB)
