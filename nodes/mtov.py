"""MToV: load or import it, let motion and one picture become video."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import file_stem
from . import bridge, films, sockets
from .atom import CHECKPOINTS, NONE, OWN, PRECISIONS, SAMPLERS

PARTS = {"autoencoder": "autoencoder_rgb.pth", "landmark_autoencoder": "autoencoder_motion.pth",
         "denoiser": "diffusion_model.pth"}  # of a published MToV: our name and its file
RESIZES = ["filtered", "bilinear"]
_AT_ONCE = 4  # clips computed together on an accelerator; on a CPU one is as fast


class LoadMToV(io.ComfyNode):
    """An MToV file to TH_MTOV."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_LoadMToV",
            display_name="Load MToV",
            category="Talking Heads/MoDiTalker",
            description="Loads motion-to-video weights from models/talking_heads, or the demo weights that come with the pack. "
                        "Size and margin are those of the pictures they know: connect them to Face Crop.",
            search_aliases=["motion to video", "moditalker", "landmarks to video", "video diffusion model"],
            inputs=[
                io.Combo.Input("mtov_name", options=bridge.model_files("mtov"),
                               tooltip="An MToV file (.safetensors) from models/talking_heads, or one shipped with the pack. "
                                       "Published checkpoints go through Import MToV once."),
                io.Combo.Input("precision", options=PRECISIONS, default="auto", advanced=True,
                               tooltip="Number format of the networks: auto takes fp32 on a CPU and bf16 where the graphics "
                                       "card is made for it."),
            ],
            outputs=[
                mtov_output(),
                io.Int.Output("size", display_name="size", tooltip="Height and width of its pictures in pixels, for Face Crop."),
                io.Float.Output("margin", display_name="margin",
                                tooltip="How much it has seen around the face, for Face Crop."),
                io.String.Output("about", display_name="about",
                                 tooltip="What the file says of itself: size, sampling, how it was trained, licence."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, mtov_name: str, precision: str = "auto") -> str:
        return bridge.stamp(bridge.model_path(mtov_name))

    @classmethod
    def execute(cls, mtov_name: str, precision: str) -> io.NodeOutput:
        loaded, told = loaded_mtov(mtov_name, precision)
        config = loaded.mtov.config
        return io.NodeOutput(loaded, config.size, float(config.margin), told)


class ImportMToV(io.ComfyNode):
    """The three published files to an MToV file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_ImportMToV",
            display_name="Import MToV",
            category="Talking Heads/MoDiTalker",
            description="Turns the checkpoints of MoDiTalker's motion-to-video networks (three files in models/talking_heads) "
                        "into a file that Load MToV lists. Needed once. Mind the licence of the weights.",
            search_aliases=["autoencoder_rgb.pth", "diffusion_model.pth", "moditalker checkpoint", "published weights"],
            inputs=[
                *(io.Combo.Input(name, options=[NONE, *bridge.loose_files(CHECKPOINTS)], default=NONE,
                                 tooltip=f"Published as {file}: a .pt or .pth file in models/talking_heads; press R when you "
                                         "have put one there.") for name, file in PARTS.items()),
                io.Int.Input("heads", default=8, min=1, max=64, advanced=True,
                             tooltip="Attention heads of the denoiser, a size that no checkpoint tells; 8 in the published one."),
                io.String.Input("name", default="mtov",
                                tooltip="The new file's name in models/talking_heads. A file of that name is replaced."),
                io.Boolean.Input("half", default=False, advanced=True,
                                 tooltip="Store 16-bit numbers: half the size, and hardly a difference."),
            ],
            outputs=[mtov_output(), io.String.Output("file", display_name="file",
                                                     tooltip="The new file's name, as Load MToV lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **values: Any) -> tuple[str, ...]:
        return tuple(bridge.stamp(bridge.model_path(values[name])) for name in PARTS if values.get(name, NONE) != NONE)

    @classmethod
    def execute(cls, heads: int, name: str, half: bool, **parts: str) -> io.NodeOutput:
        path = imported(parts, heads, name, half)
        return io.NodeOutput(loaded_mtov(path.name, "auto")[0], path.name)


class MotionToVideo(io.ComfyNode):
    """TH_MTOV, TH_LANDMARKS in pixels and a portrait to IMAGE frames in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_MotionToVideo",
            display_name="Motion to Video",
            category="Talking Heads/MoDiTalker",
            description="A portrait moves as the landmarks say: images, one a frame. All frames are held in memory: for long "
                        "speech, make parts or use Motion to Video (file). Shows the picture while it is made. The same seed "
                        "gives the same frames.",
            search_aliases=["landmarks to video", "mtov", "animate portrait", "talking portrait", "talking head"],
            inputs=[
                *motion_inputs(),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000, tooltip="The first frame to make, from 0."),
                io.Int.Input("frame_count", default=0, min=0, max=10_000_000,
                             tooltip="How many frames to make; 0 for all that follow."),
                *pose_inputs(),
                *published_inputs(),
                resize_input(),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", tooltip="The frames, as square as the weights' pictures."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames a second, for Create Video."),
            ],
        )

    @classmethod
    def execute(cls, mtov: sockets.LoadedMToV, motion: Any, portrait: Any, start_frame: int, frame_count: int,
                pose_images: Any = None, pose_landmarks: Any = None, **sampling: Any) -> io.NodeOutput:
        stop = bridge.checked_stop(len(motion), start_frame, frame_count)
        size = whole(mtov).mtov.config.size
        (images,) = bridge.empty_images(stop - start_frame, size, size, (3,),
                                        "Use Motion to Video (file), which writes frame by frame, or set frame_count")
        frames = talking(mtov, motion, portrait, pose_images, pose_landmarks, (start_frame, stop), **sampling)
        for i, frame in enumerate(frames):
            images[i] = films.floats(frame)
        return io.NodeOutput(images, float(motion.fps))


