"""Speech as a model reads it: the registry of encoders, and `Speech`, the features of one recording.

    open_encoder("mel").encode(sound)                       an encoder without weights
    open_encoder("models/hubert", layer=9).encode(sound)    one with weights, from its folder
    open_encoder("mel+models/ave.safetensors")              two side by side
    open_encoder("aud_ds.npy").encode(sound)                features that exist already

ComfyUI's own audio encoders come in through `core_encoder`, what they gave through `audio_encoder_output`.
"""
from __future__ import annotations

from ..audio import Sound
from ..progress import Report, silent
from .encoder import (
    FolderEncoder,
    LayerError,
    LoadedEncoder,
    PlainEncoder,
    SpeechEncoder,
    full_name,
    models_of,
    of_recording,
)
from .facts import LAST, SAMPLE_RATE, EncoderFacts, known_facts
from .features import VERSION, Speech
from .hubert import HubertEncoder
from .joined import JoinedEncoder, joined
from .registry import (
    EncoderChoice,
    encoders,
    folder_kind,
    get_encoder,
    get_kind,
    needs_folder,
    open_encoder,
    opened,
    opens_by_name,
    split_names,
)
from .stored import StoredFeatures, open_stored

__all__ = ["LAST", "SAMPLE_RATE", "VERSION", "EncoderChoice", "EncoderFacts", "FolderEncoder", "HubertEncoder", "JoinedEncoder",
           "LayerError", "LoadedEncoder", "PlainEncoder", "Speech", "SpeechEncoder", "StoredFeatures", "encode_speech",
           "encoders", "folder_kind", "full_name", "get_encoder", "get_kind", "joined", "known_facts", "models_of",
           "needs_folder", "of_recording", "open_encoder", "open_stored", "opened", "opens_by_name", "split_names"]


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
