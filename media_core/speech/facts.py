"""What is known of a speech encoder without opening it."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .. import downmix
from ..audio import Sound

SAMPLE_RATE = 16000  # Hz of the mono audio every encoder reads
JOIN = "+"  # between the ids (and layers) of encoders whose features stand side by side, see joined.py
LAST = "last"  # the layer of an encoder's own output; other layers are numbers written as text, "0" the lowest


@dataclass(frozen=True)
class EncoderFacts:
    """An encoder turns 16 kHz mono into rows of features; row k stands at k / rate seconds."""

    id: str  # written into every file made with it; forever
    dim: int  # C, numbers per row
    rate: float  # Hz, rows per second
    window: int  # W, rows a model reads for one video frame
    silence: float | None  # the value of rows outside the audio; None: silence is no constant, see Speech.silence_row
    description: str  # one line for menus and error messages
    channels: Literal["mean", "first"] = "mean"  # how several audio channels become one (`downmix`)
    spectral: bool = False  # the numbers of a row are frequency bands from low to high, so a voice may be shifted along them
    delay: float = 0.0  # s from k / rate to the middle of what row k hears

    def mono(self, sound: Sound) -> np.ndarray:  # float32 [N]
        """One channel of the audio at 16 kHz, as loud as it is (`hearing.heard` then finds the voice and its loudness); the
        "first" is the first that is not silent."""
        if self.channels == "mean":
            return sound.mono(SAMPLE_RATE)
        first = downmix.speaking(sound.waveform, sound.sample_rate)[0]
        return Sound(sound.waveform[first:first + 1], sound.sample_rate).mono(SAMPLE_RATE)


_known: dict[str, EncoderFacts] = {}


def register(*encoders: EncoderFacts) -> None:
    """Makes encoders known by their ids (`registry.py` does, when the package is imported)."""
    _known.update({facts.id: facts for facts in encoders})


def known_facts(id: str) -> EncoderFacts | None:
    """The registered encoder of that id; None: an encoder of the user's own."""
    return _known.get(id)


def parts_of(id: str) -> list[str]:
    """The ids of the encoders that `id` names: one, or those that were joined."""
    return id.split(JOIN)


def frame_window(id: str, rate: float, fps: float) -> int:
    """W, rows a model reads for one video frame: the encoder's; of joined ones as long a time as the longest of them; of one that
    is not listed, those of one frame.

    Args:
        id: of the encoder. rate: Hz, rows per second. fps: frames per second for which models are made.
    """
    if known := known_facts(id):
        return known.window
    found = [known_facts(part) for part in parts_of(id)]
    seconds = max(facts.window / facts.rate if facts else 1 / fps for facts in found)
    return max(1, round(rate * seconds))


def known_encoders() -> dict[str, EncoderFacts]:
    """Every registered encoder by id, in menu order. Other models of the same kinds have ids of their own and are not listed."""
    return dict(_known)
