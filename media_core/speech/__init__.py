"""Speech as a model reads it: the registry of encoders, and `Speech`, the features of one sound.

An encoder without weights is chosen by its id ("mel"); one with weights is loaded first (`hubert.HubertEncoder.load`) and
handed in as it is. ComfyUI's own audio encoders come in through `audio_encoder_output`.
"""
from __future__ import annotations

import numpy as np
import torch

from ..audio import Sound, silence_gate
from ..progress import Report, silent
from .encoder import LAST, SAMPLE_RATE, SpeechEncoder
from .features import VERSION, Speech
from .hubert import HubertEncoder
from .registry import encoders, get_encoder, weightless_encoder

__all__ = ["LAST", "SAMPLE_RATE", "VERSION", "HubertEncoder", "Speech", "SpeechEncoder", "encode_speech", "encoders",
           "get_encoder", "weightless_encoder"]


def encode_speech(sound: Sound, encoder: str | HubertEncoder = "mel", report: Report = silent) -> Speech:
    """The features of `sound`, and where it is silent (`audio.silence_gate`).

    Args:
        sound: of any rate, length and number of channels.
        encoder: the id of an encoder that needs no weights, or a loaded one.
        report: called after each part; may cancel.
    Raises:
        TalkingHeadsError: no such encoder, or one that needs weights; a loaded one that gives NaN.
    """
    loaded = not isinstance(encoder, str)
    chosen = encoder.facts if loaded else weightless_encoder(encoder)
    mono = chosen.mono(sound)
    features = np.asarray((encoder if loaded else chosen).encode(mono, report), np.float32)
    gate = silence_gate(mono, SAMPLE_RATE, chosen.rate, len(features))
    return Speech(torch.from_numpy(features), chosen.rate, chosen.id, sound.duration, torch.from_numpy(gate),
                  encoder.layer if loaded else LAST, encoder.silence_features if loaded else None)
