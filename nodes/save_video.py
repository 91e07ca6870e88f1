"""A video file saved as it is."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from comfy_api.latest import io, ui

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained
from . import videos

if TYPE_CHECKING:
    from comfy_api.input import VideoInput


class SaveVideoFile(io.ComfyNode):
    """VIDEO to a file of output/, byte for byte."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SaveVideoFile",
            display_name="Save Video File",
            category="Talking Heads/MoDiTalker",
            description="Copies a video file to ComfyUI's output folder exactly as it is. Use it for videos with a transparent "
                        "background (WebM, ProRes 4444), which Save Video converts.",
            search_aliases=["save transparent video", "save webm", "save prores", "save mov", "alpha video"],
            inputs=[
                io.Video.Input("video", tooltip="The video, as a file (Motion to Video (file))."),
                io.String.Input("filename_prefix", default="talking_heads/video",
                                tooltip="Folder and name in the output folder; a number and the video's own ending are added."),
            ],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The same video.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video: VideoInput, filename_prefix: str) -> io.NodeOutput:
        film = videos.film(video)
        source = film.path if film.whole else videos.saved(video).path
        height, width = film.size()
        output = folder_paths.get_output_directory()
        contained(output, filename_prefix)  # core's own refusal says nothing to do
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output, width, height)
        path = _copied(source, Path(folder), name, counter)
        return io.NodeOutput(video, ui=ui.PreviewVideo([ui.SavedResult(path.name, subfolder, io.FolderType.output)]))


def _copied(source: Path, folder: Path, name: str, first: int) -> Path:
    """`source` under the first free number, also where other servers save into that folder; whole or absent."""
    from ..media_core.numbered import save_numbered

    try:
        return save_numbered(lambda number: folder / f"{name}_{number:05}_{source.suffix}", first,
                             lambda temporary: shutil.copyfile(source, temporary))[0]
    except OSError as error:
        raise TalkingHeadsError("ComfyUI's output folder must have room and be writable",
                                f"copying {source.name} to {folder.name} failed ({error})", "Free some space") from error


NODES = (SaveVideoFile,)
