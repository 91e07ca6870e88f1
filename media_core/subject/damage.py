"""Audio as people have it, for training: damaged recordings of a voice, and sounds in which nobody speaks.

The labels do not change: a damaged voice moves the mouth as before, and where nobody speaks it rests. 16 kHz, float32 or float64
[N]; everything random is drawn from the generator that is handed in.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

RATE = 16000
PIECE, SOUND = 6.0, (3.0, 8.0)     # s, of audio damaged in one way, and of one sound without a voice
ROOM, BAND, SQUASHED, NOISY = .33, .4, .12, .12  # probabilities in a damaged piece
LEVELS, QUIET = (-38.0, -8.0), (-65.0, -12.0)  # dB, of a damaged voice, and of sounds without one
SNR = 10.0, 45.0                   # dB
_FRAME = 640
_NYQUIST = 7800.0                  # Hz, the most a filter may be asked for
_SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12])  # semitones
_Filter = Literal["bandpass", "lowpass", "highpass"]


def level(decibels: float) -> float:
    """An amplitude."""
    return 10 ** (decibels / 20)


def rms(samples: np.ndarray) -> float:
    """Root mean square, never 0."""
    return float(np.sqrt(np.mean(np.square(samples)) + 1e-12))


def loudness(samples: np.ndarray) -> float:
    """RMS of the loud part: of the 85th percentile of frames of 40 ms."""
    parts = [rms(samples[at:at + _FRAME]) for at in range(0, len(samples), _FRAME)]
    return float(np.percentile(parts, 85)) + 1e-6


# ------------------------------------------------------------------------------------------------------ without a voice

def noise(count: int, rng: np.random.Generator) -> np.ndarray:  # -> [count]
    """Of any slope from white to brown."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.arange(len(spectrum)), max(1.0, 20 * count / RATE))
    return np.fft.irfft(spectrum / frequency ** rng.uniform(0, 1), count)


def hum(count: int, rng: np.random.Generator) -> np.ndarray:  # -> [count]
    """Of the mains: a few harmonics."""
    time = np.arange(count) / RATE
    base = rng.choice([50, 60, 100, 120]) * rng.uniform(.98, 1.02)
    out = np.zeros(count)
    for k in range(1, int(rng.integers(2, 9))):
        out += rng.random() / k * np.sin(2 * np.pi * (k * base * time + rng.random()))
    return out


def music(count: int, rng: np.random.Generator) -> np.ndarray:  # -> [count]
    """Chords with attack and decay, and some drums."""
    out, at = np.zeros(count), 0
    beat, root, bright = int(RATE * rng.uniform(.2, .8)), 110 * 2 ** (rng.integers(0, 12) / 12), rng.uniform(.8, 2)
    while at < count:
        size = min(int(beat * rng.choice([1, 1, 2, 4])), count - at)
        out[at:at + size] += _chord(size, root, bright, rng)
        if rng.random() < .4:
            hit = min(1600, size)
            out[at:at + hit] += rng.standard_normal(hit) * np.exp(-np.arange(hit) / 300) * 2
        at += size
    return out


def _chord(size: int, root: float, bright: float, rng: np.random.Generator) -> np.ndarray:  # -> [size]
    time, out = np.arange(size) / RATE, np.zeros(size)
    envelope = np.exp(-time * rng.uniform(.3, 5)) * np.minimum(1, time / rng.uniform(.004, .08))
    for note in rng.choice(_SCALE, 3, replace=False):
        base = root * 2 ** (note / 12 + rng.integers(0, 3))
        trembling = 1 + .004 * np.sin(2 * np.pi * 5 * time) * float(rng.random() < .4)
        for k in range(1, 7):
            if base * k < _NYQUIST:
                out += envelope * np.sin(2 * np.pi * base * k * trembling * time) / k ** bright
    return out


