"""MToV: load or import it, make video from motion and one image."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import file_stem
from ..moditalker_core import choices
from . import bridge, carrying, saying, sockets, videos
from .atom import CHECKPOINTS, ETA, NONE, OVERLAP, OWN, PRECISIONS, SAMPLERS, STEPS, STORED, eta_input
from .automatic import AUTO, Automatic, Value, check

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..media_core.motion import LandmarkTrack
    from ..moditalker_core.mtov.generation import VideoSettings
    from ..moditalker_core.mtov.model import MToV

PARTS = {"autoencoder": "autoencoder_rgb.pth", "landmark_autoencoder": "autoencoder_motion.pth",
         "denoiser": "diffusion_model.pth"}  # of an official MToV: our name and its file
RESIZES = list(choices.RESIZES)
CARRIER = choices.CARRIERS[0]
DENOISE = Automatic("denoise", 0, 1)
DRAWING = (STEPS, DENOISE, ETA, OVERLAP)
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
                        "Size and margin are those of the images the weights were trained on: connect them to Face Crop.",
            search_aliases=["motion to video", "moditalker", "landmarks to video", "video diffusion model"],
            inputs=[
                io.Combo.Input("mtov_name", display_name="MToV file", options=bridge.model_files("mtov"),
                               tooltip="An MToV file (.safetensors) in models/talking_heads, or the one that comes with the "
                                       "pack. Official checkpoints must go through Import MToV once."),
                io.Combo.Input("precision", options=PRECISIONS, default="auto", advanced=True,
                               tooltip="Number format of the networks: auto uses fp32 on a CPU and bf16 on a GPU that supports "
                                       "it."),
            ],
            outputs=[
                mtov_output(),
                io.Int.Output("size", display_name="size", tooltip="Height and width of its images in pixels, for Face Crop."),
                io.Float.Output("margin", display_name="margin",
                                tooltip="How much space around the face the weights were trained with, for Face Crop."),
                io.String.Output("about", display_name="about",
                                 tooltip="What the file says about itself: size, sampling, training, licence."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, mtov_name: str, precision: str = "auto") -> str:
        return bridge.stamp(bridge.model_path(mtov_name))

    @classmethod
    def execute(cls, mtov_name: str, precision: str) -> io.NodeOutput:
        loaded, text = loaded_mtov(mtov_name, precision)
        config = loaded.model.config
        return io.NodeOutput(loaded, config.size, float(config.margin), text, ui=saying.said(text))


class ImportMToV(io.ComfyNode):
    """The three official files to an MToV file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_ImportMToV",
            display_name="Import MToV",
            category="Talking Heads/MoDiTalker",
            description="Converts the checkpoints of MoDiTalker's motion-to-video networks (three files in models/talking_heads) "
                        "to a file that Load MToV lists. Needed only once. Check the licence of the weights.",
            search_aliases=["autoencoder_rgb.pth", "diffusion_model.pth", "moditalker checkpoint", "published weights"],
            inputs=[
                *(io.Combo.Input(name, options=[NONE, *bridge.loose_files(CHECKPOINTS)], default=NONE,
                                 tooltip=f"Officially named {file}: a .pt or .pth file in models/talking_heads; press R after "
                                         "adding one.") for name, file in PARTS.items()),
                io.Int.Input("heads", display_name="attention heads", default=8, min=1, max=64, advanced=True,
                             tooltip="Number of attention heads of the denoiser, a size that no checkpoint tells; 8 in the "
                                     "official one."),
                io.String.Input("name", display_name="file name", default="mtov",
                                tooltip="Name of the new file in models/talking_heads. An existing file of that name is "
                                        "replaced."),
                io.Boolean.Input("half", display_name="half precision", default=False, advanced=True,
                                 tooltip="Store 16-bit numbers: half the size, almost no difference."),
            ],
            outputs=[mtov_output(), io.String.Output("file", display_name="file",
                                                     tooltip="Name of the new file, as Load MToV lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **values: str) -> tuple[str, ...]:
        return tuple(bridge.stamp(bridge.model_path(values[name])) for name in PARTS if values.get(name, NONE) != NONE)

    @classmethod
    def execute(cls, heads: int, name: str, half: bool, **parts: str) -> io.NodeOutput:
        path = imported(parts, heads, name, half)
        mtov, text = loaded_mtov(path.name, "auto")
        return io.NodeOutput(mtov, path.name, ui=saying.model_saved(path, text))


class MotionToVideo(io.ComfyNode):
    """TH_MTOV, TH_LANDMARKS in pixels and a portrait to IMAGE frames in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_MotionToVideo",
            display_name="Motion to Video",
            category="Talking Heads/MoDiTalker",
            description="Animates a portrait with landmarks: one image per frame. Moves the image's own pixels, or redraws "
                        "the face with MToV. All frames are held in memory: for long speech, render it in parts or use Motion "
                        "to Video (file). The same seed gives the same frames.",
            search_aliases=["landmarks to video", "mtov", "animate portrait", "talking portrait", "talking head",
                            "talking photo"],
            inputs=[
                *motion_inputs(),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000, tooltip="The first frame to generate, from 0."),
                io.Int.Input("frame_count", display_name="frame count (0 = all)", default=0, min=0, max=10_000_000,
                             tooltip="How many frames to generate; 0 for all that follow."),
                *pose_inputs(),
                *official_inputs(),
                resize_input(),
                carrying.carrier_input(),
                carrying.life_input(),
                carrying.mask_input(),
                *carrying.redraw_inputs(),
                io.Boolean.Input("even_sides", default=False, optional=True,
                                 tooltip="Repeat the last row or column of frames with an odd height or width, as Create Video "
                                         "and Save Video require."),
            ],
            outputs=[
                io.Image.Output("images", display_name="images",
                                tooltip="The frames, as large as the portrait; for redraw square, at the weights' size."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second, for Create Video."),
                io.Mask.Output("mask", display_name="mask",
                               tooltip="White where the frames are transparent, for Join Image with Alpha; black without "
                                       "transparency."),
            ],
        )

    @classmethod
    def validate_inputs(cls, steps: Value = AUTO, denoise: Value = AUTO, eta: Value = AUTO, overlap: Value = AUTO) -> bool | str:
        return check(DRAWING, steps, denoise, eta, overlap)

    @classmethod
    def execute(cls, motion: LandmarkTrack, portrait: Tensor, start_frame: int, frame_count: int,
                mtov: sockets.LoadedMToV | None = None, pose_images: Tensor | None = None,
                pose_landmarks: LandmarkTrack | None = None, carrier: str = CARRIER, life: float = choices.LIFE,
                portrait_mask: Tensor | None = None, even_sides: bool = False, seed: int = 0, **sampling: Any) -> io.NodeOutput:
        carrying.check_mask(portrait_mask, portrait)
        part = start_frame, bridge.checked_stop(len(motion), start_frame, frame_count)
        if carrier == carrying.REDRAW:
            size = whole(mtov).model.config.size
            frames = talking(mtov, motion, portrait, pose_images, pose_landmarks, part, seed=seed, **sampling)
            frames, clear = carrying.with_mask(frames, portrait_mask), portrait_mask is not None
            return _gathered(frames, part, (size, size), clear, motion.fps, even_sides)
        subject = carrying.Subject(portrait, portrait_mask, pose_landmarks, pose_images)
        frames = subject.drawn(motion, part, seed, life, bridge.NodeReport())
        return _gathered(frames, part, subject.size, subject.clear, motion.fps, even_sides)


def _gathered(frames: Iterator[np.ndarray], part: tuple[int, int], size: tuple[int, int], clear: bool,
              fps: float, even: bool) -> io.NodeOutput:
    """Frames uint8 [H, W, 3 or 4] as an IMAGE batch, their rate, and a MASK batch: one black mask where none is transparent."""
    import numpy as np
    import torch

    more = (size[0] % 2, size[1] % 2) if even else (0, 0)
    height, width = size[0] + more[0], size[1] + more[1]
    images, *masks = bridge.empty_images(part[1] - part[0], height, width, (3, 0) if clear else (3,),
                                         "Use Motion to Video (file), which writes frame by frame, or set frame_count")
    for i, frame in enumerate(frames):
        padded = np.pad(frame, [(0, more[0]), (0, more[1]), (0, 0)], mode="edge") if any(more) else frame
        images[i], gone = carrying.split(padded)
        if masks:
            masks[0][i] = 0 if gone is None else gone
    return io.NodeOutput(images, float(fps), masks[0] if masks else torch.zeros(1, height, width))


def mtov_output() -> io.Output:
    return sockets.MToV.Output("mtov", display_name="mtov", tooltip="The networks, for Motion to Video.")


def motion_inputs() -> list:
    """What moves, and how it is drawn."""
    return [
        mtov_input(),
        sockets.Landmarks.Input("motion", tooltip="Canonical landmarks (Generate Motion); or landmarks in pixels of the portrait "
                                                  "(Align Motion to Pose), or of the pose images if there are any. redraw needs "
                                                  "pixels."),
        io.Image.Input("portrait", tooltip="The person to show: the whole image; for redraw the face cropped as the weights "
                                           "expect it (Face Crop)."),
        *sampling_inputs(),
    ]


def mtov_input() -> io.Input:
    return sockets.MToV.Input("mtov", display_name="MToV", optional=True,
                              tooltip="The networks (Load MToV) that draw the face; needed for redraw only.")


def sampling_inputs() -> list:
    """Of redraw, but for the seed."""
    return [
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                     tooltip="Determines the head's sway and blinks, and for redraw the noise; the same seed gives the same "
                             "frames."),
        STEPS.input("Number of sampling steps (num_inference_steps). 4 to 10 are enough for dpm++ and unipc; the official "
                    "setting for ddim is 25.", STORED),
        io.Combo.Input("sampler", options=SAMPLERS, default=OWN,
                       tooltip="ddim: as in the official code; ddim0: DDIM with eta 0, no fresh noise; dpm++ and unipc: good "
                               "with few steps."),
        DENOISE.input("Strength: how much noise is added to the portrait before sampling. The official setting is 0.25; 1 starts "
                      "from pure noise, which the weights must have been trained for.", STORED, advanced=True),
        eta_input(),
        OVERLAP.input("Frames over which neighbouring clips are cross-faded.", STORED, advanced=True),
    ]


def official_inputs() -> list:
    """Steps counted as the official code counts them."""
    return [
        io.Int.Input("schedule_steps", display_name="schedule steps (0 = off)", default=0, min=0, max=1000, optional=True,
                     advanced=True,
                     tooltip="Counts as the official code does: steps over the whole noise schedule, of which only those within "
                             "`denoise` are run (for 100 steps at 0.25, the last 25). `steps` is then ignored. 0: use `steps`."),
    ]


def resize_input() -> io.Input:
    return io.Combo.Input("resize", options=RESIZES, default=RESIZES[0], optional=True, advanced=True,
                          tooltip="How images larger than the weights' size are downscaled: filtered, which avoids flicker; or "
                                  "bilinear without a filter, as in the official code.")


def pose_inputs() -> list:
    """Where head and shoulders come from when not from the portrait."""
    return [
        io.Image.Input("pose_images", optional=True,
                       tooltip="Frames of a video whose head movement is kept; for redraw cropped like the portrait. They take "
                               "the portrait's place: only their lips change. Repeated ping-pong if too short."),
        sockets.Landmarks.Input("pose_landmarks", optional=True,
                                tooltip="Landmarks in pixels of the portrait: they say which face moves; without them the "
                                        "largest is found. For redraw of the portrait or of those frames (Track Face): the mouth "
                                        "below them is hidden, so that only the motion determines it."),
    ]


def loaded_mtov(name: str, precision: str) -> tuple[sockets.LoadedMToV, str]:
    """An MToV file with its patcher, and what it says of itself."""
    from ..moditalker_core.mtov.checkpoints import load_mtov

    path = bridge.model_path(name)
    mtov = load_mtov(path, dtype=bridge.number_format(precision))
    return bridge.wrapped_mtov(mtov, path.stem), f"{path.name}\n{about(mtov)}"


def about(mtov: MToV) -> str:
    """An MToV in a few lines."""
    config = mtov.config
    size = sum(p.numel() for part in mtov.networks.values() for p in part.parameters())
    made = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.training.items()) or "not stated"
    return (f"{size / 1e6:.1f} million weights, clips of {config.frames} frames of {config.size} px "
            f"at {config.fps:g} fps\n"
            f"faces cropped with margin {config.margin:g}\n"
            f"sampling: {config.sampler}, {config.calls} steps at strength {config.ratio:g}, overlap {config.overlap}\n"
            f"training: {made}\nlicence: {config.licence or 'not stated'}")


def imported(parts: dict[str, str], heads: int, name: str, half: bool) -> Path:
    """Writes the MToV file and returns its path."""
    from ..moditalker_core.mtov.official import import_mtov

    absent = [file for part, file in PARTS.items() if parts[part] == NONE]
    if absent:
        raise FileFormatError("Import MToV needs all three checkpoints", f"none is chosen for {' and '.join(absent)}",
                              "Put them into models/talking_heads, press R and choose them")
    rgb, motion, diffusion = (bridge.model_path(parts[part]) for part in PARTS)
    return import_mtov(rgb, motion, diffusion, bridge.new_model_path(file_stem(name)), heads=heads,
                       half=half, licence="as the published checkpoints'; they carry none of their own")


def whole(mtov: sockets.LoadedMToV | None) -> sockets.LoadedMToV:
    """The networks, if they are there and complete: earlier training stages make only parts."""
    if mtov is None:
        raise TalkingHeadsError("The carrier redraw needs a complete MToV", "none, or a training stage that produces only a part",
                                "Connect Load MToV, or train the diffusion stage; or choose the carrier picture")
    return mtov


def talking(mtov: sockets.LoadedMToV | None, motion: LandmarkTrack, portrait: Tensor, pose_images: Tensor | None,
            pose_landmarks: LandmarkTrack | None, part: tuple[int, int],
            **sampling: Any) -> Iterator[np.ndarray]:  # uint8 [S, S, 3]
    """The frames from part[0] to before part[1], as they are made."""
    from ..moditalker_core.mtov.generation import talk

    poses = None if pose_images is None else videos.pixels(pose_images)
    return talk(bridge.on_device(whole(mtov)), motion, next(videos.pixels(portrait)), video_settings(part, **sampling),
                pose_frames=poses, pose_landmarks=pose_landmarks, report=bridge.NodeReport())


def video_settings(part: tuple[int, int | None], seed: int, steps: Value, sampler: str, denoise: Value, eta: Value,
                   overlap: Value, schedule_steps: int = 0, resize: str = RESIZES[0], detail_residual: str = choices.RESIDUALS[0],
                   boundary_correction: float = choices.BOUNDARY_CORRECTION, noise: str = choices.NOISES[0]) -> VideoSettings:
    """The widgets as the core takes them."""
    from ..moditalker_core.mtov.generation import VideoSettings

    return VideoSettings(
        sampler=None if sampler == OWN else sampler, calls=STEPS.read_whole(steps), ratio=DENOISE.read(denoise),
        eta=ETA.read(eta), seed=seed, overlap=OVERLAP.read_whole(overlap), start=part[0], stop=part[1],
        schedule=schedule_steps or None, resize=resize, anchored=choices.residual(detail_residual), settle=boundary_correction,
        noise=noise, batch=1 if mm.is_device_cpu(mm.get_torch_device()) else _AT_ONCE)


NODES = (LoadMToV, ImportMToV, MotionToVideo)
