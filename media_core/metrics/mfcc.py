"""Mel cepstra as SyncNet reads them: python_speech_features' `mfcc` with its defaults, on 16-bit samples at 16 kHz.

13 numbers at 100 Hz: pre-emphasis .97, 25 ms without a window, 512-point power spectrum, 26 triangles of unit height on the mel
scale 2595 log10(1 + f / 700), logarithm, orthonormal DCT-II, sinusoidal lifter of 22, and in place of the first one the logarithm
of the frame's energy.
"""
from __future__ import annotations

from functools import lru_cache

import numpy as np

RATE = 16000  # Hz
STEP, WINDOW, N_FFT = 160, 400, 512  # samples
FILTERS, CEPSTRA, LIFTER = 26, 13, 22
_ROWS = 2000  # computed at once: memory, not values
_LEAST = np.finfo(np.float64).eps


def mfcc(mono: np.ndarray) -> np.ndarray:  # float [N] in -1..1 -> float64 [T, 13], T = 1 + ceil((N - 400) / 160)
    """The cepstra of audio at 16 kHz; what lies behind its end is silence."""
    samples = np.trunc(np.clip(np.asarray(mono, np.float64) * 32768, -32768, 32767))
    emphasised = np.concatenate([samples[:1], samples[1:] - 0.97 * samples[:-1]])
    count = 1 + max(0, -(-(len(samples) - WINDOW) // STEP))
    padded = np.pad(emphasised, (0, max(0, (count - 1) * STEP + WINDOW - len(emphasised))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]
    return np.concatenate([_cepstra(frames[at:at + _ROWS]) for at in range(0, count, _ROWS)])


def _cepstra(frames: np.ndarray) -> np.ndarray:  # [T, 400] -> [T, 13]
    from scipy.fft import dct

    power = np.abs(np.fft.rfft(frames, N_FFT)) ** 2 / N_FFT
    energy, bands = power.sum(1), power @ mel_triangles().T
    energy, bands = (np.where(x == 0, _LEAST, x) for x in (energy, bands))
    cepstra = np.asarray(dct(np.log(bands), type=2, axis=1, norm="ortho"))[:, :CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra[:, 0] = np.log(energy)
    return cepstra


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:  # float64 [26, 257]
    """Triangles between whole bins of the spectrum, of height 1."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    edges = np.floor((N_FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE)
    bins = np.arange(N_FFT // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.where((bins >= low) & (bins < middle), rising, np.where((bins >= middle) & (bins < high), falling, 0.0))
