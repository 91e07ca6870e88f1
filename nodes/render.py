"""An avatar's motion to frames, to a video, or to one frame of Gaussians."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import Types, io

from ..hmtalker_core import backend_registry
from . import bridge, chunks, sockets, temporary_videos
from .live_video import LiveVideo, shown

if TYPE_CHECKING:
    from torch import Tensor

    from ..hmtalker_core.backdrop import Background
    from ..hmtalker_core.basis import Deformation

BACKENDS = list(backend_registry.CHOICES)
BACKGROUNDS = ["plate", "black", "white", "green", "transparent"]
_COLOURS: dict[str, Background] = {"plate": "plate", "black": "black", "white": (1.0, 1.0, 1.0), "green": (0.0, 1.0, 0.0),
                                   "transparent": "transparent"}
_BACKEND_TIP = ("auto: on a GPU gsplat if it works, else Triton if that works, otherwise this pack's CPU rasteriser. reference: "
                "exact and very slow, for comparison.")
_BACKGROUND_TIP = ("What is behind the head: the background of the recording (plate), one colour, or nothing (transparent). A "
                   "connected background image takes its place.")


def _deformation_input() -> io.Input:
    return io.Combo.Input("deformation", options=["exact", "basis"], default="exact", optional=True, advanced=True,
                          tooltip="exact: by the avatar's networks. basis: by its linear basis, faster with a small error that "
                                  "Load Avatar states; a file without one is fitted first, which takes some seconds.")


def _size_inputs() -> list[io.Input]:
    side = {"default": 0, "min": 0, "max": 8192, "optional": True, "advanced": True}
    tip = "in pixels; 0: in proportion to the other, or the avatar's own. Other proportions cut off what does not fit."
    return [io.Int.Input(name, display_name=f"{name} (0 = avatar's)", tooltip=f"{name.capitalize()} of the frames {tip}", **side)
            for name in ("width", "height")]


def _image_input() -> io.Input:
    return io.Image.Input("background_image", display_name="background image", optional=True,
                          tooltip="Your own background: one image, or one for each frame (a video's, repeated ping-pong). It "
                                  "fills the frame; what is too wide or too high is cut off.")


class RenderAvatarVideo(io.ComfyNode):
    """Motion to a file-backed VIDEO, frame by frame: memory does not grow with its length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_RenderAvatarVideo",
            display_name="Render Avatar Video",
            category="Talking Heads/HM-Talker",
            description="Renders motion straight to a video file (H.264, with your audio), for speech of any length. Save it "
                        "with Save Video.",
            search_aliases=["talking head video", "avatar to video", "render talking head"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar the motion was made for."),
                sockets.AvatarMotion.Input("motion", tooltip="Motion from Drive Avatar."),
                io.Combo.Input("background", options=BACKGROUNDS, default="plate", tooltip=_BACKGROUND_TIP),
                io.Combo.Input("backend", options=BACKENDS, default="auto", tooltip=_BACKEND_TIP, advanced=True),
                io.Int.Input("crf", display_name="quality (CRF)", default=18, min=0, max=40, advanced=True,
                             tooltip="Quality of the video: 0 is lossless, 18 almost no visible loss, 40 small and poor."),
                io.Audio.Input("audio", optional=True,
                               tooltip="The audio of the video, normally the speech itself. Without it the video is silent."),
                _image_input(),
                temporary_videos.format_input(),
                *_size_inputs(),
                _deformation_input(),
                temporary_videos.label_input(),
                *chunks.chunk_inputs(),
            ],
            outputs=[io.Video.Output("video", display_name="video", tooltip="The video, as a file in ComfyUI's temp folder.")],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, motion: Any, background: str, backend: str, crf: int,
                audio: dict | None = None, background_image: Tensor | None = None,
                format: str = temporary_videos.FORMATS[0], width: int = 0, height: int = 0,
                deformation: Deformation = "exact", label: str = "", chunk_index: int = 0,
                chunk_count: int = 1) -> io.NodeOutput:
        from ..hmtalker_core.model.camera import size_of
        from ..hmtalker_core.streaming import render_video
        from ..media_core.audio import Sound

        chunk = chunks.chunk_of(chunk_index, chunk_count, len(motion))
        sound = chunk.sound(None if audio is None else Sound.from_comfy(audio), motion.fps, f".{format}")
        path, report = temporary_videos.new_path(f".{format}"), bridge.NodeReport()
        ready = bridge.ready_to_draw(avatar, backend, report, chunk.stop - chunk.start)
        size = size_of(width, height, avatar.model.size)
        tags = chunk.tags(chunks.settings_of(cls.__name__, background=background, crf=crf, format=format, size=size, label=label,
                                             deformation=deformation, image=background_image is not None, fps=motion.fps), sound,
                          f".{format}")
        behind = _COLOURS[background] if background_image is None else background_image
        with LiveVideo("HMTalker_RenderAvatarVideo", format, (chunk.stop - chunk.start) / motion.fps) as live:
            render_video(ready, motion, path, sound, background=behind, backend=backend, crf=crf,
                         report=report, size=size, deformation=deformation, label=label, metadata=tags,
                         part=(chunk.start, chunk.stop), copy=live.copy)
        return io.NodeOutput(temporary_videos.new_film(path), ui=shown(path))


