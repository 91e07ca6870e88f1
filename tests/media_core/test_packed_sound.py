"""Audio for a page: small, in step, and readable also where PyAV has no MP3."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core import packed_sound
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.packed_sound import packed, wav16


def tone(rate: int, channels: int, seconds: float = 0.5) -> Sound:
    at = np.arange(round(rate * seconds)) / rate
    return Sound(np.repeat(0.4 * np.sin(2 * np.pi * 440 * at)[None], channels, axis=0).astype(np.float32), rate)


@pytest.mark.parametrize("rate, channels", [(16000, 1), (44100, 2), (96000, 1), (5000, 1), (48000, 6)])
def test_any_audio_becomes_an_mp3_of_its_length(tmp_path, rate, channels):
    kind, content = packed(tone(rate, channels))
    assert kind == "audio/mpeg" and len(content) < 20_000
    (tmp_path / "a.mp3").write_bytes(content)
    again = load_sound(tmp_path / "a.mp3")
    assert again.channels == min(channels, 2) if channels < 3 else again.channels == 1
    assert again.duration == pytest.approx(0.5, abs=0.1)
    middle = again.waveform[0, round(0.2 * again.sample_rate):round(0.3 * again.sample_rate)]
    assert float(np.abs(middle).max()) == pytest.approx(0.4, abs=0.06)


def test_without_mp3_it_is_a_wav_file(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_sound, "_CODEC", "no such codec")
    kind, content = packed(tone(16000, 2))
    (tmp_path / "a.wav").write_bytes(content)
    again = load_sound(tmp_path / "a.wav")
    assert kind == "audio/wav" and (again.sample_rate, again.waveform.shape) == (16000, (2, 8000))
    assert np.abs(again.waveform - tone(16000, 2).waveform).max() < 1e-4


def test_what_is_too_loud_is_clipped():
    samples = np.frombuffer(wav16(Sound(np.array([[2.0, -2.0, 0.0]], np.float32), 8000))[44:], "<i2")
    assert samples.tolist() == [32767, -32767, 0]
