"""Audio to the features that drive an avatar or a portrait."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core import encoder_registry
from . import bridge, sockets

if TYPE_CHECKING:
    from ..media_core.speech import SpeechEncoder

ENCODERS = list(encoder_registry.ENCODERS)
# media_core.speech.audio_encoder_output, spelled out so that registering the pack imports no model code
CORE_ENCODERS = ["auto", "wav2vec2-base", "wav2vec2-large", "hubert-large-ls960-ft", "whisper-large-v3"]
PRECISIONS = ["fp32", "bf16"]
BORDERS = ["overlapping", "published"]
NO_FOLDER = "none"
PLACES = {"hubert": "hubert-large-ls960-ft (config.json, model.safetensors)", "ave": "AVE's weights as .safetensors (Import AVE)",
          "wav2vec2": "a wav2vec 2.0 model (config.json, model.safetensors)"}


class EncodeSpeech(io.ComfyNode):
    """AUDIO to TH_SPEECH."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_EncodeSpeech",
            display_name="Encode Speech",
            category="Talking Heads/Speech",
            description="Turns audio into the features that drive a talking head. Any length, sample rate and number of "
                        "channels.",
            search_aliases=["audio features", "mel", "hubert", "lip sync", "talking head audio"],
            inputs=[
                io.Audio.Input("audio",
                               tooltip="Speech. Any sample rate; channels in which somebody speaks are averaged (hubert uses "
                                       "the first of them) and brought to a normal loudness; the first item of a batch is used."),
                io.Combo.Input("encoder", options=ENCODERS, default="mel",
                               tooltip="How the audio is encoded. It must be the encoder that the avatar or AToM was trained "
                                       "with; the demo weights use mel. The others need a model."),
                *hubert_inputs(),
                encoder_input(),
            ],
            outputs=[speech_output(),
                     io.Audio.Output("audio", display_name="audio for video",
                                     tooltip="The same audio for Create Video: unchanged, or converted to a sample rate and "
                                             "channels that video files can hold.")],
        )

    @classmethod
    def fingerprint_inputs(cls, encoder: str = "mel", model_folder: str = NO_FOLDER, **others: Any) -> tuple[str, ...]:
        return folder_stamps(encoder, model_folder)

    @classmethod
    def execute(cls, audio: dict, encoder: str, model_folder: str = NO_FOLDER, layer: int = -1, precision: str = "fp32",
                borders: str = "overlapping", speech_encoder: sockets.LoadedEncoder | None = None) -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.video import encodable

        sound = Sound.from_comfy(audio)
        heard = encodable(sound)
        opened = chosen_encoder(encoder, model_folder, layer, precision, borders, speech_encoder)
        speech = opened.encode(sound, bridge.NodeReport())
        return io.NodeOutput(speech, audio if heard is sound else heard.to_comfy())


