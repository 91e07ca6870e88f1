"""Several channels of audio become one, whatever order they stand in: ComfyUI's AUDIO does not say.

1. Silent channels do not count: those more than 40 dB below the loudest. One speaking channel of eight keeps its level.
2. In audio of six or eight channels the fourth, where videos have their bass effects (LFE), does not count when it holds bass
   alone.
3. The others' mean is taken. Ordinary stereo is exactly the mean of its two channels.
4. Where channels cancel one another in that mean (a microphone wired the wrong way round), those that move against the loudest
   are turned over first.

The decision is made for the whole audio, so that no channel comes and goes within it; the audio itself may come in pieces.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .blocks import blocks

_AUDIBLE = 1e-4  # of the loudest channel's power: 40 dB
_CANCELLED = 0.2  # of the power that the mean of unrelated channels has
_BASS = 250.0  # Hz; effects end at 120, and speech's power lies above
_EFFECTS = 3  # index of that channel ...
_WITH_EFFECTS = (6, 8)  # ... in 5.1 and 7.1
_PIECE = 1 << 18  # samples that are looked at together


class Mix(NamedTuple):
    """How several channels become one."""

    channels: np.ndarray  # int64 [K], 1 <= K <= C, those that count
    against: np.ndarray  # bool [K], those that are turned over

    def of(self, part: np.ndarray) -> np.ndarray:  # float32 [C, n] -> [n]
        """One channel of some of the audio; of a single channel itself."""
        if len(self.channels) == 1:
            return part[self.channels[0]]
        chosen = part if len(self.channels) == len(part) else part[self.channels]
        chosen = np.where(self.against[:, None], -chosen, chosen) if self.against.any() else chosen
        return chosen.mean(axis=0, dtype=np.float32)


def mono(waveform: np.ndarray, rate: int) -> np.ndarray:  # float32 [C, N], Hz -> [N]
    """One channel by the rules above."""
    return waveform[0] if len(waveform) == 1 else mix_of(_pieces(waveform), rate).of(waveform)


def speaking(waveform: np.ndarray, rate: int) -> np.ndarray:  # float32 [C, N], Hz -> int [K], 1 <= K <= C
    """Numbers of the channels that count; all of audio that is silent altogether."""
    return mix_of(_pieces(waveform), rate).channels


def inverted(waveform: np.ndarray) -> np.ndarray:  # float32 [C, N] -> bool [C]
    """The channels that move against the loudest, where all would cancel one another in their mean; else none."""
    return _against(sum((_products(piece) for piece in _pieces(waveform)), np.zeros((1, 1))))


def mix_of(pieces: Iterable[np.ndarray], rate: int) -> Mix:  # float32 [C, n] each, Hz
    """The decision for audio in pieces."""
    products, slopes, last = np.zeros((1, 1)), 0.0, np.zeros((1, 0), np.float32)
    for piece in pieces:
        if len(piece) == 1:
            return Mix(np.zeros(1, np.int64), np.zeros(1, bool))
        products = products + _products(piece)
        slope = np.diff(np.concatenate([last, piece[_EFFECTS:_EFFECTS + 1]], axis=1)) if len(piece) in _WITH_EFFECTS else last
        slopes, last = slopes + float(np.vdot(slope, slope)), piece[_EFFECTS:_EFFECTS + 1, -1:] if slope is not last else last
    power = products.diagonal()
    bass = len(power) in _WITH_EFFECTS and slopes <= (2 * np.pi * _BASS / rate) ** 2 * power[_EFFECTS]
    chosen = _counting(power, bass)
    return Mix(chosen, _against(products[np.ix_(chosen, chosen)]))


def _against(products: np.ndarray) -> np.ndarray:  # float64 [C, C] -> bool [C]
    """See `inverted`."""
    cancelled = products.sum() < _CANCELLED * products.trace()
    return products[products.diagonal().argmax()] < 0 if cancelled else np.zeros(len(products), bool)


def _pieces(waveform: np.ndarray) -> Iterable[np.ndarray]:
    return (waveform[:, piece] for piece in blocks(waveform.shape[1], _PIECE))


def _products(piece: np.ndarray) -> np.ndarray:  # float32 [C, n] -> float64 [C, C]
    """Of every two channels, summed over the samples."""
    return np.array([[float(np.vdot(one, other)) for other in piece] for one in piece])


def _counting(power: np.ndarray, bass: bool) -> np.ndarray:  # float64 [C] -> int [K]
    """The channels that count.

    Args:
        bass: the channel of effects holds bass alone: its power lies low, by its slope, whose power is that of every frequency
            times (2 pi f / rate)^2.
    """
    heard = power >= _AUDIBLE * power.max()
    rest = heard.copy()
    rest[_EFFECTS:_EFFECTS + 1] = False
    return np.flatnonzero(rest if bass and heard[_EFFECTS] and rest.any() else heard)
