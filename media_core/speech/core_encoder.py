"""ComfyUI's own audio encoders (wav2vec 2.0, Whisper, HuBERT in wav2vec's layout) as an encoder of this pack: what Load Audio
Encoder gives is asked for the features of each piece of audio, in training and in use (docs/comfyui.md#core-types).

Core computes a whole recording in one pass, whose memory grows with the square of its length, and Whisper hears 30 s at most.
So audio beyond 30 s is encoded in pieces of 20 s that are given 5 s of what stands before and behind them; up to 30 s the
features are those of Audio Encoder Encode.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from ..audio import Sound
from ..progress import Report, silent
from .audio_encoder_output import AUTO, speech_from_audio_encoder
from .encoder import encoded
from .facts import LAST, SAMPLE_RATE, EncoderFacts
from .features import Speech
from .hubert import FIELD, STRIDE, chunks
from .registry import get_encoder

ONE_PASS = 1500  # rows, 30 s
ROWS, CONTEXT = 1000, 250  # of longer audio: rows of a piece that are kept, rows beside it that are thrown away
_SILENCE = 2.0  # s of digital silence encoded to learn what it looks like, and which model this is


class AudioEncoder(Protocol):
    """What travels through core's socket AUDIO_ENCODER."""

    def encode_audio(self, audio: torch.Tensor, sample_rate: int) -> Mapping[str, Any]:
        """AUDIO_ENCODER_OUTPUT of [B, channels, N] samples."""
        ...


@dataclass(frozen=True, eq=False)
class CoreEncoder:
    """One of core's models, ready to encode."""

    source: AudioEncoder
    encoder: str = AUTO  # id, one of audio_encoder_output.LAYERS; "auto" tells it by its size
    chosen: str | int = LAST  # layer as `speech_from_audio_encoder` takes it

    @cached_property
    def _quiet(self) -> Speech:
        """What the model makes of digital silence."""
        return self._one_pass(np.zeros(round(_SILENCE * SAMPLE_RATE), np.float32))

    @property
    def facts(self) -> EncoderFacts:
        """Of the model; asks it once."""
        return get_encoder(self._quiet.encoder)

    @property
    def layer(self) -> str:
        """As it is written into files."""
        return self._quiet.layer

    @property
    def silence_features(self) -> torch.Tensor:  # float32 [C]
        """The middle row of some silence."""
        rows = self._quiet.features
        return rows[len(rows) // 2].clone()

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """See `SpeechEncoder.encode`."""
        return encoded(self, self.features, sound, report)

    def features(self, mono: np.ndarray, report: Report = silent) -> np.ndarray:  # [N] -> [T, C]
        """The rows of features, 50 per second; `report` is called after each piece and may cancel."""
        total = max(1, (mono.size - FIELD + STRIDE) // STRIDE)
        if total <= ONE_PASS and mono.size <= ONE_PASS * STRIDE:
            rows = self._one_pass(mono).features.numpy()
            report(len(rows), len(rows), {}, None)
            return rows
        made = np.empty((total, self.facts.dim), np.float32)
        for first, last, begin, end in chunks(total, ROWS, CONTEXT):
            piece = mono[begin * STRIDE:min(mono.size, (end - 1) * STRIDE + FIELD, (begin + ONE_PASS) * STRIDE)]
            rows = self._one_pass(piece).features.numpy()
            made[first:last] = rows[np.arange(first - begin, last - begin).clip(max=len(rows) - 1)]
            report(last, total, {}, None)
        return made

    @torch.no_grad()
    def _one_pass(self, mono: np.ndarray) -> Speech:
        padded = np.pad(mono, (0, max(0, FIELD - mono.size)))  # core fails on less than a row needs
        output = self.source.encode_audio(torch.from_numpy(padded.copy())[None, None], SAMPLE_RATE)
        return speech_from_audio_encoder(output, encoder=self.encoder, layer=self.chosen)
