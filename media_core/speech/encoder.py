"""What a speech encoder is. Each encoder stands in a file of its own and ends in one `ENCODER = SpeechEncoder(...)`."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from ..progress import Report

SAMPLE_RATE = 16000  # Hz of the mono sound every encoder reads


@dataclass(frozen=True)
class SpeechEncoder:
    """Turns 16 kHz mono into rows of features; row k stands at k / rate seconds."""

    id: str  # written into every file made with it; forever
    dim: int  # C, numbers a row
    rate: float  # Hz, rows a second
    window: int  # W, rows a model reads for one video frame
    silence: float  # the value of rows outside the sound
    description: str  # one line for menus and error messages
    encode: Callable[[np.ndarray, Report], np.ndarray]  # mono float32 [N] at 16 kHz, report -> float32 [T, C], T >= 1
