"""ComfyUI's audio nodes as workflows see them: LoadAudio, SaveAudio, SaveAudioMP3, PreviewAudio (0.33)."""
from __future__ import annotations

import hashlib
import os
from typing import Any

from . import folder_paths, io, ui


def file_digest(name: str) -> str:
    """sha256 of an uploaded file."""
    digest = hashlib.sha256()
    with open(folder_paths.get_annotated_filepath(name), "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


class LoadAudio(io.ComfyNode):
    """An audio file of input/ as AUDIO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        files = folder_paths.filter_files_content_types(os.listdir(folder_paths.get_input_directory()), ["audio", "video"])
        return io.Schema(
            node_id="LoadAudio", search_aliases=["import audio", "open audio", "audio file"], display_name="Load Audio",
            category="audio", essentials_category="Audio",
            inputs=[io.Combo.Input("audio", upload=io.UploadType.audio, options=sorted(files))], outputs=[io.Audio.Output()])

    @classmethod
    def execute(cls, audio: str) -> io.NodeOutput:
        from ...media_core.audio import load_sound

        return io.NodeOutput(load_sound(folder_paths.get_annotated_filepath(audio)).to_comfy())

    @classmethod
    def fingerprint_inputs(cls, audio: str) -> str:
        return file_digest(audio)

    @classmethod
    def validate_inputs(cls, audio: str) -> bool | str:
        return True if folder_paths.exists_annotated_filepath(audio) else f"Invalid audio file: {audio}"


def _saver(node_id: str, title: str, aliases: list[str], extra: list, essentials: str | None = "Audio") -> io.Schema:
    return io.Schema(
        node_id=node_id, search_aliases=aliases, display_name=title, category="audio", essentials_category=essentials,
        inputs=[io.Audio.Input("audio"), io.String.Input("filename_prefix", default="audio/ComfyUI"), *extra],
        is_deprecated=True, is_output_node=True, outputs=[io.Audio.Output("audio")])


def _heard(node: str, audio: dict[str, Any] | None) -> dict[str, Any]:
    if audio is None:
        raise ValueError(f"{node}: input audio is None (source video may have no audio track).")
    return audio


class SaveAudio(io.ComfyNode):
    """AUDIO to a FLAC file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return _saver("SaveAudio", "Save Audio (FLAC) (DEPRECATED)", ["export flac"], [])

    @classmethod
    def execute(cls, audio: dict, filename_prefix: str = "ComfyUI") -> io.NodeOutput:
        saved = ui.AudioSaveHelper.get_save_audio_ui(_heard("SaveAudio", audio), filename_prefix, cls, "flac")
        return io.NodeOutput(audio, ui=saved)


class SaveAudioMP3(io.ComfyNode):
    """AUDIO to an MP3 file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        quality = io.Combo.Input("quality", options=["V0", "128k", "320k"], default="V0")
        return _saver("SaveAudioMP3", "Save Audio (MP3) (DEPRECATED)", ["export mp3"], [quality])

    @classmethod
    def execute(cls, audio: dict, filename_prefix: str = "ComfyUI", quality: str = "128k") -> io.NodeOutput:
        saved = ui.AudioSaveHelper.get_save_audio_ui(_heard("SaveAudioMP3", audio), filename_prefix, cls, "mp3", quality)
        return io.NodeOutput(audio, ui=saved)


class PreviewAudio(io.ComfyNode):
    """AUDIO to the page."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewAudio", search_aliases=["play audio"], display_name="Preview Audio", category="audio",
            description="Preview the audio without saving it to the ComfyUI output directory.",
            inputs=[io.Audio.Input("audio")], is_output_node=True, outputs=[io.Audio.Output("audio")])

    @classmethod
    def execute(cls, audio: dict) -> io.NodeOutput:
        return io.NodeOutput(audio, ui=ui.PreviewAudio(_heard("PreviewAudio", audio), cls=cls))


NODES = (LoadAudio, SaveAudio, SaveAudioMP3, PreviewAudio)
