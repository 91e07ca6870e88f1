"""Speech as a model reads it: the registry of encoders, and `Speech`, the features of one sound.

A new encoder is one file that ends in `ENCODER = SpeechEncoder(...)` and one name in `_MODULES`.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..audio import FPS, Sound, frame_count, silence_gate
from ..errors import TalkingHeadsError
from ..files import load_tensors, save_tensors
from ..progress import Report, silent
from . import mel
from .encoder import SAMPLE_RATE, SpeechEncoder

__all__ = ["SAMPLE_RATE", "Speech", "SpeechEncoder", "encode_speech", "encoders", "get_encoder"]

VERSION = 1
_MODULES = (mel,)


def encoders() -> dict[str, SpeechEncoder]:
    """Every encoder by id, in menu order."""
    return {module.ENCODER.id: module.ENCODER for module in _MODULES}


def get_encoder(id: str) -> SpeechEncoder:
    """The encoder called `id`.

    Raises:
        TalkingHeadsError: no encoder has that id.
    """
    known = encoders()
    if id not in known:
        raise TalkingHeadsError(f"The speech encoder must be one of {', '.join(known)}", f"'{id}'",
                                "Choose one of those, or update Talking Heads")
    return known[id]


@dataclass(frozen=True)
class Speech:
    """The features of one sound; row k stands at k / rate seconds."""

    features: torch.Tensor  # float32 [T, C]
    rate: float  # Hz, rows a second
    encoder: str  # id of the encoder that made them
    duration: float  # s, of the sound (not of the rows)
    silence: torch.Tensor  # bool [T], True where nobody speaks
    version: int = VERSION

    def __post_init__(self) -> None:
        rows = self.features.shape[0] if self.features.ndim == 2 else 0
        if not rows or tuple(self.silence.shape) != (rows,):
            raise TalkingHeadsError("Speech must be features [T, C] with one silence flag a row and T >= 1",
                                    f"features {list(self.features.shape)}, silence {list(self.silence.shape)}",
                                    "Encode the sound again")

    def frame_count(self, fps: float = FPS) -> int:
        """Film frames this speech fills: floor(duration * fps + 1/2), at least 1."""
        return frame_count(self.duration, fps)

    def frame_windows(self, fps: float = FPS, start: int = 0, stop: int | None = None) -> torch.Tensor:  # [F, C, W]
        """What a model reads for film frames `start` to `stop` (default: the end): W rows around each frame's middle.

        Frame i takes rows [s, s + W), s = floor((i + 1/2) / fps * rate - W / 2 + 1/2); rows outside the sound hold the encoder's
        silence value. Frames before 0 or behind the end are allowed, so that a model's context needs no special case.
        """
        encoder = get_encoder(self.encoder)
        frames = torch.arange(start, self.frame_count(fps) if stop is None else stop, dtype=torch.float64)
        first = torch.floor((frames + 0.5) / fps * self.rate - encoder.window / 2 + 0.5 + 1e-9).long()
        rows = first[:, None] + torch.arange(encoder.window)  # [F, W]
        inside = (rows >= 0) & (rows < len(self.features))
        windows = self.features[rows.clamp(0, len(self.features) - 1)]  # [F, W, C]
        return windows.masked_fill(~inside[..., None], encoder.silence).transpose(1, 2).contiguous()

    def silent_frames(self, fps: float = FPS) -> torch.Tensor:  # bool [F]
        """Per film frame: True when every row between the frame's start and end is silent."""
        edges = torch.arange(self.frame_count(fps) + 1, dtype=torch.float64) / fps * self.rate
        first = edges[:-1].floor().long().clamp(0, len(self.silence) - 1)
        last = edges[1:].ceil().long().clamp(1, len(self.silence))
        speaking = torch.cat([torch.zeros(1, dtype=torch.long), (~self.silence).long().cumsum(0)])
        return speaking[torch.maximum(last, first + 1)] == speaking[first]

    def save(self, path: str | os.PathLike) -> Path:
        """Writes one safetensors file of kind "speech"."""
        config = {"rate": self.rate, "encoder": self.encoder, "duration": self.duration}
        tensors = {"features": self.features, "silence": self.silence}
        return save_tensors(path, tensors, kind="speech", version=VERSION, config=config)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Speech:
        """Reads a file of `save`.

        Raises:
            FileFormatError: absent, truncated, not speech, or newer.
        """
        tensors, config = load_tensors(path, kind="speech", version=VERSION)
        return cls(tensors["features"], config["rate"], config["encoder"], config["duration"], tensors["silence"])


def encode_speech(sound: Sound, encoder: str = "mel", report: Report = silent) -> Speech:
    """The features of `sound`, and where it is silent (`audio.silence_gate`).

    Raises:
        TalkingHeadsError: no such encoder.
    """
    chosen = get_encoder(encoder)
    mono = sound.mono(SAMPLE_RATE)
    features = np.asarray(chosen.encode(mono, report), np.float32)
    gate = silence_gate(mono, SAMPLE_RATE, chosen.rate, len(features))
    return Speech(torch.from_numpy(features), chosen.rate, chosen.id, sound.duration, torch.from_numpy(gate))
