"""What a speech encoder is. Each encoder stands in a file of its own and ends in one `ENCODER = SpeechEncoder(...)`."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .. import downmix
from ..audio import Sound
from ..progress import Report

SAMPLE_RATE = 16000  # Hz of the mono sound every encoder reads
LAST = "last"  # the layer of an encoder's own output; other layers are numbers written as text, "0" the lowest

Encode = Callable[[np.ndarray, Report], np.ndarray]  # mono float32 [N] at 16 kHz, report -> float32 [T, C], T >= 1


@dataclass(frozen=True)
class SpeechEncoder:
    """Turns 16 kHz mono into rows of features; row k stands at k / rate seconds."""

    id: str  # written into every file made with it; forever
    dim: int  # C, numbers a row
    rate: float  # Hz, rows a second
    window: int  # W, rows a model reads for one video frame
    silence: float | None  # the value of rows outside the sound; None: silence is no constant, see Speech.silence_row
    description: str  # one line for menus and error messages
    encode: Encode | None  # None: it needs weights, see hubert.HubertEncoder and audio_encoder_output
    channels: Literal["mean", "first"] = "mean"  # what becomes of several channels (`downmix`)

    def mono(self, sound: Sound) -> np.ndarray:  # float32 [N]
        """The sound as this encoder reads it: one channel at 16 kHz; the "first" is the first that sounds."""
        if self.channels == "mean":
            return sound.mono(SAMPLE_RATE)
        first = downmix.speaking(sound.waveform, sound.sample_rate)[0]
        return Sound(sound.waveform[first:first + 1], sound.sample_rate).mono(SAMPLE_RATE)
