"""A voice for tests: what only listens to the level takes noise for speech, the pack does not."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from talking_heads.media_core.audio import Sound, load_sound

DEMO = Path(__file__).resolve().parents[1] / "demo" / "demo_speech.wav"
FIRST, LAST = 0.4, 15.2  # s: between them the demo speaks, with no pause that is long enough to count as silence


def voice(seconds: float, rate: int = 16000, channels: int = 1, *, quiet: tuple[float, float] | None = None) -> Sound:
    """Somebody who speaks throughout, from the first sample on; silence within `quiet`, in seconds."""
    wave = np.resize(_spoken(rate), max(1, round(seconds * rate))).copy()
    if quiet:
        wave[round(quiet[0] * rate):round(quiet[1] * rate)] = 0
    return Sound(np.tile(wave, (channels, 1)), rate)


@lru_cache
def _spoken(rate: int) -> np.ndarray:  # float32 [N]
    return load_sound(DEMO).cut(FIRST, LAST).mono(rate)
