"""Speech encoders of every kind as TH_SPEECH_ENCODER: with weights, ComfyUI's own, features from files, several side by side."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import contained, file_stem
from . import bridge, saying, sockets, speech

if TYPE_CHECKING:
    from ..media_core.speech import SpeechEncoder

CATEGORY = "Talking Heads/Speech"
NONE = "none"


class LoadSpeechEncoder(io.ComfyNode):
    """A named encoder, or a model folder or file, to TH_SPEECH_ENCODER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadSpeechEncoder",
            display_name="Load Speech Encoder",
            category=CATEGORY,
            description="Opens a speech encoder once, for several nodes, or to join it with others.",
            search_aliases=["hubert", "ave", "audio visual encoder", "speech features", "mel"],
            inputs=[
                io.Combo.Input("encoder", options=speech.ENCODERS, default="mel",
                               tooltip="Which kind of encoder. mel needs nothing; hubert and ave need a model."),
                *speech.hubert_inputs(),
            ],
            outputs=[speech.encoder_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, encoder: str = "mel", model_folder: str = speech.NO_FOLDER, **others: Any) -> tuple[str, ...]:
        return speech.folder_stamps(encoder, model_folder)

    @classmethod
    def execute(cls, encoder: str, model_folder: str = speech.NO_FOLDER, layer: int = -1, precision: str = "fp32",
                borders: str = "overlapping") -> io.NodeOutput:
        return _given(speech.loaded_encoder(encoder, model_folder, layer, precision, borders))


class SpeechEncoderFromAudioEncoder(io.ComfyNode):
    """AUDIO_ENCODER to TH_SPEECH_ENCODER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SpeechEncoderFromAudioEncoder",
            display_name="Speech Encoder from Audio Encoder",
            category=CATEGORY,
            description="Uses a model of ComfyUI's own Load Audio Encoder (wav2vec 2.0, Whisper, HuBERT) as the speech encoder "
                        "of this pack's nodes, in training and in use. Any length of audio.",
            search_aliases=["wav2vec2", "whisper", "hubert", "load audio encoder"],
            inputs=[
                sockets.AudioEncoder.Input("audio_encoder", tooltip="The model, from Load Audio Encoder."),
                io.Combo.Input("encoder", options=speech.CORE_ENCODERS, default="auto",
                               tooltip="Which model Load Audio Encoder has loaded. auto decides by its size, but mistakes HuBERT "
                                       "large for wav2vec2-large, which has the same size: choose it here."),
                speech.layer_input(),
            ],
            outputs=[speech.encoder_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, audio_encoder: Any, encoder: str, layer: int) -> io.NodeOutput:
        from ..media_core.speech.core_encoder import CoreEncoder

        return _given(speech.wrapped(CoreEncoder(audio_encoder, encoder, layer)))  # core moves its weights itself


class LoadSpeechFeatures(io.ComfyNode):
    """Features in .npy files to TH_SPEECH_ENCODER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadSpeechFeatures",
            display_name="Load Speech Features",
            category=CATEGORY,
            description="Uses speech features made by another program (DeepSpeech, for example) and saved as .npy: those of one "
                        "recording, or a folder with one file per video, for Motion Dataset.",
            search_aliases=["deepspeech", "npy", "aud_ds", "audio features file", "import features"],
            inputs=[
                io.String.Input("path", default="",
                                tooltip="A .npy file inside ComfyUI's input folder, or a folder with <name>.npy for each video "
                                        "<name>. Rows [T, C], or windows per frame [F, W, C] as in TalkingGaussian's datasets."),
                io.Float.Input("rate", display_name="rows per second (0 = known)", default=0.0, min=0.0, max=10000.0, step=0.001,
                               round=0.001, tooltip="Rows of features per second. 0: that of the encoder, if its name is known "
                                                    "(deepspeech, ave, hubert-large-ls960-ft, wav2vec2-base and so on)."),
                io.String.Input("name", display_name="encoder's name", default="",
                                tooltip="The encoder that made the features; models trained on them work with this name only. "
                                        "Empty: by the file's name, of aud_ds, aud_hu, aud_ave and aud_eo."),
                speech.layer_input(),
            ],
            outputs=[speech.encoder_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, path: str | None) -> bool | str:
        return bridge.found(lambda: not path or not path.strip() or _features(path).exists(),
                            "The features", path)

    @classmethod
    def fingerprint_inputs(cls, path: str | None = "", **others: object) -> tuple[str, ...]:
        place = _features(path or "") if (path or "").strip() else None
        if place is None or not place.exists():
            return ()
        return tuple(map(bridge.stamp, sorted(place.rglob("*.npy")) if place.is_dir() else [place]))

    @classmethod
    def execute(cls, path: str, rate: float, name: str, layer: int) -> io.NodeOutput:
        from ..media_core.speech import open_stored

        if not path.strip():
            raise TalkingHeadsError("The file of features must be named", "an empty name",
                                    "Give its path relative to ComfyUI's input folder")
        opened = open_stored(_features(path), rate=rate or None, called=name.strip() or None, layer=layer)
        return _given(speech.wrapped(opened))


