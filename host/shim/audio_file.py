"""AUDIO to a file, of any rate and number of channels."""
from __future__ import annotations

from collections.abc import Collection

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
_HIGH_RATES = (48000, 96000, 192000, 384000)  # Hz, for rates that FLAC lacks
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}  # FLAC's channels


def write_sound(path: str, audio: dict, format: str, quality: str, tags: dict[str, str]) -> None:
    """The first item of AUDIO to one file, flac or mp3; converted where the format lacks its rate or channels (`Sound.within`).

    Raises:
        TalkingHeadsError: the audio is empty or not finite.
    """
    import av
    import numpy as np

    from ...media_core.audio import Sound

    sound = Sound.from_comfy(audio)
    sound = sound.within(*(_flac(sound.sample_rate) if format == "flac" else (_MP3_RATES, (1, 2))))
    layout = _LAYOUTS[sound.channels]
    with av.open(path, mode="w", format=format) as output:
        for key, text in tags.items():
            output.metadata[key] = text
        stream = output.add_stream("libmp3lame" if format == "mp3" else "flac", rate=sound.sample_rate, layout=layout)
        if format == "mp3" and quality.endswith("k"):
            stream.bit_rate = int(quality[:-1]) * 1000
        elif format == "mp3":
            stream.codec_context.qscale = 1
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.waveform.T).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = sound.sample_rate, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _flac(rate: int) -> tuple[Collection[int], Collection[int]]:
    """Sample rates and numbers of channels that FLAC has, of those that matter for audio at this rate."""
    kept = rate < 65536 or (rate % 10 == 0 and rate <= 655350)
    return (rate,) if kept else _HIGH_RATES, tuple(_LAYOUTS)