class SpeechFromAudioEncoder(io.ComfyNode):
    """AUDIO_ENCODER_OUTPUT to TH_SPEECH."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SpeechFromAudioEncoder",
            display_name="Speech from Audio Encoder",
            category="Talking Heads/Speech",
            description="Uses the features of ComfyUI's own Audio Encoder Encode (wav2vec 2.0, Whisper, HuBERT) as speech for a "
                        "talking head that was trained on them.",
            search_aliases=["wav2vec2", "whisper", "hubert", "audio encoder output", "speech features"],
            inputs=[
                sockets.AudioEncoderOutput.Input("audio_encoder_output", tooltip="The output of Audio Encoder Encode."),
                io.Combo.Input("encoder", options=CORE_ENCODERS, default="auto",
                               tooltip="Which model Load Audio Encoder has loaded. auto decides by its size, but mistakes HuBERT "
                                       "large for wav2vec2-large, which has the same size: choose it here."),
                layer_input(),
                io.Audio.Input("audio", optional=True,
                               tooltip="The audio that was encoded: gives the exact length and the silent parts."),
            ],
            outputs=[speech_output()],
        )

    @classmethod
    def execute(cls, audio_encoder_output: Any, encoder: str, layer: int, audio: dict | None = None) -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.speech.audio_encoder_output import speech_from_audio_encoder

        sound = None if audio is None else Sound.from_comfy(audio)
        return io.NodeOutput(speech_from_audio_encoder(audio_encoder_output, encoder=encoder, layer=layer, sound=sound))


def speech_output() -> Any:
    """What every encoding node gives."""
    return sockets.Speech.Output("speech", display_name="speech",
                                 tooltip="Speech features with their rate, the encoder's name, and where the audio is silent.")


def encoder_input() -> Any:
    """An encoder from a node of its own, instead of the one that is chosen."""
    return sockets.SpeechEncoder.Input("speech_encoder", optional=True,
                                       tooltip="Instead of the encoder chosen here: any other, from Load Speech Encoder, Speech "
                                               "Encoder from Audio Encoder, Load Speech Features or Join Speech Encoders.")


def encoder_output() -> Any:
    """What every node that opens an encoder gives."""
    return sockets.SpeechEncoder.Output("speech_encoder", display_name="speech encoder",
                                        tooltip="The encoder, for Encode Speech, Train Avatar, Motion Dataset and Join Speech "
                                                "Encoders.")


def layer_input(**options: Any) -> Any:
    return io.Int.Input("layer", display_name="layer (-1 = last)", default=-1, min=-64, max=64, advanced=True,
                        tooltip="Which layer's output to use: -1 the last, as in the official models; 0 the input of the first "
                                "layer. It must be the layer the model was trained with.", **options)


def hubert_inputs() -> list:
    """What only encoders with weights ask for; all optional, so that older workflows load."""
    return [
        io.Combo.Input("model_folder", options=[NO_FOLDER, *bridge.encoder_folders()], default=NO_FOLDER, optional=True,
                       tooltip="For hubert and wav2vec2: a folder in models/audio_encoders with config.json and "
                               "model.safetensors. For ave: a .safetensors file there (Import AVE makes it)."),
        layer_input(optional=True),
        io.Combo.Input("precision", options=PRECISIONS, default="fp32", optional=True, advanced=True,
                       tooltip="For encoders with weights: bf16 needs half the memory and changes the features slightly."),
        io.Combo.Input("borders", display_name="chunk borders", options=BORDERS, default="overlapping", optional=True,
                       advanced=True,
                       tooltip="For hubert and wav2vec2, beyond 20 s: chunks of the audio overlap, so that no border shows "
                               "(overlapping), or end abruptly, as in the official features (published)."),
    ]


def needs_folder(encoder: str) -> bool:
    """Whether the chosen encoder has weights, which lie in a model folder."""
    from ..media_core.speech import needs_folder as needs

    return needs(encoder)


def folder_stamps(encoder: str, model_folder: str) -> tuple[str, ...]:
    """What changes when a file of the chosen model does; empty where the encoder needs none."""
    there = model_folder in bridge.encoder_folders() and needs_folder(encoder)
    place = bridge.encoder_folder(model_folder) if there else None
    return () if place is None else tuple(map(bridge.stamp, sorted(place.glob("*.*")) if place.is_dir() else [place]))


def chosen_encoder(encoder: str, model_folder: str = NO_FOLDER, layer: int = -1, precision: str = "fp32",
                   borders: str = "overlapping", speech_encoder: sockets.LoadedEncoder | None = None) -> SpeechEncoder:
    """The encoder of a node's inputs, open; the weights of one that has any where ComfyUI wants them."""
    return on_device(speech_encoder or loaded_encoder(encoder, model_folder, layer, precision, borders))


def loaded_encoder(encoder: str, model_folder: str, layer: int, precision: str, borders: str) -> sockets.LoadedEncoder:
    """The encoder of those inputs, open."""
    from dataclasses import replace

    import torch

    from ..media_core.speech import HubertEncoder, open_encoder

    if not needs_folder(encoder):
        return wrapped(open_encoder(encoder))
    place = _model_place(encoder, model_folder)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    opened = open_encoder(place, layer=layer, dtype=dtype)
    if isinstance(opened, HubertEncoder) and borders != "overlapping":
        opened = replace(opened, context=0)
    return wrapped(opened)


def wrapped(encoder: SpeechEncoder) -> sockets.LoadedEncoder:
    """An open encoder with model patchers around its networks."""
    from ..media_core.speech import models_of

    return sockets.LoadedEncoder(encoder, tuple(bridge.patched(model) for model in models_of(encoder)))


def on_device(loaded: sockets.LoadedEncoder) -> SpeechEncoder:
    """The encoder ready for work: its networks where ComfyUI wants them."""
    if loaded.patchers:
        mm.load_models_gpu(list(loaded.patchers))
    return loaded.encoder


def _model_place(encoder: str, model_folder: str) -> Path:
    """The model's folder or file.

    Raises:
        TalkingHeadsError: none is chosen, or another encoder's.
    """
    from ..media_core.errors import TalkingHeadsError
    from ..media_core.speech import folder_kind, get_kind

    kind = get_kind(encoder)
    if model_folder == NO_FOLDER:
        raise TalkingHeadsError(f"The encoder {encoder} needs a model folder" + (" or file" if kind.has_file else ""),
                                "none is chosen", f"Put {PLACES.get(encoder, 'its folder')} into models/audio_encoders, press R "
                                "and choose it")
    place = bridge.encoder_folder(model_folder)
    found = folder_kind(place)
    if found is not None and found is not kind:
        raise TalkingHeadsError(f"The model must be one of {encoder}", f"{model_folder} holds one of {found.model_type}",
                                f"Choose another model, or the encoder {found.model_type}")
    return place


NODES = (EncodeSpeech, SpeechFromAudioEncoder)
