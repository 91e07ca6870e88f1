"""Cepstra against the formulas of python_speech_features, one frame and one filter at a time."""
from __future__ import annotations

import math

import numpy as np
import pytest
from talking_heads.media_core.metrics import mfcc as module
from talking_heads.media_core.metrics.mfcc import mel_triangles, mfcc


def slow_filters() -> np.ndarray:
    mels = [2595 * math.log10(1 + 8000 / 700) * i / 27 for i in range(28)]
    bins = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mels]
    out = np.zeros((26, 257))
    for j in range(26):
        for i in range(bins[j], bins[j + 1]):
            out[j, i] = (i - bins[j]) / (bins[j + 1] - bins[j])
        for i in range(bins[j + 1], bins[j + 2]):
            out[j, i] = (bins[j + 2] - i) / (bins[j + 2] - bins[j + 1])
    return out


def slow_mfcc(samples: np.ndarray) -> np.ndarray:
    signal = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    count, rows = 1 + math.ceil((len(signal) - 400) / 160), []
    signal = np.append(signal, np.zeros((count - 1) * 160 + 400 - len(signal)))
    for at in range(0, count * 160, 160):
        power = np.abs(np.fft.rfft(signal[at:at + 400], 512)) ** 2 / 512
        logs = np.log(slow_filters() @ power)
        row = [sum(logs[n] * math.cos(math.pi * k * (2 * n + 1) / 52) for n in range(26)) * math.sqrt((1 if k else 0.5) * 2 / 26)
               * (1 + 11 * math.sin(math.pi * k / 22)) for k in range(13)]
        rows.append([math.log(power.sum()), *row[1:]])
    return np.array(rows)


def test_it_is_the_plain_formula(monkeypatch):
    mono = 0.3 * np.random.default_rng(0).standard_normal(3000)
    expected = slow_mfcc(np.trunc(np.clip(mono * 32768, -32768, 32767)))
    assert mfcc(mono).shape == expected.shape == (18, 13) and np.allclose(mfcc(mono), expected, rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(module, "_ROWS", 5)
    assert np.allclose(mfcc(mono), expected, rtol=1e-9, atol=1e-9), "slices change nothing"
    assert np.array_equal(mel_triangles(), slow_filters())


def test_silence_and_short_audio_are_finite():
    assert np.isfinite(mfcc(np.zeros(1600))).all() and mfcc(np.zeros(10)).shape == (1, 13)
    assert mfcc(np.zeros(1600))[0, 0] == pytest.approx(math.log(np.finfo(float).eps))
