"""Audio as a small file in memory that every browser plays: MP3, or 16-bit WAV where PyAV was built without MP3."""
from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .audio import Sound

if TYPE_CHECKING:
    import av

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz that MP3 has
BIT_RATE = 64_000  # bits per second and channel: speech without audible loss
_CODEC, _BLOCK = "libmp3lame", 1152  # samples of a call


class PackedSound(NamedTuple):
    """An audio file in memory."""
    kind: str      # MIME type
    content: bytes


def packed(sound: Sound) -> PackedSound:
    """The audio, one or two channels, at a rate that MP3 has."""
    import av

    fitting = sound.within(RATES, (1, 2))
    if _CODEC not in av.codecs_available:
        return PackedSound("audio/wav", wav16(fitting))
    target = io.BytesIO()
    with av.open(target, "w", format="mp3") as container:
        stream = container.add_stream(_CODEC, rate=fitting.sample_rate)
        stream.layout = "mono" if fitting.channels == 1 else "stereo"
        stream.bit_rate = BIT_RATE * fitting.channels
        for begin in range(0, fitting.samples, _BLOCK):
            container.mux(stream.encode(_block(fitting, begin)))
        container.mux(stream.encode(None))
    return PackedSound("audio/mpeg", target.getvalue())


def _block(sound: Sound, begin: int) -> av.AudioFrame:
    import av

    samples = np.ascontiguousarray(sound.part(begin, min(begin + _BLOCK, sound.samples)).clip(-1, 1))
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono" if len(samples) == 1 else "stereo")
    frame.sample_rate, frame.pts = sound.sample_rate, begin
    return frame


def wav16(sound: Sound) -> bytes:
    """A WAV file of 16-bit samples; what is beyond full scale is clipped."""
    data = np.round(sound.waveform.clip(-1, 1).T * 32767).astype("<i2").tobytes()
    width = 2 * sound.channels
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, sound.channels, sound.sample_rate, sound.sample_rate * width, width, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE") + head + struct.pack("<4sI", b"data", len(data)) + data
