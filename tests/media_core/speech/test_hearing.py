"""Audio as people have it: wherever the voice is and however loud, the encoders hear the same."""
from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound, levels
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.speech.audio_encoder_output import speech_from_audio_encoder
from talking_heads.media_core.speech.hearing import TARGET_DB, heard, normal_gain
from talking_heads.media_core.speech.hubert import FACTS as FIRST_CHANNEL
from talking_heads.media_core.speech.mel import ENCODER
from talking_heads.media_core.speech.silence import active_level, speaking
from voices import voice

FACTS = ENCODER.facts
CLEAN = voice(3.0).waveform[0]
RANDOM = np.random.default_rng(0)


def music(level: float) -> np.ndarray:  # RMS -> float32 [48000]
    """Chords that change twice a second."""
    time = np.arange(48000) / 16000
    roots = np.repeat(220 * 2 ** (RANDOM.integers(0, 12, 6) / 12), 8000)
    wave = sum(np.sin(2 * np.pi * step * roots * time) / step for step in (1, 1.25, 1.5, 2, 3)) * (1 - 0.8 * (time % 0.5) * 2)
    return (level * wave / np.sqrt(np.mean(wave ** 2))).astype(np.float32)


def channels(*waves: np.ndarray) -> Sound:
    return Sound(np.stack(waves).astype(np.float32), 16000)


def among_eight(place: int, gain: float, other) -> Sound:
    return channels(*(gain * CLEAN if k == place else other() for k in range(8)))


def level(mono: np.ndarray) -> float:
    found = active_level(mono, speaking(mono))
    assert found is not None
    return found


def like_the_voice(mono: np.ndarray, least: float = 0.99) -> bool:
    return abs(np.corrcoef(mono, CLEAN)[0, 1]) > least


