"""Audio to the features that drive an avatar or a portrait."""
from __future__ import annotations

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
                                       "with; the demo weights use mel. hubert needs a model folder."),
                *hubert_inputs(),
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
                borders: str = "overlapping") -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.video import encodable

        sound = Sound.from_comfy(audio)
        heard = encodable(sound)
        speech = chosen_encoder(encoder, model_folder, layer, precision, borders).encode(sound, bridge.NodeReport())
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
                _layer_input(),
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


def _layer_input(**options: Any) -> Any:
    return io.Int.Input("layer", display_name="layer (-1 = last)", default=-1, min=-64, max=64, advanced=True,
                        tooltip="Which layer's output to use: -1 the last, as in the official models; 0 the input of the first "
                                "layer. It must be the layer the model was trained with.", **options)


def hubert_inputs() -> list:
    """What only `hubert` asks for; all optional, so that older workflows load."""
    return [
        io.Combo.Input("model_folder", options=[NO_FOLDER, *bridge.encoder_folders()], default=NO_FOLDER, optional=True,
                       tooltip="For hubert: a folder in models/audio_encoders with config.json and model.safetensors."),
        _layer_input(optional=True),
        io.Combo.Input("precision", options=PRECISIONS, default="fp32", optional=True, advanced=True,
                       tooltip="For hubert: bf16 needs half the memory and changes the features slightly."),
        io.Combo.Input("borders", display_name="chunk borders", options=BORDERS, default="overlapping", optional=True,
                       advanced=True,
                       tooltip="For hubert, beyond 20 s: chunks of the audio overlap, so that their borders do not show "
                               "(overlapping), or end abruptly, as in the official features (published)."),
    ]


def needs_folder(encoder: str) -> bool:
    """Whether the chosen encoder has weights, which lie in a model folder."""
    from ..media_core.speech import needs_folder as needs

    return needs(encoder)


def folder_stamps(encoder: str, model_folder: str) -> tuple[str, ...]:
    """What changes when a file of the chosen model folder does; empty where the encoder needs none."""
    there = model_folder in bridge.encoder_folders() and needs_folder(encoder)
    return tuple(map(bridge.stamp, sorted(bridge.encoder_folder(model_folder).glob("*.*")))) if there else ()


def chosen_encoder(encoder: str, model_folder: str = NO_FOLDER, layer: int = -1, precision: str = "fp32",
                   borders: str = "overlapping") -> SpeechEncoder:
    """The encoder of a node's inputs, open; the weights of one that has any where ComfyUI wants them."""
    from dataclasses import replace

    import torch

    from ..media_core.errors import TalkingHeadsError
    from ..media_core.speech import HubertEncoder, open_encoder

    if not needs_folder(encoder):
        return open_encoder(encoder)
    if model_folder == NO_FOLDER:
        raise TalkingHeadsError(f"The encoder {encoder} needs a model folder", "none is chosen",
                                "Put hubert-large-ls960-ft (config.json, model.safetensors) into models/audio_encoders, press R "
                                "and choose it")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    opened = open_encoder(bridge.encoder_folder(model_folder), layer=layer, dtype=dtype)
    model = getattr(opened, "model", None)
    if model is not None:
        mm.load_models_gpu([bridge.patched(model)])
    return replace(opened, context=0) if isinstance(opened, HubertEncoder) and borders != "overlapping" else opened


NODES = (EncodeSpeech, SpeechFromAudioEncoder)
