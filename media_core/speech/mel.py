"""The log-mel spectrogram of the AVE encoder, usable as it stands: language independent, no weights.

Pre-emphasis .97, magnitude STFT (n_fft 800, hop 200, Hann, centred, zero padding), 80 Slaney mel bands from 55 to 7600 Hz, dB,
normalised to -4..4. The STFT runs in torch, a slice of rows at a time, so that ten minutes need no more memory than one.
"""
from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from ..asked import whole
from ..progress import Report, silent
from .encoder import PlainEncoder
from .facts import SAMPLE_RATE, EncoderFacts

N_FFT = 800  # samples, also the window
HOP = 200  # samples
BANDS = 80
LOWEST, HIGHEST = 55.0, 7600.0  # Hz
PRE_EMPHASIS = 0.97
REFERENCE_DB = 20.0  # dB taken off
RANGE_DB = 100.0  # dB under the reference mapped onto -LIMIT..LIMIT
LIMIT = 4.0
ROWS = 400  # rows per slice, 5 s


def mel_spectrogram(mono: np.ndarray, report: Report = silent, rows: int = ROWS) -> np.ndarray:  # [N] -> [N // 200 + 1, 80]
    """Normalised log-mel rows at 80 Hz; row k is centred on sample 200 k.

    Args:
        mono: float32 at 16 kHz, N >= 1.
        report: called after each slice; may cancel.
        rows: rows computed at once; changes memory, not values.
    """
    whole("The rows of a slice", rows, 1)
    total = mono.size // HOP + 1
    out = np.empty((total, BANDS), np.float32)
    for start in range(0, total, rows):
        stop = min(start + rows, total)
        out[start:stop] = _rows(_emphasised(mono, start * HOP - N_FFT // 2, (stop - 1) * HOP + N_FFT // 2))
        report(stop, total, {}, None)
    return out


def _emphasised(mono: np.ndarray, first: int, last: int) -> torch.Tensor:  # [last - first]
    """Samples [first, last) of x[n] - .97 x[n-1], zeros outside the audio."""
    begin, end = max(first, 0), min(last, mono.size)
    previous = mono[max(begin - 1, 0):end - 1] if begin else np.concatenate([np.zeros(1, np.float32), mono[:end - 1]])
    piece = mono[begin:end] - np.float32(PRE_EMPHASIS) * previous
    return torch.from_numpy(np.pad(piece, (begin - first, last - end)))


def _rows(samples: torch.Tensor) -> np.ndarray:  # [(n - 1) * 200 + 800] -> [n, 80]
    spectrum = torch.stft(samples, N_FFT, HOP, window=torch.hann_window(N_FFT), center=False, return_complex=True)
    mel = torch.from_numpy(mel_basis()) @ spectrum.abs()
    level = 20.0 * torch.log10(mel.clamp_min(1e-5)) - REFERENCE_DB
    return (2 * LIMIT * (level + RANGE_DB) / RANGE_DB - LIMIT).clamp(-LIMIT, LIMIT).T.numpy()


class MelStream:
    """The same rows of audio that has yet to come, in pieces of any length: row k is there with sample 200 k + 400. Each row is
    computed alone, so that its bits do not depend on the pieces; from those of `mel_spectrogram` it differs by rounding."""

    width = BANDS

    def __init__(self) -> None:
        self._held = np.zeros(N_FFT // 2, np.float32)  # emphasised samples from 200 k - 400 on, k the next row
        self._last = np.zeros(1, np.float32)
        self._samples = self._rows = 0

    def feed(self, mono: np.ndarray) -> np.ndarray:  # float32 [N] at 16 kHz -> float32 [n, 80]
        """The rows that are whole now."""
        if not len(mono):
            return np.zeros((0, BANDS), np.float32)
        emphasised = mono - np.float32(PRE_EMPHASIS) * np.concatenate([self._last, mono[:-1]])
        self._last, self._samples = mono[-1:].copy(), self._samples + len(mono)
        self._held = np.concatenate([self._held, emphasised])
        return self._take(max(0, (len(self._held) - N_FFT) // HOP + 1))

    def finish(self) -> np.ndarray:  # float32 [n, 80]
        """The last rows, with silence behind the audio."""
        self._held = np.concatenate([self._held, np.zeros(N_FFT, np.float32)])
        return self._take(self._samples // HOP + 1 - self._rows)

    def _take(self, count: int) -> np.ndarray:
        rows = [_rows(torch.from_numpy(self._held[k * HOP:k * HOP + N_FFT].copy())) for k in range(count)]
        self._held, self._rows = self._held[count * HOP:].copy(), self._rows + count
        return np.concatenate([np.zeros((0, BANDS), np.float32), *rows])


@lru_cache(maxsize=1)
def mel_basis() -> np.ndarray:  # float32 [80, 401]
    """Triangles between neighbouring centres, each of area 1 Hz: what librosa.filters.mel gives for these bands.

    Made here, since importing librosa compiles kernels that need a folder to be kept in, which not every machine has.
    """
    centres = _slaney_hertz(np.linspace(_slaney_mel(LOWEST), _slaney_mel(HIGHEST), BANDS + 2))
    widths = np.diff(centres)
    away = centres[:, None] - np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    rising, falling = -away[:-2] / widths[:-1, None], away[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return (filters * (2 / (centres[2:] - centres[:-2]))[:, None]).astype(np.float32)


# M. Slaney, "Auditory Toolbox", Technical Report 1998-010, Interval Research: linear to 1 kHz, above it 27 mel a factor of 6.4
_KNEE, _SLOPE, _STEP = 1000.0, 200 / 3, math.log(6.4) / 27  # Hz, Hz a mel, logarithm a mel


def _slaney_mel(hertz: float) -> float:
    return hertz / _SLOPE if hertz < _KNEE else _KNEE / _SLOPE + math.log(hertz / _KNEE) / _STEP


def _slaney_hertz(mel: np.ndarray) -> np.ndarray:  # [n]
    return np.where(mel < _KNEE / _SLOPE, mel * _SLOPE, _KNEE * np.exp(_STEP * (mel - _KNEE / _SLOPE)))


ENCODER = PlainEncoder(EncoderFacts(
    id="mel", dim=BANDS, rate=SAMPLE_RATE / HOP, window=16, silence=-LIMIT, spectral=True,
    description="Log-mel spectrogram, 80 bands at 80 Hz; no weights, any language"), mel_spectrogram)
