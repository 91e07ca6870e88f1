"""A video made in chunks, by several servers perhaps: the inputs of the nodes that make them, and the node that joins them."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained, is_temporary
from . import bridge, saying, temporary_videos

if TYPE_CHECKING:
    from ..media_core.chunks import Chunk, ChunkFile

MOST = 10_000  # chunks
PLACES = ["output", "input"]
ENDINGS = tuple(f".{name}" for name in temporary_videos.FORMATS)


def chunk_inputs() -> list[io.Input]:
    """Which part of the video a node makes."""
    return [
        io.Int.Input("chunk_index", display_name="chunk", default=0, min=0, max=MOST - 1, optional=True, advanced=True,
                     tooltip="Which chunk of the video to make, from 0, where several servers share the work. Every server gets "
                             "the whole speech; the audio is cut here."),
        io.Int.Input("chunk_count", display_name="chunk count", default=1, min=1, max=MOST, optional=True, advanced=True,
                     tooltip="Into how many chunks the video is cut; 1: the whole video. Join Chunks joins them."),
    ]


def chunk_of(index: int, count: int, frames: int) -> Chunk:
    """Raises:
        TalkingHeadsError: no such chunk.
    """
    from ..media_core.chunks import Chunk

    return Chunk(index, count, frames)


class JoinChunks(io.ComfyNode):
    """The files of a video's chunks to a file-backed VIDEO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_JoinChunks",
            display_name="Join Chunks",
            category="Talking Heads/HM-Talker",
            description="Joins the chunks of a video that several servers have made and saved (chunk and chunk count of Render "
                        "Avatar Video and Motion to Video (file)). Checks that all of them are there and belong together. The "
                        "frames are copied, not encoded again.",
            search_aliases=["join videos", "concatenate video", "merge chunks", "distributed", "combine video parts"],
            inputs=[
                io.String.Input("filename_prefix", default="talking_heads/chunks/video",
                                tooltip="Folder and beginning of the chunks' file names, as in the Save Video nodes that saved "
                                        "them. Files that are no chunks are passed over."),
                io.Combo.Input("location", options=PLACES, default=PLACES[0],
                               tooltip="Whether that folder is in ComfyUI's output folder, or in its input folder, where you "
                                       "have copied the chunks of several machines."),
                io.Audio.Input("audio", optional=True,
                               tooltip="The whole speech. With it the audio is encoded once; else the chunks' own audio is "
                                       "joined, without seams, and encoded a second time."),
            ],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The whole video, as a file in ComfyUI's temp "
                                                                            "folder.")],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename_prefix: str | None, location: str | None, **others: object) -> tuple[str, ...] | float:
        """What is linked is None here: the folder is read again then."""
        if filename_prefix is None or location is None:
            return float("nan")
        return tuple(f"{path.name} {bridge.stamp(path)}" for path in _files(filename_prefix, location))

    @classmethod
    def execute(cls, filename_prefix: str, location: str, audio: dict | None = None) -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.chunks import complete, join, read_chunk

        found: list[ChunkFile | None] = [read_chunk(path) for path in _files(filename_prefix, location)]
        files = complete([one for one in found if one is not None])
        sound = None if audio is None else Sound.from_comfy(audio)
        path = join(files, temporary_videos.new_path(files[0].path.suffix.lower()), sound)
        said = f"{len(files)} chunks, {files[0].chunk.frames} frames"
        return io.NodeOutput(temporary_videos.new_film(path), ui=saying.said(said))


def _files(prefix: str, location: str) -> list[Path]:
    """The videos whose names begin so.

    Raises:
        TalkingHeadsError: the folder leads out of ComfyUI's, or is not there.
    """
    base = folder_paths.get_input_directory() if location == "input" else folder_paths.get_output_directory()
    start = contained(base, prefix, links_may_leave=True)
    if not start.parent.is_dir():
        folder = prefix.rpartition("/")[0]
        raise TalkingHeadsError("The chunks' folder must be there",
                                f"no folder {folder!r} in {location}" if folder else f"ComfyUI has no folder {location} yet",
                                "Check filename_prefix, and that the chunks were saved or copied there")
    return sorted(path for path in start.parent.iterdir() if path.name.startswith(start.name) and not is_temporary(path.name)
                  and path.suffix.lower() in ENDINGS)


def settings_of(node: str, **values: Any) -> Mapping[str, Any]:
    """What must be equal in all chunks: the node's widgets that change its frames."""
    return {"node": node, **values}


NODES = (JoinChunks,)
