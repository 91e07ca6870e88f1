"""A small formant voice: phonemes with times -> speech-like sound. Needs numpy and scipy only; equal to the bit on every call.

It stands in where espeak-ng is absent. It is made for tests and for learning lips from sound, not to be pleasant.
Formants are the usual textbook averages for adult female speakers.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .articulation import DIPHTHONGS, Phoneme, bare, is_stressed

RATE = 22050   # Hz
_HOP = 110     # samples between control points

_VOWELS = {"i:": (310, 2790, 3310), "I": (430, 2480, 3070), "E": (610, 2330, 2990), "a": (860, 2050, 2850),
           "A:": (850, 1220, 2810), "0": (720, 1100, 2800), "O:": (590, 920, 2710),
           "U": (470, 1160, 2680), "u:": (370, 950, 2670), "V": (760, 1400, 2780),
           "3:": (500, 1640, 1960), "@": (550, 1600, 2700)}  # F1 F2 F3 in Hz
_SONORANTS = {"m": (280, 1100, 2300, .35), "n": (280, 1650, 2500, .35), "N": (280, 2100, 2700, .32), "l": (380, 1250, 2800, .5),
              "r": (420, 1300, 1700, .5), "w": (330, 750, 2300, .45), "j": (300, 2500, 3100, .45)}  # F1 F2 F3, loudness
_FRICATIVES = {"s": (4800, 8500, .30, 0), "S": (2400, 6000, .34, 0), "f": (1500, 9000, .08, 0), "T": (1800, 9000, .07, 0),
               "z": (4800, 8500, .18, 1), "Z": (2400, 6000, .20, 1), "v": (1200, 7000, .06, 1), "D": (1500, 7000, .06, 1),
               "h": (800, 5000, .10, 0)}                                                         # noise band Hz, loudness, voiced
_STOPS = {"p": (500, 1800, 0), "b": (500, 1800, 1), "t": (3000, 7500, 0), "d": (3000, 7500, 1), "k": (1500, 3200, 0),
          "g": (1500, 3200, 1), "tS": (2400, 6000, 0), "dZ": (2400, 6000, 1)}                    # burst band Hz, voiced
_RESONANCES = (80, 110, 160, 250)   # bandwidths of F1..F4, Hz
_F4 = 3800.0


@dataclass
class _Controls:
    """What the voice does at each control point (every `_HOP` samples)."""
    formants: np.ndarray   # [T, 3] Hz
    voice: np.ndarray      # [T] 0..1
    noise: np.ndarray      # [T] 0..1
    pitch: np.ndarray      # [T] Hz
    band: np.ndarray       # [T, 2] Hz, integers


def sing(phonemes: Sequence[Phoneme], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """The sound of the phonemes, float32 [round(seconds * RATE)], peak 0.8."""
    samples = int(round(seconds * RATE))
    controls = _plan(phonemes, samples, rng)
    voiced = _resonate(_glottis(controls, samples, rng), controls)
    rustle = _rustle(controls, rng.normal(0, 1, samples))
    mix = voiced / (np.abs(voiced).max() + 1e-9) * .7 + rustle * .5
    return (mix / max(1e-9, np.abs(mix).max()) * .8).astype(np.float32)


def _plan(phonemes: Sequence[Phoneme], samples: int, rng: np.random.Generator) -> _Controls:
    count = samples // _HOP + 1
    time = np.arange(count) * _HOP / RATE
    c = _Controls(formants=np.zeros((count, 3)) + (500, 1500, 2600), voice=np.zeros(count), noise=np.zeros(count),
                  pitch=np.full(count, 200.0), band=np.zeros((count, 2), int) + (2000, 6000))
    base = 205.0
    for name, start, end in phonemes:
        here = (time >= start) & (time < end)
        base = base * .996 + 195 * .004 + rng.normal(0, .6)
        c.pitch[here] = base * (1.1 if is_stressed(name) else 1) * (1 + .02 * np.sin(2 * np.pi * 5 * time[here]))
        _shape(c, here, (time[here] - start) / (end - start), bare(name), is_stressed(name))
    return _Controls(formants=_smooth(c.formants, 5), voice=_smooth(c.voice, 3), noise=_smooth(c.noise, 2),
                     pitch=_smooth(c.pitch, 8), band=c.band)


def _shape(c: _Controls, here: np.ndarray, phase: np.ndarray, key: str, stressed: bool) -> None:
    if key in DIPHTHONGS:
        first, second = (np.array(_VOWELS.get(v, _VOWELS["@"])) for v in DIPHTHONGS[key])
        mix = np.clip((phase - .25) / .5, 0, 1)[:, None]
        c.formants[here], c.voice[here] = first * (1 - mix) + second * mix, .8
    elif key in _VOWELS:
        c.formants[here], c.voice[here] = _VOWELS[key], .9 if stressed else .7
    elif key in _SONORANTS:
        c.formants[here], c.voice[here] = _SONORANTS[key][:3], _SONORANTS[key][3]
    elif key in _FRICATIVES:
        low, high, loud, voiced = _FRICATIVES[key]
        c.band[here], c.noise[here], c.voice[here], c.formants[here] = (low, high), loud, .22 * voiced, (350, 1500, 2600)
    elif key in _STOPS:
        low, high, voiced = _STOPS[key]
        burst = .45 if key in ("tS", "dZ") else .66
        c.band[here], c.formants[here] = (low, high), (300, 1500, 2600)
        c.noise[here], c.voice[here] = np.where(phase > burst, .30, 0), np.where(phase < .66, .06 * voiced, 0)


def _smooth(curve: np.ndarray, width: int) -> np.ndarray:
    window = np.hanning(2 * width + 1) / np.hanning(2 * width + 1).sum()
    padded = np.pad(curve, [(width, width)] + [(0, 0)] * (curve.ndim - 1), mode="edge")
    return sum((w * padded[i:i + len(curve)] for i, w in enumerate(window)), start=np.zeros(curve.shape))


def _stretch(curve: np.ndarray, samples: int) -> np.ndarray:
    return np.interp(np.arange(samples), np.arange(len(curve)) * _HOP, curve)


def _glottis(c: _Controls, samples: int, rng: np.random.Generator) -> np.ndarray:
    cycle = np.cumsum(_stretch(c.pitch, samples) / RATE) % 1.0
    pulse = np.where(cycle < .6, np.sin(np.pi * cycle / .6) ** 2, 0)
    return (np.diff(pulse, prepend=0) * 6 + rng.normal(0, .01, samples)) * _stretch(c.voice, samples)


def _resonate(source: np.ndarray, c: _Controls) -> np.ndarray:
    from scipy.signal import lfilter
    out = np.zeros_like(source)
    memory = [np.zeros(2) for _ in _RESONANCES]
    for i, formants in enumerate(c.formants):
        piece = source[i * _HOP:(i + 1) * _HOP]
        if not len(piece):
            break
        for j, (frequency, width) in enumerate(zip((*formants, _F4), _RESONANCES)):
            r = np.exp(-np.pi * width / RATE)
            k = 2 * r * np.cos(2 * np.pi * frequency / RATE)
            piece, memory[j] = lfilter([1 - k + r * r], [1, -k, r * r], piece, zi=memory[j])
        out[i * _HOP:(i + 1) * _HOP] = piece
    return out


def _rustle(c: _Controls, noise: np.ndarray) -> np.ndarray:
    from scipy.signal import butter, sosfilt
    out = np.zeros_like(noise)
    for low, high in sorted(set(map(tuple, c.band.tolist()))):
        loud = _stretch(((c.band[:, 0] == low) & (c.band[:, 1] == high)) * c.noise, len(noise))
        if loud.max() > 0:
            out += sosfilt(butter(4, [low, min(high, RATE / 2 - 200)], "band", fs=RATE, output="sos"), noise) * loud
    return out
