"""Speech as a model reads it: the registry of encoders, and `Speech`, the features of one recording.

    open_encoder("mel").encode(sound)                       an encoder without weights
    open_encoder("models/hubert", layer=9).encode(sound)    one with weights, from its folder

ComfyUI's own audio encoders come in through `audio_encoder_output`.
"""
from __future__ import annotations

from ..audio import Sound
from ..progress import Report, silent
from .encoder import FolderEncoder, LoadedEncoder, PlainEncoder, SpeechEncoder, full_name
from .facts import LAST, SAMPLE_RATE, EncoderFacts, known_facts
from .features import VERSION, Speech
from .hubert import HubertEncoder
from .registry import EncoderChoice, encoders, get_encoder, needs_folder, open_encoder, opened, opens_by_name

__all__ = ["LAST", "SAMPLE_RATE", "VERSION", "EncoderChoice", "EncoderFacts", "FolderEncoder", "HubertEncoder", "LoadedEncoder",
           "PlainEncoder", "Speech", "SpeechEncoder", "encode_speech", "encoders", "full_name", "get_encoder", "known_facts",
           "needs_folder", "open_encoder", "opened", "opens_by_name"]


def encode_speech(sound: Sound, encoder: EncoderChoice = "mel", report: Report = silent) -> Speech:
    """The features of `sound`, and where nobody speaks (`silence.silent_rows`).

    Args:
        sound: of any rate, length and number of channels.
        encoder: an open one, or what `open_encoder` takes.
        report: called after each part; may cancel.
    Raises:
        TalkingHeadsError: no such encoder, one that needs a model folder, or one that gives NaN.
    """
    return opened(encoder).encode(sound, report)
