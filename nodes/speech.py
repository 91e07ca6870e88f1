"""Sound to the features an avatar is driven by."""
from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .bridge import NodeReport

ENCODERS = ["mel"]  # media_core.speech.encoders(), spelled out so that registering the pack imports no model code


class EncodeSpeech(io.ComfyNode):
    """AUDIO to TH_SPEECH."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_EncodeSpeech",
            display_name="Encode Speech",
            category="Talking Heads/Speech",
            description="Turns sound into the features that drive a talking head. Any length, sample rate and number of "
                        "channels.",
            search_aliases=["audio features", "mel", "lip sync", "talking head audio"],
            inputs=[
                io.Audio.Input("audio",
                               tooltip="Speech. Any sample rate; channels are averaged; the first item of a batch is used."),
                io.Combo.Input("encoder", options=ENCODERS, default="mel",
                               tooltip="How the sound is read. It must be the encoder the avatar was trained with; the demo "
                                       "avatar's is mel."),
            ],
            outputs=[
                sockets.Speech.Output("speech", display_name="speech",
                                      tooltip="Speech features with their rate, the encoder's name, and where the sound is "
                                              "silent."),
            ],
        )

    @classmethod
    def execute(cls, audio: dict, encoder: str) -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.speech import encode_speech

        return io.NodeOutput(encode_speech(Sound.from_comfy(audio), encoder, NodeReport()))


NODES = (EncodeSpeech,)
