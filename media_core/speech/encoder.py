"""What a speech encoder is once it is open, and the two ways a file of this folder can offer one.

    ENCODER = PlainEncoder(EncoderFacts(...), features)                        it needs nothing but the audio (mel.py)
    ENCODER = FolderEncoder(EncoderFacts(...), load, model_type="hubert")      it needs a model folder (hubert.py), or a file

Features that exist already are encoders too (stored.py), and so are several side by side (joined.py) and ComfyUI's own models
(core_encoder.py).
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..audio import Sound
from ..errors import TalkingHeadsError
from ..progress import Report, silent
from .facts import LAST, EncoderFacts
from .features import Speech
from .hearing import heard
from .silence import ATTACK, RELEASE, silent_rows

Features = Callable[[np.ndarray, Report], np.ndarray]  # mono float32 [N] at 16 kHz, report -> float32 [T, C], T >= 1


class SpeechEncoder(Protocol):
    """An encoder that is ready to encode."""

    @property
    def facts(self) -> EncoderFacts:
        """Its id, size and rate."""
        ...

    @property
    def layer(self) -> str:
        """The layer its features come from, "last" for its own output."""
        ...

    @property
    def silence_features(self) -> torch.Tensor | None:  # float32 [C]
        """What it makes of digital silence; None where `facts.silence` says it, or where nobody asked the model."""
        ...

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """The features of audio of any rate, length and number of channels; `report` is called after each part, may cancel."""
        ...


class LoadedEncoder(SpeechEncoder, Protocol):
    """An encoder with weights."""

    @property
    def model(self) -> nn.Module:
        """Its network, for hosts that move weights between devices."""
        ...


class LayerError(TalkingHeadsError):
    """The encoder has no such layer."""


class RecordedEncoder(ABC):
    """An encoder whose features depend on which recording it hears, not on the audio alone."""

    @abstractmethod
    def of_recording(self, path: Path, seconds: float | None, start: float) -> SpeechEncoder:
        """See `of_recording`."""


def of_recording(encoder: SpeechEncoder, path: Path, seconds: float | None = None, start: float = 0.0) -> SpeechEncoder:
    """The encoder for one recording. Where features are stored, those of that file; else `encoder` itself.

    Args:
        path: the audio or video file. seconds: its length; None: not known.
        start: s, where the audio begins that will be encoded.
    Raises:
        TalkingHeadsError: no features of that recording, or of another length.
    """
    return encoder.of_recording(path, seconds, start) if isinstance(encoder, RecordedEncoder) else encoder


def models_of(encoder: SpeechEncoder) -> Sequence[nn.Module]:
    """The networks of an encoder, for hosts that move weights between devices."""
    parts = getattr(encoder, "parts", None)
    if parts is not None:
        return [model for part in parts for model in models_of(part)]
    model = getattr(encoder, "model", None)
    return [model] if isinstance(model, nn.Module) else []


def full_name(encoder: SpeechEncoder) -> str:
    """What features depend on, in a word: the encoder's id, and its layer unless that is the last."""
    return encoder.facts.id if encoder.layer == LAST else f"{encoder.facts.id} layer {encoder.layer}"


def encoded(encoder: SpeechEncoder, features: Features, sound: Sound, report: Report = silent) -> Speech:
    """The features of `sound` and where nobody speaks (`silence.silent_rows`), with all that the encoder says of itself.

    Args:
        features: computes the rows.
    Raises:
        TalkingHeadsError: they are not what the encoder says of itself, or not finite.
    """
    facts, mono = encoder.facts, heard(sound, encoder.facts)
    rows = np.asarray(features(mono, report), np.float32)
    bad = rows.ndim == 2 and int(rows.size - np.count_nonzero(np.isfinite(rows)))
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != facts.dim or bad:
        raise TalkingHeadsError(f"The speech encoder '{facts.id}' must give rows of {facts.dim} finite numbers",
                                f"{list(rows.shape)}" + (f", {bad} of them NaN or infinite" if bad else ""),
                                "Choose another encoder, or correct this one")
    silence, quiet = torch.from_numpy(silent_rows(mono, facts.rate, len(rows))), encoder.silence_features
    return Speech(torch.from_numpy(rows), rate=facts.rate, encoder=facts.id, duration=sound.duration, silence=silence,
                  layer=encoder.layer, silence_features=None if quiet is None else quiet.clone(), room=(ATTACK, RELEASE))


@dataclass(frozen=True)
class PlainEncoder:
    """An encoder without weights: always open."""

    facts: EncoderFacts
    features: Features
    layer: str = LAST
    silence_features: torch.Tensor | None = None

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """See `SpeechEncoder.encode`."""
        return encoded(self, self.features, sound, report)


class Load(Protocol):
    """Opens a model folder (or file).

    Raises:
        LayerError: it has no such layer.
        TalkingHeadsError: it holds no such model.
    """

    def __call__(self, folder: Path, device: str | torch.device, layer: str | int, dtype: torch.dtype) -> LoadedEncoder: ...


@dataclass(frozen=True)
class FolderEncoder:
    """An encoder whose weights are in a model folder as Hugging Face lays it out, or in a file."""

    facts: EncoderFacts  # of the model that is meant where none is named
    load: Load
    model_type: str  # "model_type" in config.json of the folders it opens
    has_file: Callable[[Path], Path | None] | None = None  # the file of weights at a path (that file, or a folder); None: not its
