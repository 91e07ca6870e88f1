"""Every speech encoder by its id: facts only, no weights. A new one is one file and one name in `encoders`."""
from __future__ import annotations

from ..errors import TalkingHeadsError
from . import hubert, mel
from .encoder import SpeechEncoder

# What ComfyUI's own audio encoders give (nodes "Load Audio Encoder", "Audio Encoder Encode"); see audio_encoder_output.py.
_CORE = "from ComfyUI's Audio Encoder Encode"
CORE_ENCODERS = (
    SpeechEncoder("wav2vec2-base", 768, 50.0, 2, None, f"wav2vec 2.0 base, 768 numbers at 50 Hz, {_CORE}", None),
    SpeechEncoder("wav2vec2-large", 1024, 50.0, 2, None, f"wav2vec 2.0 large, 1024 numbers at 50 Hz, {_CORE}", None),
    SpeechEncoder("whisper-large-v3", 1280, 50.0, 2, None, f"Whisper large v3, 1280 numbers at 50 Hz, {_CORE}", None),
)


def encoders() -> dict[str, SpeechEncoder]:
    """Every known encoder by id, in menu order. Other models of their kinds carry ids of their own and are not listed."""
    return {encoder.id: encoder for encoder in (mel.ENCODER, hubert.ENCODER, *CORE_ENCODERS)}


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


def weightless_encoder(id: str) -> SpeechEncoder:
    """The encoder called `id`, which needs nothing but the sound.

    Raises:
        TalkingHeadsError: no encoder has that id, or it needs a model's weights.
    """
    encoder = get_encoder(id)
    if encoder.encode is None:
        able = ", ".join(name for name, one in encoders().items() if one.encode is not None)
        raise TalkingHeadsError(f"An encoder chosen by its name alone must need no weights: {able}",
                                f"'{id}' ({encoder.description})",
                                "Load its model first (HubertEncoder.load, or the node Encode Speech with a model folder)")
    return encoder
