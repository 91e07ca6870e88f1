"""Whether somebody speaks: silero-vad's network at 16 kHz in plain torch, one probability every 32 ms.

    voice_probability(mono)                 a whole recording; None where the weights are absent
    stream = VoiceStream(net)               piece by piece, with the same numbers
    stream.feed(samples); stream.finish()

Each chunk of 512 samples is read with the 64 before it: magnitudes of an STFT, four convolutions, then an LSTM from chunk to
chunk. The convolutions of many chunks run at once, since only the LSTM remembers. The weights are those of the package silero-vad
6.2.3 (MIT, weights/LICENSE-silero.txt); with them the probabilities are the package's own to 1e-6.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..blocks import blocks
from ..errors import FileFormatError, TalkingHeadsError
from ..files import load_tensors, save_tensors
from ..tensor_schema import all_finite
from .facts import SAMPLE_RATE

KIND, VERSION = "voice_activity", 1
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "voice_activity.safetensors"
CHUNK = 512  # samples per probability
CONTEXT = 64  # samples before a chunk that are read with it
CHUNK_RATE = SAMPLE_RATE / CHUNK  # probabilities per second
THRESHOLD = 0.5  # a probability from which somebody speaks
BATCH = 1024  # chunks whose convolutions run at once; changes memory, not values
_WINDOW, _HOP, _BINS, _WIDTH = 256, 128, 129, 128
Memory = tuple[Tensor, Tensor]  # the LSTM's h and c, [1, 1, 128] each


class VoiceNet(nn.Module):
    """Chunks to probabilities, in evaluation mode; 309 633 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 2 * _BINS, _WINDOW, _HOP, bias=False)  # windowed cosines, then sines
        self.convolutions = nn.ModuleList([nn.Conv1d(_BINS, 128, 3, 1, 1), nn.Conv1d(128, 64, 3, 2, 1),
                                           nn.Conv1d(64, 64, 3, 2, 1), nn.Conv1d(64, _WIDTH, 3, 1, 1)])
        self.memory = nn.LSTM(_WIDTH, _WIDTH)
        self.out = nn.Conv1d(_WIDTH, 1, 1)

    def forward(self, chunks: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:  # [n, 576] -> [n], memory after it
        x = self.stft(functional.pad(chunks[:, None], (0, CONTEXT), "reflect"))
        x = (x[:, :_BINS].square() + x[:, _BINS:].square()).sqrt()
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        hidden, after = self.memory(x.transpose(1, 2), memory)  # [n, 1, 128]
        return torch.sigmoid(self.out(torch.relu(hidden).transpose(1, 2))).flatten(), after


class VoiceStream:
    """Somebody's audio as it comes, in pieces of any length: the probabilities are those of the whole.

    Args:
        net: on the CPU.
    """

    def __init__(self, net: VoiceNet):
        self.net = net
        self._held = np.zeros(CONTEXT, np.float32)  # the context of the next chunk, and what has come of it
        self._memory: Memory | None = None

    @torch.inference_mode()
    def feed(self, samples: np.ndarray) -> np.ndarray:  # float32 [N] at 16 kHz -> float32 [chunks that are whole now]
        """The probabilities of every chunk that `samples` complete.

        Raises:
            TalkingHeadsError: not one channel of finite floats.
        """
        _check(samples)
        self._held = np.concatenate([self._held, samples.astype(np.float32, copy=False)])
        whole = (len(self._held) - CONTEXT) // CHUNK
        made = [np.zeros(0, np.float32)]
        for first in range(0, whole, BATCH):
            last = min(first + BATCH, whole)
            piece = torch.from_numpy(self._held[first * CHUNK:last * CHUNK + CONTEXT])
            probability, self._memory = self.net(piece.unfold(0, CHUNK + CONTEXT, CHUNK), self._memory)
            made.append(probability.numpy())
        self._held = self._held[whole * CHUNK:].copy()
        return np.concatenate(made)

    def finish(self) -> np.ndarray:  # float32 [0 or 1]
        """The probability of the last chunk if it is not whole, with silence behind it; then begins a new recording."""
        rest = len(self._held) - CONTEXT
        made = self.feed(np.zeros(CHUNK - rest, np.float32)) if rest else np.zeros(0, np.float32)
        self._held, self._memory = np.zeros(CONTEXT, np.float32), None
        return made


def voice_probability(mono: np.ndarray) -> np.ndarray | None:  # float32 [N] at 16 kHz -> float32 [N / 512 rounded up]
    """How likely somebody speaks in each 32 ms, 0..1; None where the pack's weights are absent.

    Raises:
        TalkingHeadsError: not one channel of finite floats.
        FileFormatError: weights that cannot be read.
    """
    _check(mono)
    net = shipped_voice_net()
    if net is None:
        return None
    stream = VoiceStream(net)
    return np.concatenate([*(stream.feed(mono[piece]) for piece in blocks(len(mono), BATCH * CHUNK)), stream.finish()])


@lru_cache(maxsize=1)
def shipped_voice_net() -> VoiceNet | None:
    """The pack's own network, read once; None where its file is absent."""
    return load_voice_net(SHIPPED) if SHIPPED.is_file() else None


def load_voice_net(path: str | os.PathLike = SHIPPED) -> VoiceNet:
    """Reads weights.

    Raises:
        FileFormatError: absent, truncated, of another kind, newer, or other weights inside.
    """
    name, again = Path(path).name, "Install the pack again"
    tensors, _ = load_tensors(path, kind=KIND, version=VERSION)
    all_finite(tensors, name, again)
    net = VoiceNet()
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileFormatError("The voice activity weights must fit this version", f"{name} does not ({error})", again) from error
    return net.eval().requires_grad_(False)


def save_voice_net(net: VoiceNet, path: str | os.PathLike, config: Mapping[str, Any]) -> Path:
    """Writes the weights as they are."""
    return save_tensors(path, net.state_dict(), kind=KIND, version=VERSION, config=config)


def _check(samples: np.ndarray) -> None:
    fits = isinstance(samples, np.ndarray) and samples.ndim == 1 and samples.dtype.kind == "f"
    if not fits or not bool(np.isfinite(samples).all()):
        came = type(samples).__name__ if not isinstance(samples, np.ndarray) else f"{samples.dtype} {list(samples.shape)}" + (
            ", NaN or infinity among them" if fits else "")
        raise TalkingHeadsError(f"Voice activity is found in one channel of finite floats at {SAMPLE_RATE} Hz", came,
                                "Give Sound.mono(16000)")