def mtov_output() -> Any:
    return sockets.MToV.Output("mtov", display_name="mtov", tooltip="The networks, for Motion to Video.")


def motion_inputs() -> list:
    """What moves, and how it is drawn."""
    return [
        sockets.MToV.Input("mtov", tooltip="The networks (Load MToV)."),
        sockets.Landmarks.Input("motion", tooltip="Landmarks in pixels of the portrait (Align Motion to Pose), or of the pose "
                                                  "images where there are any."),
        io.Image.Input("portrait", tooltip="Who is seen: the face cut out as the weights know it (Face Crop)."),
        *sampling_inputs(),
    ]


def sampling_inputs() -> list:
    return [
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                     tooltip="Decides the noise; the same seed gives the same frames."),
        io.Int.Input("steps", default=0, min=0, max=1000,
                     tooltip="Sampling steps; 0 as the weights say. 4 to 10 suffice for dpm++ and unipc, 25 are published for "
                             "ddim."),
        io.Combo.Input("sampler", options=SAMPLERS, default=OWN,
                       tooltip="ddim: as published; ddim0: without fresh noise; dpm++ and unipc: good with few steps."),
        io.Float.Input("denoise", default=-1.0, min=-1.0, max=1.0, step=0.05, advanced=True,
                       tooltip="How much of the portrait is drowned in noise at the start: 0.25 is published, 1 begins from "
                               "noise alone, which weights must have learnt; below 0 as the weights say."),
        io.Float.Input("eta", default=-1.0, min=-1.0, max=1.0, step=0.05, advanced=True,
                       tooltip="Share of fresh noise in every step of ddim; below 0 as the weights say."),
        io.Int.Input("overlap", default=-1, min=-1, max=10_000, advanced=True,
                     tooltip="Frames over which neighbouring clips fade into one another; below 0 as the weights say."),
    ]


def published_inputs() -> list:
    """How the published program counts."""
    return [
        io.Int.Input("schedule_steps", default=0, min=0, max=1000, optional=True, advanced=True,
                     tooltip="As the published program counts: steps over the whole way from noise, of which it runs those "
                             "within `denoise` (of 100 at 0.25 the last 25). Then `steps` does not count. 0: `steps` counts."),
    ]


def resize_input() -> Any:
    return io.Combo.Input("resize", options=RESIZES, default=RESIZES[0], optional=True, advanced=True,
                          tooltip="How pictures larger than the weights' shrink: filtered, so that nothing flickers; or bilinear "
                                  "without a filter, as published.")