class JoinSpeechEncoders(io.ComfyNode):
    """Two or three TH_SPEECH_ENCODER to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_JoinSpeechEncoders",
            display_name="Join Speech Encoders",
            category=CATEGORY,
            description="Puts the features of several encoders side by side: a model trained on them hears through all. Its rows "
                        "are as frequent as those of the fastest; the others are interpolated.",
            search_aliases=["concatenate encoders", "combine speech features", "mel and hubert"],
            inputs=[
                sockets.SpeechEncoder.Input("first", tooltip="The first encoder."),
                sockets.SpeechEncoder.Input("second", tooltip="The second one. Their order belongs to the name, so keep it."),
                sockets.SpeechEncoder.Input("third", optional=True, tooltip="A third one, if you like."),
            ],
            outputs=[speech.encoder_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, first: sockets.LoadedEncoder, second: sockets.LoadedEncoder,
                third: sockets.LoadedEncoder | None = None) -> io.NodeOutput:
        from ..media_core.speech import joined

        parts = [part for part in (first, second, third) if part is not None]
        patchers = tuple(patcher for part in parts for patcher in part.patchers)
        return _given(sockets.LoadedEncoder(joined([part.encoder for part in parts]), patchers))


class ImportAVE(io.ComfyNode):
    """SyncTalk's audio_visual_encoder.pth to a file that the pack reads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_ImportAVE",
            display_name="Import AVE",
            category=CATEGORY,
            description="Converts SyncTalk's audio-visual encoder (audio_visual_encoder.pth in models/audio_encoders) to a file "
                        "that the encoder ave reads. Needed only once. The official weights are CC BY-NC 4.0: not for commercial "
                        "use.",
            search_aliases=["synctalk", "audio_visual_encoder.pth", "convert checkpoint", "lip sync expert"],
            inputs=[
                io.Combo.Input("checkpoint", options=[NONE, *bridge.encoder_checkpoints()], default=NONE,
                               tooltip="A .pth or .pt file in models/audio_encoders; press R after adding one."),
                io.String.Input("name", display_name="file name", default="ave",
                                tooltip="Name of the new file in models/audio_encoders. An existing file of that name is "
                                        "replaced."),
            ],
            outputs=[speech.encoder_output(), io.String.Output("file", display_name="file",
                                                               tooltip="Name of the new file, as model_folder lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, **others: object) -> tuple[str, ...]:
        return () if checkpoint == NONE else (bridge.stamp(bridge.encoder_folder(checkpoint)),)

    @classmethod
    def execute(cls, checkpoint: str, name: str) -> io.NodeOutput:
        from ..media_core.speech import open_encoder
        from ..moditalker_core.ave_import import import_ave

        if checkpoint == NONE:
            raise FileFormatError("Import AVE needs a checkpoint", "none is chosen",
                                  "Put audio_visual_encoder.pth into models/audio_encoders, press R and choose it")
        path = contained(folder_paths.get_folder_paths(bridge.ENCODERS)[0], f"{file_stem(name)}.safetensors")
        import_ave(bridge.encoder_folder(checkpoint), path, "CC BY-NC 4.0, if these are SyncTalk's official weights")
        opened = speech.wrapped(open_encoder(path))
        return io.NodeOutput(opened, path.name, ui=saying.model_saved(path, about(opened.encoder)))


def about(encoder: SpeechEncoder) -> str:
    """An encoder in a line, as files and messages name it."""
    facts = encoder.facts
    return f"{facts.id}, layer {encoder.layer}: {facts.dim or 'some'} numbers at {facts.rate:g} Hz"


def _given(loaded: sockets.LoadedEncoder) -> io.NodeOutput:
    """The output of a node that opens an encoder, which says what it is."""
    return io.NodeOutput(loaded, ui=saying.said(about(loaded.encoder)))


def _features(path: str) -> Path:
    """The file or folder of features, inside ComfyUI's input folder."""
    return contained(folder_paths.get_input_directory(), path.strip())


NODES = (LoadSpeechEncoder, SpeechEncoderFromAudioEncoder, LoadSpeechFeatures, JoinSpeechEncoders, ImportAVE)
