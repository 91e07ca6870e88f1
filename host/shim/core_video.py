"""ComfyUI's video nodes as workflows see them: SaveVideo, CreateVideo, GetVideoComponents, LoadVideo (0.33)."""
from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from . import folder_paths, io, ui
from .files import numbered_file
from .video import VideoCodec, VideoComponents, VideoContainer, VideoFromComponents, VideoFromFile, VideoInput

if TYPE_CHECKING:
    import torch

_CRF = {"h264": (23.0, 51.0), "av1": (30.0, 63.0)}  # default, largest


def _codec(offered: tuple[str, ...] = ("auto", "h264", "av1"), optional: bool = False, hidden: bool = False) -> io.Input:
    """The codec choice; H.264 and AV1 open an encoding choice."""
    colour = io.Combo.Input("color_space", options=["auto", "sRGB", "HDR", "HDR PQ"], default="auto", display_name="color space")
    options = []
    for name in offered:
        if name == "auto":
            options.append(io.DynamicCombo.Option(name, []))
            continue
        default, largest = _CRF[name]
        crf = io.Float.Input("crf", default=default, min=0.0, max=largest, step=1.0)
        encoding = io.DynamicCombo.Input(
            "encoding", display_name="encoding mode", optional=True,
            options=[io.DynamicCombo.Option("auto", []), io.DynamicCombo.Option("re-encode", [crf, colour])])
        options.append(io.DynamicCombo.Option(name, [encoding]))
    return io.DynamicCombo.Input("codec", options=options, optional=optional, extra_dict={"hidden": True} if hidden else None)


class SaveVideo(io.ComfyNode):
    """VIDEO to a file of output/, with the workflow inside."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        kinds = [io.DynamicCombo.Option(name, [_codec()]) for name in ("auto", "mp4", "mkv")]
        return io.Schema(
            node_id="SaveVideo", search_aliases=["export video"], display_name="Save Video", category="video",
            essentials_category="Basics", description="Saves the input videos to your ComfyUI output directory.",
            inputs=[io.Video.Input("video", tooltip="The video to save."),
                    io.String.Input("filename_prefix", default="video/ComfyUI"),
                    io.DynamicCombo.Input("format", options=[*kinds, io.DynamicCombo.Option("webm", [_codec(("auto", "av1"))])]),
                    _codec(optional=True, hidden=True)],
            is_output_node=True, outputs=[io.Video.Output("video", tooltip="The input video, unchanged.")])

    @classmethod
    def execute(cls, video: VideoInput, filename_prefix: str, format: dict[str, Any] | str,
                codec: dict[str, Any] | None = None) -> io.NodeOutput:
        container = format["format"] if isinstance(format, dict) else format
        chosen: dict[str, Any] = (format.get("codec") if isinstance(format, dict) else None) or codec or {}
        encoding = chosen.get("encoding") or {}
        colour = encoding.get("color_space")
        width, height = video.get_dimensions()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height)
        hidden = cls.hidden or io.HiddenHolder()
        tags = {**(hidden.extra_pnginfo or {}), **({"prompt": hidden.prompt} if hidden.prompt is not None else {})}
        options = {"crf": encoding.get("crf"), "color_space": None if colour == "auto" else colour}

        def write(path: str) -> None:
            video.save_to(path, format=VideoContainer(container), codec=VideoCodec(chosen.get("codec", "auto")),
                          metadata=tags or None, **{key: value for key, value in options.items() if value is not None})

        ending = VideoContainer.get_extension(container)
        file, _ = numbered_file(folder, lambda number: f"{name}_{number:05}_.{ending}", counter, write)
        return io.NodeOutput(video, ui=ui.PreviewVideo([ui.SavedResult(file, subfolder, io.FolderType.output)]))


class CreateVideo(io.ComfyNode):
    """IMAGE and AUDIO to VIDEO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CreateVideo", search_aliases=["images to video"], display_name="Create Video", category="video",
            essentials_category="Video Tools", description="Create a video from images.",
            inputs=[io.Image.Input("images", tooltip="The images to create a video from."),
                    io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                    io.Audio.Input("audio", optional=True, tooltip="The audio to add to the video."),
                    io.Int.Input("bit_depth", min=8, max=10, default=8, step=2, optional=True,
                                 display_mode=io.NumberDisplay.number)],
            outputs=[io.Video.Output()])

    @classmethod
    def execute(cls, images: torch.Tensor, fps: float, audio: dict[str, Any] | None = None, bit_depth: int = 8) -> io.NodeOutput:
        parts = VideoComponents(images=images, audio=audio, frame_rate=Fraction(fps))
        return io.NodeOutput(VideoFromComponents(parts, bit_depth=bit_depth))


class GetVideoComponents(io.ComfyNode):
    """VIDEO to IMAGE, AUDIO and numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = ((io.Image, "images"), (io.Audio, "audio"), (io.Float, "fps"), (io.Int, "bit_depth"), (io.Combo, "color_space"))
        return io.Schema(
            node_id="GetVideoComponents", search_aliases=["extract frames", "split video", "video to images", "demux"],
            display_name="Get Video Components", category="video",
            description="Extracts video frames, audio, frame rate, bit depth, and color space.",
            inputs=[io.Video.Input("video", tooltip="The video to extract components from.")],
            outputs=[kind.Output(display_name=name) for kind, name in names])

    @classmethod
    def execute(cls, video: VideoInput) -> io.NodeOutput:
        parts = video.get_components()
        return io.NodeOutput(parts.images, parts.audio, float(parts.frame_rate), video.get_bit_depth(), "sRGB")


class LoadVideo(io.ComfyNode):
    """A video of input/ as VIDEO."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        folder = folder_paths.get_input_directory()
        files = [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]
        return io.Schema(
            node_id="LoadVideo", search_aliases=["import video", "open video", "video file"], display_name="Load Video",
            category="video", essentials_category="Basics",
            inputs=[io.Combo.Input("file", options=sorted(folder_paths.filter_files_content_types(files, ["video"])),
                                   upload=io.UploadType.video)],
            outputs=[io.Video.Output()])

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(VideoFromFile(folder_paths.get_annotated_filepath(file)))

    @classmethod
    def fingerprint_inputs(cls, file: str) -> float:
        return os.path.getmtime(folder_paths.get_annotated_filepath(file))

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return True if folder_paths.exists_annotated_filepath(file) else f"Invalid video file: {file}"


NODES = (SaveVideo, CreateVideo, GetVideoComponents, LoadVideo)
