"""Where nobody speaks: `silent_rows`, for the features of any encoder.

Somebody speaks where it is loud enough (`audio.loud_enough`, the cheap test) and the network hears a voice
(`voice_activity.THRESHOLD`). Speech is then given room on both sides, since lips part before they sound and rest after it; in
that room the mouth may move (`mouth_gate.speech_gate`). Where the network's weights are absent the level alone decides.
"""
from __future__ import annotations

import numpy as np

from ..audio import levels, loud_enough
from .facts import SAMPLE_RATE
from .voice_activity import CHUNK_RATE, THRESHOLD, voice_probability

ATTACK, RELEASE = 0.2, 0.35  # s before and after speech that do not count as silence
RATE = 100  # Hz at which speech is looked for, whatever the encoder's rows
AUDIBLE_DB = -60.0  # below this nothing is speech


def silent_rows(mono: np.ndarray, rate: float, rows: int) -> np.ndarray:  # float32 [N] at 16 kHz -> bool [rows]
    """True where nobody speaks, for rows at times k / rate seconds.

    Args:
        mono: of normal loudness (`hearing.heard`).
        rate: of the rows, Hz.
    """
    spoken = np.concatenate([[0], np.cumsum(speaking(mono))])
    time = np.arange(rows) / rate
    first = np.clip(np.ceil((time - RELEASE) * RATE - 1e-6), 0, len(spoken) - 1).astype(int)
    stop = np.clip(np.floor((time + ATTACK) * RATE + 1e-6) + 1, 0, len(spoken) - 1).astype(int)
    return spoken[stop] <= spoken[first]


def speaking(mono: np.ndarray, probability: np.ndarray | None = None) -> np.ndarray:  # float32 [N] at 16 kHz -> bool [100 Hz]
    """Whether somebody speaks at k / 100 seconds, without the room around speech.

    Args:
        probability: of `voice_probability`, where it is known already.
    """
    rows = len(mono) * RATE // SAMPLE_RATE + 1
    loud = loud_enough(mono, SAMPLE_RATE, RATE, rows, floor_db=AUDIBLE_DB)
    if not loud.any():
        return loud
    probability = voice_probability(mono) if probability is None else probability
    return loud if probability is None else loud & (voice_at(probability, rows) >= THRESHOLD)


def voice_at(probability: np.ndarray, rows: int) -> np.ndarray:  # float32 [n] at 31.25 Hz -> float64 [rows] at 100 Hz
    """The probability of a voice at k / 100 seconds, between the middles of its chunks linear."""
    return np.interp(np.arange(rows) / RATE, (np.arange(len(probability)) + 0.5) / CHUNK_RATE, probability)


def active_level(mono: np.ndarray, spoken: np.ndarray) -> float | None:  # float32 [N] at 16 kHz, bool [100 Hz] -> dB
    """The RMS level of what is spoken, in dB re full scale; None where nobody speaks."""
    if not spoken.any():
        return None
    level = levels(mono, SAMPLE_RATE, RATE, len(spoken))
    return float(10 * np.log10(np.mean(10 ** (level[spoken] / 10))))