def said(sound: Sound, caplog, facts=FACTS) -> tuple[np.ndarray, str]:
    """What is heard, and the log of it: one line at most."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="talking_heads.media_core.speech.hearing"):
        mono = heard(sound, facts)
    assert len(caplog.messages) <= 1
    return mono, "".join(caplog.messages)


def hiss(level: float = 0.1):
    return lambda: (level * RANDOM.standard_normal(48000)).astype(np.float32)


@pytest.mark.parametrize("sound", [voice(3.0), voice(3.0, 44100), voice(3.0, channels=2), channels(0.7 * CLEAN, 1.3 * CLEAN),
                                   channels(CLEAN, CLEAN + hiss(0.01)())])
def test_a_normal_recording_is_heard_as_it_is_to_the_bit(sound, caplog):
    mono, line = said(sound, caplog)
    assert np.array_equal(mono, sound.mono(16000)) and line == ""


@pytest.mark.parametrize("name, sound, least, told", [
    ("inverted", channels(CLEAN, -CLEAN), 0.99, "1 of 2 channels was inverted"),
    ("half inverted", channels(CLEAN, -0.8 * CLEAN + hiss(0.003)()), 0.99, "1 of 2 channels was inverted"),
    ("eight, seven silent", among_eight(5, 1.0, lambda: np.zeros(48000)), 0.99, ""),
    ("eight, seven hiss", among_eight(5, 1.0, hiss()), 0.99, "the voice is in channel 6 of 8"),
    ("eight, seven loud music", among_eight(2, 1.0, lambda: music(0.25)), 0.99, "the voice is in channel 3 of 8"),
    ("soft beside loud music", among_eight(2, 0.005, lambda: music(0.25)), 0.99, "the voice is in channel 3 of 8; speech of"),
    ("stereo, music left", channels(music(0.3), CLEAN), 0.99, "the voice is in channel 2 of 2"),
    ("-45 dB", channels(10 ** (-25 / 20) * CLEAN), 0.99, "raised by 25 dB"),
    ("-60 dB", channels(10 ** (-40 / 20) * CLEAN), 0.99, "raised by 40 dB"),
    ("too loud", channels(5 * CLEAN), 0.99, "lowered by"),
    ("clipped", channels(np.clip(8 * CLEAN, -1, 1)), 0.8, "clipped when it was recorded; speech of"),
    ("offset", channels(CLEAN + 0.3), 0.98, "an offset was filtered out"),
    ("offset, -45 dB", channels(10 ** (-25 / 20) * CLEAN + 0.1), 0.98, "an offset was filtered out; speech of"),
])
def test_the_voice_is_found_and_its_loudness_is_normal(name, sound, least, told, caplog):
    mono, line = said(sound, caplog)
    assert like_the_voice(mono, least), name
    assert abs(level(mono) - TARGET_DB) < 2.5, name
    assert told in line and (told == "") == (line == ""), line
    rows = encode_speech(sound).silence
    plain = encode_speech(Sound(CLEAN[None], 16000)).silence
    assert float((rows == plain).float().mean()) > 0.98, name


def test_leading_silence_counts_for_nothing(caplog):
    soft = np.concatenate([np.zeros(16000 * 20, np.float32), 0.03 * CLEAN])
    mono, line = said(Sound(soft[None], 16000), caplog)
    assert abs(level(mono) - TARGET_DB) < 1.5 and "raised by" in line and not mono[:16000 * 20].any()
    noisy = soft + (0.0005 * RANDOM.standard_normal(soft.size)).astype(np.float32)
    made = encode_speech(Sound(noisy[None], 16000))
    spoken = np.flatnonzero(~made.silence.numpy()) / 80
    assert 19.7 < spoken[0] < 20.3 and spoken[-1] > 22.5


def test_a_telephone_is_heard(caplog):
    from soxr import resample

    narrow = Sound(resample(CLEAN, 16000, 8000)[None].astype(np.float32), 8000)
    mono, line = said(narrow, caplog)
    assert "telephone band (8000 Hz)" in line and like_the_voice(mono, 0.95) and abs(level(mono) - TARGET_DB) < 2.5
    assert float((~encode_speech(narrow).silence).float().mean()) > 0.98


@pytest.mark.parametrize("wave", [np.zeros(48000), hiss(1e-4)(), hiss(0.1)(), music(0.2), np.full(48000, 0.2), np.zeros(1),
                                  np.full(3, 0.5)])
def test_where_nobody_speaks_nothing_is_raised(wave, caplog):
    sound = Sound(np.asarray(wave, np.float32)[None], 16000)
    mono, line = said(sound, caplog)
    assert "nobody speaks" in line and "raised" not in line
    assert np.sqrt(np.mean(np.square(mono))) <= np.sqrt(np.mean(np.square(sound.waveform))) + 1e-9
    assert encode_speech(sound).silence.all()


def test_two_speakers_on_two_channels_both_count():
    left, right = CLEAN.copy(), np.roll(CLEAN, 20000)
    left[24000:], right[:24000] = 0, 0
    sound = channels(left, right)
    assert np.array_equal(heard(sound, FACTS), sound.mono(16000))


def test_an_encoder_of_the_first_channel_reads_the_first_with_a_voice(caplog):
    mono, line = said(channels(music(0.3), CLEAN, 0.9 * CLEAN), caplog, FIRST_CHANNEL)
    assert np.array_equal(mono, CLEAN) and "channel 2, 3 of 3" in line


def test_core_encoders_find_silence_in_the_voice_too():
    sound = among_eight(4, 0.03, lambda: music(0.2))
    rows = torch.zeros(1, 149, 768)
    encoded = {"encoded_audio": rows, "encoded_audio_all_layers": (rows,) * 13, "audio_samples": 48000}
    made = speech_from_audio_encoder(encoded, sound=sound)
    assert float((~made.silence).float().mean()) > 0.95


def test_the_audio_itself_stays_as_it_is():
    sound = channels(0.01 * CLEAN + 0.1, music(0.2))
    before = sound.waveform.copy()
    encode_speech(sound)
    assert np.array_equal(sound.waveform, before)


@pytest.mark.parametrize("at, gain", [(None, 1), (-20, 1), (-26, 1), (-12, 1), (-30, 10 ** 0.5), (-8, 10 ** -0.6),
                                      (-90, 10 ** 2.25)])
def test_the_gain(at, gain):
    assert normal_gain(at) == pytest.approx(gain)


def test_the_level_is_what_it_says():
    tone = np.sin(2 * np.pi * 250 * np.arange(16000) / 16000).astype(np.float32)
    assert active_level(tone, np.ones(101, bool)) == pytest.approx(-3.01, abs=0.05)
    assert float(levels(tone, 16000, 100, 101)[50]) == pytest.approx(-3.01, abs=0.05)