class RenderAvatar(io.ComfyNode):
    """Motion to IMAGE and MASK frames in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_RenderAvatar",
            display_name="Render Avatar (frames)",
            category="Talking Heads/HM-Talker",
            description="Renders motion to images and masks for other nodes. All frames are held in memory: for long speech, "
                        "render in parts or use Render Avatar Video.",
            search_aliases=["avatar frames", "talking head images", "avatar mask"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar the motion was made for."),
                sockets.AvatarMotion.Input("motion", tooltip="Motion from Drive Avatar."),
                io.Combo.Input("background", options=BACKGROUNDS, default="plate", tooltip=_BACKGROUND_TIP),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000, tooltip="The first frame to render, from 0."),
                io.Int.Input("frame_count", display_name="frame count (0 = all)", default=0, min=0, max=10_000_000,
                             tooltip="How many frames to render; 0 for all that follow."),
                io.Combo.Input("backend", options=BACKENDS, default="auto", tooltip=_BACKEND_TIP, advanced=True),
                _image_input(),
                *_size_inputs(),
                _deformation_input(),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", tooltip="The frames, one image each."),
                io.Mask.Output("masks", display_name="masks",
                               tooltip="How much of each pixel the person (head and torso) covers, 0..1."),
            ],
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, motion: Any, background: str, start_frame: int, frame_count: int,
                backend: str, background_image: Tensor | None = None, width: int = 0, height: int = 0,
                deformation: Deformation = "exact") -> io.NodeOutput:
        from ..hmtalker_core.model.camera import size_of

        stop = bridge.checked_stop(len(motion), start_frame, frame_count)
        size = size_of(width, height, avatar.model.size) or avatar.model.size
        images, masks = bridge.empty_images(stop - start_frame, *size, (3, 0),
                                            "Use Render Avatar Video, which writes frame by frame, or set frame_count")
        report = bridge.NodeReport()
        ready = bridge.ready_to_draw(avatar, backend, report, stop - start_frame)
        frames = ready.render(motion, start_frame, stop, backend=backend, report=report, size=size, deformation=deformation,
                              background=_COLOURS[background] if background_image is None else background_image)
        at = 0
        for rgb, alpha in frames:
            images[at:at + len(rgb)], masks[at:at + len(rgb)] = rgb, alpha
            at += len(rgb)
        return io.NodeOutput(images, masks)


class AvatarFrameToSplat(io.ComfyNode):
    """One frame of an avatar's motion as core's SPLAT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_AvatarFrameToSplat",
            display_name="Avatar Frame to Splat",
            category="Talking Heads/HM-Talker",
            description="One frame of the avatar as Gaussians, for ComfyUI's own splat nodes (preview, render, save as PLY). The "
                        "head stands still at the origin; torso and background are images and not included.",
            search_aliases=["gaussian splat", "avatar ply", "3dgs"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar the motion was made for."),
                sockets.AvatarMotion.Input("motion", tooltip="Motion from Drive Avatar."),
                io.Int.Input("frame", default=0, min=0, max=10_000_000, tooltip="Which frame, from 0."),
            ],
            outputs=[sockets.Splat.Output("splat", display_name="splat", tooltip="The Gaussians of the head in that frame, in "
                                                                                 "metres.")],
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, motion: Any, frame: int) -> io.NodeOutput:
        values = bridge.on_device(avatar).splat(motion, frame)
        kind = getattr(Types, "SPLAT", sockets.SplatBatch)
        return io.NodeOutput(kind(**{name: tensor.cpu() for name, tensor in values.items()}))


NODES = (RenderAvatarVideo, RenderAvatar, AvatarFrameToSplat)
