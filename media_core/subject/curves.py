"""Small signal shapes shared by the mouth and the head: zero-phase smoothing, and noise that wanders."""
from __future__ import annotations

import numpy as np


def low_pass(curve: np.ndarray, rate: float, cut: float) -> np.ndarray:  # [T, ...] -> [T, ...]
    """Second-order Butterworth, forwards and backwards (no delay). `rate` and `cut` in Hz; cut < rate/2."""
    from scipy.signal import butter, filtfilt
    b, a = np.asarray(butter(2, min(cut / (rate / 2), 0.99)))
    return filtfilt(b, a, curve, axis=0, padlen=min(3 * len(b), len(curve) - 1))


def wander(frames: int, fps: float, memory: float, spread: float, rng: np.random.Generator, cut: float = 1.2) -> np.ndarray:
    """Ornstein-Uhlenbeck noise [frames]: stationary with deviation `spread`, `memory` in seconds, smoothed at `cut` Hz."""
    from scipy.signal import lfilter
    keep = np.exp(-1 / (fps * memory))
    push = rng.normal(0, spread * np.sqrt(1 - keep * keep), frames + int(4 * fps))
    push[0] = 0.0
    return low_pass(np.asarray(lfilter([1.0], [1.0, -keep], push)), fps, cut)[-frames:]


def bump(time: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A Gaussian of height 1."""
    return np.exp(-.5 * ((time - centre) / width) ** 2)


def unit(curve: np.ndarray) -> np.ndarray:
    """Clipped to 0..1."""
    return np.clip(curve, 0, 1)