def pose_inputs() -> list:
    """Where head and shoulders come from when not from the portrait."""
    return [
        io.Image.Input("pose_images", optional=True,
                       tooltip="Frames of a film, cut out like the portrait, whose head movement is kept; without them the "
                               "portrait stands still. Where they end they are played to and fro."),
        sockets.Landmarks.Input("pose_landmarks", optional=True,
                                tooltip="Landmarks in pixels of those frames (Track Face), or of the portrait: below them the "
                                        "mouth is hidden, so that only the motion decides it."),
    ]


def loaded_mtov(name: str, precision: str) -> tuple[sockets.LoadedMToV, str]:
    """An MToV file with its patcher, and what it says of itself."""
    from ..moditalker_core.mtov.checkpoints import load_mtov

    path = bridge.model_path(name)
    mtov = load_mtov(path, dtype=bridge.number_format(precision))
    return bridge.wrapped_mtov(mtov, path.stem), f"{path.name}\n{about(mtov)}"


def about(mtov: Any) -> str:
    """An MToV in a few lines."""
    config = mtov.config
    size = sum(p.numel() for part in mtov.networks.values() for p in part.parameters())
    made = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.training.items()) or "not told"
    return (f"{size / 1e6:.1f} million weights, clips of {config.frames} frames of {config.size} px "
            f"at {config.fps:g} frames/s\n"
            f"faces cut out with margin {config.margin:g}\n"
            f"sampling: {config.sampler}, {config.calls} steps from {config.ratio:g}, overlap {config.overlap}\n"
            f"training: {made}\nlicence: {config.licence or 'not told'}")


def imported(parts: dict[str, str], heads: int, name: str, half: bool) -> Path:
    """Writes the MToV file and returns its path."""
    from ..moditalker_core.mtov.official import import_mtov

    absent = [file for part, file in PARTS.items() if parts[part] == NONE]
    if absent:
        raise FileFormatError("Import MToV needs all three checkpoints", f"none is chosen for {' and '.join(absent)}",
                              "Put them into models/talking_heads, press R and choose them")
    return import_mtov(*(bridge.model_path(parts[part]) for part in PARTS), bridge.new_model_path(file_stem(name)), heads=heads,
                       half=half, licence="as the published checkpoints'; they carry none of their own")


def whole(mtov: sockets.LoadedMToV | None) -> sockets.LoadedMToV:
    """The networks, when there are any: a training's earlier stages make only parts."""
    if mtov is None:
        raise TalkingHeadsError("Motion to Video needs a whole MToV", "a stage of its training that makes only a part",
                                "Train the diffusion stage, or choose a file with Load MToV")
    return mtov


def talking(mtov: sockets.LoadedMToV, motion: Any, portrait: Any, pose_images: Any, pose_landmarks: Any, part: tuple[int, int],
            **sampling: Any) -> Iterator[Any]:  # uint8 [S, S, 3]
    """The frames from part[0] to before part[1], as they are made."""
    from ..moditalker_core.mtov.generation import talk

    poses = None if pose_images is None else films.pixels(pose_images)
    return talk(bridge.mtov_on_device(whole(mtov)), motion, next(films.pixels(portrait)), video_settings(part, **sampling),
                pose_frames=poses, pose_landmarks=pose_landmarks, report=bridge.NodeReport())


def video_settings(part: tuple[int, int | None], seed: int, steps: int, sampler: str, denoise: float, eta: float, overlap: int,
                   schedule_steps: int = 0, resize: str = RESIZES[0]) -> Any:
    """The widgets as the core takes them."""
    from ..moditalker_core.mtov.generation import VideoSettings

    return VideoSettings(
        sampler=None if sampler == OWN else sampler, calls=steps or None, ratio=_own(denoise), eta=_own(eta), seed=seed,
        overlap=_own(overlap), start=part[0], stop=part[1], schedule=schedule_steps or None, resize=resize,
        batch=1 if mm.is_device_cpu(mm.get_torch_device()) else _AT_ONCE)


def _own(value: Any) -> Any:
    """None, which leaves it to the weights, for numbers below 0."""
    return None if value < 0 else value


NODES = (LoadMToV, ImportMToV, MotionToVideo)
