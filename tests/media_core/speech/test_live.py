"""Audio heard as it comes: rows and voices do not depend on the pieces; soft and loud speech is brought to the normal level."""
from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.speech.hearing import LOUDEST_DB, SOFTEST_DB
from talking_heads.media_core.speech.live import LiveHearing, LiveLevel, check_streams, live_speech
from talking_heads.media_core.speech.mel import MelStream, mel_spectrogram

RATE = 16000


@cache
def speech() -> np.ndarray:
    """4 s of a voice of normal loudness."""
    return load_sound(Path(__file__).parents[3] / "demo" / "demo_speech.wav").mono(RATE)[:4 * RATE]


def heard(samples: np.ndarray, size: int, gain_db: float | None = None) -> tuple[np.ndarray, list[int]]:
    hearing = LiveHearing(gain_db)
    rows = [hearing.feed(samples[at:at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*rows, hearing.finish()]), hearing.voiced


def level(features: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """How many dB the rows lie above those of the samples as they are, per row."""
    own = mel_spectrogram(samples)
    inside = (own > -3.5) & (own < 3.5) & (features > -3.5) & (features < 3.5)
    shift = np.ma.masked_array((features - own) * 100 / 8, ~inside)
    return np.ma.median(shift, axis=1).filled(np.nan)


@pytest.mark.parametrize("samples", [1, 199, 200, 399, 400, 401, 5123])
def test_streamed_rows_are_those_of_the_spectrogram(samples):
    mono, stream = speech()[8000:8000 + samples], MelStream()
    rows = np.concatenate([*(stream.feed(mono[at:at + 7]) for at in range(0, samples, 7)), stream.finish()])
    whole = mel_spectrogram(mono)
    assert rows.shape == whole.shape
    np.testing.assert_allclose(rows, whole, atol=1e-4)


def test_a_row_is_there_with_its_last_sample():
    stream, came = MelStream(), []
    for sample in range(1000):
        came += [sample + 1] * len(stream.feed(speech()[sample:sample + 1]))
    assert came == [400, 600, 800, 1000]


def test_pieces_change_no_bit():
    samples = np.concatenate([speech() * 0.05, np.zeros(3000, np.float32), speech()[:20001] * 3])
    rows, voiced = heard(samples, len(samples))
    for size in (111, 512, 4000):
        other, voices = heard(samples, size)
        assert np.array_equal(other, rows) and voices == voiced
    assert len(rows) == len(samples) // 200 + 1 and 60 < len(voiced) < 180


def test_speech_of_normal_level_is_left_alone_and_heard_as_ever():
    features, voiced = live_speech(speech())
    usual = encode_speech(Sound(speech()[None], RATE))
    torch.testing.assert_close(features.features, usual.features, atol=1e-4, rtol=0)
    at = torch.arange(len(usual.silence)) / usual.rate * RATE // 512
    spoken = torch.isin(at, torch.tensor(voiced, dtype=at.dtype))
    assert not (spoken & usual.silence).any()  # whoever is heard live is heard offline


@pytest.mark.parametrize("factor", [0.01, 0.05, 4.0])
def test_soft_and_loud_speech_comes_to_the_normal_level(factor):
    samples = (speech() * factor).astype(np.float32)
    features, voiced = live_speech(samples)
    power = 10 * np.log10(np.mean([np.var(samples[k * 512:(k + 1) * 512]) for k in voiced]))
    gain = np.nanmedian(level(features.features.numpy(), samples)[-80:])
    assert len(voiced) > 60 and SOFTEST_DB - 1 < power + gain < LOUDEST_DB + 1
    assert abs(gain) > 3


def test_the_gain_moves_slowly_and_stays_in_the_band():
    loud = LiveLevel()
    gains = []
    for chunk in range(200):
        loud.learn(-40.0 if chunk < 100 else -24.0, True)
        gains.append(20 * np.log10(loud.gain))
    steps = np.diff([0.0, *gains])
    assert gains[4] == 0 and np.abs(steps).max() <= 1 + 1e-9 and gains[99] == pytest.approx(20)
    assert gains[-1] < 20 and np.all(steps[100:] <= 1e-9)


def test_an_offset_is_no_loudness():
    assert live_speech(speech() + np.float32(0.3))[1] == live_speech(speech())[1]
    assert np.nanmedian(np.abs(level(live_speech(speech() + np.float32(0.3))[0].features.numpy(), speech()))) < 0.2


def test_a_fixed_gain_is_that_gain_from_the_first_sample():
    features, _ = live_speech(speech(), gain_db=6.0)
    np.testing.assert_allclose(features.features.numpy(), mel_spectrogram(speech() * np.float32(10 ** 0.3)), atol=1e-4)
    with pytest.raises(TalkingHeadsError, match="gain of the audio, in dB"):
        LiveHearing(1000.0)


@pytest.mark.parametrize("kind", ["silence", "hum", "noise"])
def test_nobody_speaks(kind):
    random, time = np.random.default_rng(0), np.arange(3 * RATE) / RATE
    mono = {"silence": 0 * time, "hum": 0.02 * np.sin(2 * np.pi * 100 * time), "noise": random.normal(0, 0.003, time.size)}[kind]
    assert live_speech(mono.astype(np.float32))[1] == []


def test_beginning_anew_forgets_the_audio_and_keeps_the_level():
    hearing = LiveHearing()
    hearing.feed(speech()[:32000] * 0.05)
    gain = hearing.level.gain
    hearing.begin()
    assert hearing.level.gain == gain > 2 and hearing.samples == 0 and hearing.voiced == []
    assert len(hearing.feed(speech()[:400])) == 1
    hearing.forget(10 ** 6)
    assert hearing.voiced == []


def test_an_encoder_of_whole_recordings_is_refused():
    check_streams("mel", "last")
    with pytest.raises(TalkingHeadsError, match="'ave', layer last, which hears the whole recording at once"):
        check_streams("ave", "last")
