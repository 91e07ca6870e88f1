"""Several channels of audio become one, whatever order they stand in: ComfyUI's AUDIO does not say.

1. Silent channels do not count: those more than 40 dB below the loudest. One speaking channel of eight keeps its level.
2. In audio of six or eight channels the fourth, where videos have their bass effects (LFE), does not count when it holds bass
   alone.
3. The others' mean is taken. Ordinary stereo is exactly the mean of its two channels.
4. Where channels cancel one another in that mean (a microphone wired the wrong way round), those that move against the loudest
   are turned over first.

The decision is made for the whole audio, so that no channel comes and goes within it.
"""
from __future__ import annotations

import numpy as np

_AUDIBLE = 1e-4  # of the loudest channel's power: 40 dB
_CANCELLED = 0.2  # of the power that the mean of unrelated channels has
_BASS = 250.0  # Hz; effects end at 120, and speech's power lies above
_EFFECTS = 3  # index of that channel ...
_WITH_EFFECTS = (6, 8)  # ... in 5.1 and 7.1


def mono(waveform: np.ndarray, rate: int) -> np.ndarray:  # float32 [C, N], Hz -> [N]
    """One channel by the rules above; of a single channel itself."""
    if len(waveform) == 1:
        return waveform[0]
    counting = speaking(waveform, rate)
    if len(counting) == 1:
        return waveform[counting[0]]
    chosen = waveform if len(counting) == len(waveform) else waveform[counting]
    mean = chosen.mean(axis=0, dtype=np.float32)
    against = inverted(chosen, mean)
    return np.where(against[:, None], -chosen, chosen).mean(axis=0, dtype=np.float32) if against.any() else mean


def inverted(waveform: np.ndarray, mean: np.ndarray) -> np.ndarray:  # float32 [C, N], [N] -> bool [C]
    """The channels that move against the loudest, where they would cancel one another in the mean; else none."""
    power = _powers(waveform)
    if float(np.vdot(mean, mean)) * len(waveform) ** 2 >= _CANCELLED * power.sum():
        return np.zeros(len(waveform), bool)
    loudest = waveform[power.argmax()]
    return np.array([np.vdot(channel, loudest) < 0 for channel in waveform])


def speaking(waveform: np.ndarray, rate: int) -> np.ndarray:  # float32 [C, N], Hz -> int [K], 1 <= K <= C
    """Numbers of the channels that count; all of audio that is silent altogether."""
    power = _powers(waveform)
    heard = power >= _AUDIBLE * power.max()
    rest = heard.copy()
    rest[_EFFECTS:_EFFECTS + 1] = False
    if len(waveform) in _WITH_EFFECTS and heard[_EFFECTS] and rest.any() and _is_bass(waveform[_EFFECTS], rate):
        heard = rest
    return np.flatnonzero(heard)


def _powers(waveform: np.ndarray) -> np.ndarray:  # float32 [C, N] -> float64 [C]
    """Sum of squares a channel."""
    return np.array([float(np.vdot(channel, channel)) for channel in waveform])


def _is_bass(channel: np.ndarray, rate: int) -> bool:  # float32 [N]
    """Whether the power lies low: by the channel's slope, whose power is that of every frequency times (2 pi f / rate)^2."""
    slope = np.diff(channel)
    return float(np.vdot(slope, slope)) <= (2 * np.pi * _BASS / rate) ** 2 * float(np.vdot(channel, channel))
