"""The rows of lips against speech, from lips that are known."""
from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import voices
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.metrics import speech_rows as module
from talking_heads.media_core.metrics.openness import phone_openness
from talking_heads.media_core.metrics.phones import Phone, Phones
from talking_heads.media_core.metrics.speech_rows import Heard, listened, quiet, speech_rows
from talking_heads.media_core.speech import encode_speech

FPS, FRAMES = 25.0, 150
WORDS = ("P", "AA", "M", "IY", "B", "AO", "T", "AE", "M", "AY", "S", "UW")


def voice(parts: list[tuple[float, float, float]]) -> Sound:
    """Somebody who speaks from a second to another, or below .01 (rms) a hiss; 6 s in all."""
    wave = np.zeros(96000, np.float32)
    for start, stop, level in parts:
        place = slice(round(start * 16000), round(stop * 16000))
        noise = np.random.default_rng(0).standard_normal(place.stop - place.start)
        wave[place] = level * noise if level < .01 else voices.voice(stop - start).waveform[0]
    return Sound(wave[None], 16000)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """Four seconds of speech from the first second on."""
    sound = voice([(1, 5, 0.2)])
    times = 1 + np.cumsum(np.r_[0, np.random.default_rng(1).uniform(0.1, 0.3, 20)])
    phones = tuple(Phone(WORDS[i % len(WORDS)], float(a), float(b)) for i, (a, b) in enumerate(zip(times, times[1:])))
    return Heard(sound, encode_speech(sound), Phones(phones, aligned=True), "")


def rows_of(lips: np.ndarray, heard: Heard | None, truth: np.ndarray | None = None):
    return {row.key: row for row in speech_rows(lips, truth, heard, FPS)}


@pytest.mark.parametrize("late", [-2, 0, 3])
def test_lips_that_say_the_phones(heard, late):
    lips = np.roll(phone_openness(heard.phones, FRAMES, FPS), late) / 30
    rows = rows_of(lips, heard)
    assert rows["av_offset"].value == pytest.approx(late, abs=0.1) and "by phones" in rows["av_offset"].note
    assert rows["shut_silence"].value == 1.0 and math.isnan(rows["shut_noise"].value)
    if not late:
        assert rows["openness"].value == pytest.approx(1) and rows["closures"].value == 1.0
        assert "aligned" not in rows["closures"].note and "guess" not in rows["closures"].note
        assert abs(rows["openness_shifted"].value) < 0.4 and rows["open_vowels"].value > 0.8


def test_the_truths_figures_stand_beside(heard):
    lips = phone_openness(heard.phones, FRAMES, FPS) / 30
    rows = rows_of(np.roll(lips, 2), heard, lips)
    assert rows["av_offset"].truth == pytest.approx(0, abs=0.1) and rows["openness"].truth == pytest.approx(1)
    assert rows_of(lips, heard, np.full(FRAMES, np.nan))["openness"].truth is None


def test_free_phones_are_said_to_be_weaker(heard):
    free = Heard(heard.sound, heard.speech, Phones(heard.phones.phones, aligned=False), "")
    rows = rows_of(phone_openness(heard.phones, FRAMES, FPS) / 30, free)
    assert all("recognised freely" in rows[key].note for key in ("closures", "open_vowels", "openness"))


def test_open_in_noise():
    """The voice, then a hiss 40 dB below it, with the mouth open over half of it."""
    sound = voice([(0, 2, 0.3), (3, 6, 0.003)])
    heard, lips = Heard(sound, encode_speech(sound), None, "needs phones"), np.zeros(FRAMES)
    lips[:50] = np.abs(np.sin(np.arange(50)))
    nobody = quiet(heard, FRAMES, FPS)
    assert not nobody[:50].any() and nobody[80:].all() and nobody[72]
    hiss = np.flatnonzero(nobody & (np.arange(FRAMES) >= 75))
    lips[hiss[:len(hiss) // 2]] = 0.1
    rows = rows_of(lips, heard)
    assert rows["shut_noise"].value == pytest.approx(0.5, abs=0.02) and rows["shut_noise"].frames == len(hiss)
    assert rows["shut_silence"].value == 1.0
    assert rows["closures"].note == "needs phones" and math.isnan(rows["openness"].value)


def test_without_pocketsphinx(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    heard = listened(voice([(1, 5, 0.2)]))
    assert heard.phones is None and "pip install pocketsphinx" in rows_of(np.zeros(FRAMES), heard)["closures"].note
    assert "10 s of video" in rows_of(np.arange(FRAMES) % 7.0, heard)["av_offset"].note


def test_without_phones_a_regression_finds_the_offset(monkeypatch):
    """Twelve seconds of a voice; the lips follow its loudness four frames late."""
    monkeypatch.setattr(module, "_LEAST_SECONDS", 10.0)
    sound = voices.voice(12)
    loud = np.sqrt(np.square(sound.waveform[0]).reshape(300, 640).mean(1))
    rows = rows_of(np.roll(loud, 4), Heard(sound, encode_speech(sound), None, "needs phones"))
    assert rows["av_offset"].value == 4 and "by a regression" in rows["av_offset"].note
