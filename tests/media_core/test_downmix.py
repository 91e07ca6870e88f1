"""Many channels to one: silent ones, bass effects, channels that cancel one another."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core import downmix
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.speech.hubert import FACTS as FIRST_CHANNEL
from talking_heads.media_core.video import encodable

RATE = 16000
TIME = np.arange(RATE // 2) / RATE


def tones(*hertz: float, level: float = 0.5) -> np.ndarray:  # float32 [N]
    return (level * sum(np.sin(2 * np.pi * f * TIME) for f in hertz) / len(hertz)).astype(np.float32)


VOICE, OTHER, BASS = tones(210, 640, 1900), tones(333, 1210), tones(50, 90)
SILENT = np.zeros_like(VOICE)
HISS = (1e-4 * np.random.default_rng(0).standard_normal(VOICE.size)).astype(np.float32)  # 70 dB below the voice


@pytest.mark.parametrize("channels", [2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("rest", [SILENT, HISS])
def test_silent_channels_do_not_dilute_the_level(channels, rest):
    for place in range(channels):
        waveform = np.stack([VOICE if i == place else rest for i in range(channels)])
        assert np.array_equal(downmix.mono(waveform, RATE), VOICE)
        if channels not in (2, 6):  # AAC has these
            assert np.array_equal(encodable(Sound(waveform, RATE)).waveform, VOICE[None])


def test_channels_that_sound_are_their_exact_mean():
    for channels in ([VOICE, VOICE], [VOICE, 0.5 * VOICE], [VOICE, OTHER], [VOICE, 0.7 * VOICE, OTHER], [SILENT, SILENT]):
        waveform = np.stack(channels).astype(np.float32)
        assert np.array_equal(downmix.mono(waveform, RATE), waveform.mean(axis=0, dtype=np.float32))


@pytest.mark.parametrize("channels", [
    [VOICE, -VOICE], [-VOICE, VOICE, -VOICE, VOICE], [VOICE, -VOICE, SILENT], [VOICE, -0.9 * VOICE]])
def test_channels_against_one_another_do_not_cancel(channels):
    heard = downmix.mono(np.stack(channels).astype(np.float32), RATE)
    assert abs(np.corrcoef(heard, VOICE)[0, 1]) > 0.999
    assert np.abs(heard).max() > 0.9 * np.abs(VOICE).max()


@pytest.mark.parametrize("channels", [6, 8])
def test_bass_effects_do_not_count(channels):
    surround = np.stack([VOICE if i == 2 else BASS if i == 3 else SILENT for i in range(channels)])
    assert np.array_equal(downmix.mono(surround, RATE), VOICE)
    recorder = np.stack([OTHER if i == 2 else VOICE if i == 3 else SILENT for i in range(channels)])  # no effects: a voice
    assert np.array_equal(downmix.mono(recorder, RATE), recorder[2:4].mean(axis=0, dtype=np.float32))
    alone = np.stack([BASS if i == 3 else SILENT for i in range(channels)])
    assert np.array_equal(downmix.mono(alone, RATE), BASS)


def test_an_encoder_of_the_first_channel_reads_the_first_that_sounds():
    assert FIRST_CHANNEL.channels == "first"
    assert np.array_equal(FIRST_CHANNEL.mono(Sound(np.stack([VOICE, OTHER]), RATE)), VOICE)
    assert np.array_equal(FIRST_CHANNEL.mono(Sound(np.stack([HISS, OTHER]), RATE)), OTHER)