def breath(count: int, rng: np.random.Generator) -> np.ndarray:  # -> [count]
    """Filtered noise that swells and dies away, every few seconds."""
    out = np.zeros(count)
    for _ in range(max(1, int(count / RATE / 3))):
        at = int(rng.integers(0, max(1, count - RATE // 2)))
        size = min(int(RATE * rng.uniform(.2, .6)), count - at)
        low = rng.uniform(300, 1500)
        swell = np.sin(np.pi * np.arange(size) / max(size, 1)) ** 2
        out[at:at + size] += _filtered(rng.standard_normal(size), "bandpass", (low, low * rng.uniform(2, 6)), 2) * swell
    return out


SOUNDS: tuple[Callable[[int, np.random.Generator], np.ndarray], ...] = (noise, noise, hum, music, breath)


def nobody(seconds: float, rng: np.random.Generator) -> np.ndarray:  # -> float32 [N]
    """Sound in which nobody speaks: noise, hum, music and breath, one or two at a time, at any level."""
    out, at = np.zeros(round(seconds * RATE), np.float32), 0
    while at < len(out):
        size = min(len(out) - at, int(RATE * rng.uniform(*SOUND)))
        made = np.sum([SOUNDS[int(rng.integers(len(SOUNDS)))](size, rng) for _ in range(int(rng.integers(1, 3)))], axis=0)
        out[at:at + size] = np.clip(made / rms(made) * level(rng.uniform(*QUIET)), -1, 1)
        at += size
    return out


# --------------------------------------------------------------------------------------------------------- a voice damaged

def _filtered(samples: np.ndarray, kind: _Filter, hertz: float | tuple[float, float], order: int) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(order, np.minimum(hertz, _NYQUIST), kind, fs=RATE, output="sos"), samples))


def room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With the echoes of a room that dies away within 0.1 to 0.7 s."""
    from scipy.signal import fftconvolve

    size = int(RATE * rng.uniform(.1, .7))
    answer = rng.standard_normal(size) * np.exp(-6.9 * np.arange(size) / size)
    answer[:RATE // 500] = 0
    answer *= level(rng.uniform(-16, -3)) / np.sqrt(np.square(answer).sum())
    answer[0] = 1
    return np.asarray(fftconvolve(samples, answer))[:len(samples)]


def band(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As over a telephone, muffled or thin; and tilted."""
    from scipy.signal import lfilter

    kind = rng.random()
    if kind < .35:
        samples = _filtered(samples, "bandpass", (rng.uniform(80, 350), rng.uniform(3000, 4000)), 4)
    elif kind < .6:
        samples = _filtered(samples, "lowpass", rng.uniform(4000, 7500), 4)
    elif kind < .8:
        samples = _filtered(samples, "highpass", rng.uniform(60, 250), 2)
    return np.asarray(lfilter([1, rng.uniform(-.6, .6)], [1], samples))


def squashed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compressed: quiet parts louder."""
    peak, strength = float(np.abs(samples).max(initial=0)) + 1e-9, rng.uniform(1, 30)
    return np.sign(samples) * np.log1p(strength * np.abs(samples) / peak) / np.log1p(strength) * peak


def damaged(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # [N] -> float32 [N]
    """One piece of some seconds: always at another level and with faint noise, sometimes compressed, in a room, filtered, or with
    a sound under it."""
    made = np.asarray(samples, np.float64)
    for change, probability in ((squashed, SQUASHED), (room, ROOM), (band, BAND)):
        made = change(made, rng) if rng.random() < probability else made
    loud = loudness(made) if rms(made) > 1e-5 else .05
    if rng.random() < NOISY:
        under = SOUNDS[int(rng.integers(len(SOUNDS)))](len(made), rng)
        made = made + under / rms(under) * loud / level(rng.uniform(*SNR))
    made = made / max(loudness(made), 1e-3) * level(rng.uniform(*LEVELS))
    return np.clip(made + rng.standard_normal(len(made)) * level(rng.uniform(-110, -70)), -1, 1).astype(np.float32)


def damaged_in_parts(samples: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:  # [N] -> float32 [N]
    """Long audio of which about this fraction is damaged, some seconds at a time, each in its own way."""
    out, at = np.array(samples, np.float32), 0
    while at < len(out):
        end = min(len(out), at + int(RATE * PIECE * rng.uniform(.6, 1.4)))
        if rng.random() < fraction:
            out[at:end] = damaged(out[at:end], rng)
        at = end
    return out
