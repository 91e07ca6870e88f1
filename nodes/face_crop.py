"""A face cropped from its image, and pasted back into it."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from . import bridge, face, saying, sockets, videos

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..media_core.face.crop import FaceCrop as Crop
    from ..media_core.face.track import FaceTrack
    from ..media_core.progress import Report

WAYS = ["still", "follow", "each"]
_FEATHER_TIP = ("How far the edit fades out inwards from the edge of the square, as a fraction of its side: 0 gives a hard edge, "
                "0.1 hides the seam.")


class FaceCrop(io.ComfyNode):
    """IMAGE to the square around its face, and TH_FACE_CROP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_FaceCrop",
            display_name="Face Crop",
            category="Talking Heads/Face",
            description="Crops a square around the face from an image or from every frame of a video, and keeps the transform "
                        "for Face Paste Back. Finds the face with the built-in tracker unless a face track is connected.",
            search_aliases=["crop face", "face square", "portrait crop", "align face"],
            inputs=[
                io.Image.Input("images", tooltip="An image, or the frames of a video."),
                io.Int.Input("size", default=512, min=16, max=4096, step=16, tooltip="Width and height of the crop in pixels."),
                io.Float.Input("margin", display_name="margin (face heights)", default=2.5, min=1.0, max=10.0, step=0.1,
                               tooltip="Side of the square in face heights: 1 for the face alone, 2.5 for head and shoulders."),
                io.Combo.Input("way", display_name="mode", options=WAYS, default="still",
                               tooltip="How the square moves: still is static, one square for all frames; follow tracks the head "
                                       "smoothly; each is per frame, for unrelated images."),
                io.Boolean.Input("upright", display_name="level eyes", default=False,
                                 tooltip="Rotate the square so that the eyes are level."),
                io.Float.Input("feather", default=0.1, min=0.0, max=0.5, step=0.01, tooltip=_FEATHER_TIP),
                *face.face_inputs(),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="The result of Track Face for exactly these "
                                                                             "frames."),
                face.mask_input(),
                face.tracker_input(),
            ],
            outputs=[
                io.Image.Output("crops", display_name="crops", tooltip="The squares."),
                sockets.FaceCrop.Output("face_crop", display_name="face crop", tooltip="The transform back into the image, for "
                                                                                       "Face Paste Back."),
                io.Mask.Output("feathered", display_name="feathered",
                               tooltip="How much of an edit is pasted back: white inside, black at the edge of the square."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, images: Tensor, size: int, margin: float, way: str, upright: bool, feather: float, face_index: int,
                order: str, face_track: FaceTrack | None = None, mask: Tensor | None = None,
                tracker: str = "people") -> io.NodeOutput:
        import torch

        from ..media_core.face.landmarks.raw_track import listed

        bar = bridge.NodeReport()
        looking, cutting = (bridge.one_pass(bar, i, 2) for i in range(2)) if face_track is None else (bar, bar)
        points, fps = _points(images, face_track, mask, looking, way, tracker=tracker, face_index=face_index, order=order)
        crop = _cropping(points, videos.size_of(images), size, fps, way, margin=margin, upright=upright)
        crop = crop if face_track is None else _with_unseen(crop, face_track)
        if crop.faceless:
            bridge.log.warning("no face in frames %s; nothing will be put back into them", listed(crop.faceless))
        (crops,) = bridge.empty_images(len(images), size, size, (3,), "Choose a smaller size, or crop fewer frames at once")
        for i, square in enumerate(crop.crops(_float_frames(images))):
            crops[i] = torch.from_numpy(square)
            cutting(i + 1, len(crops), {}, None)
        return io.NodeOutput(crops, crop, torch.from_numpy(crop.feather_mask(feather))[None], ui=_said(crops, crop, cls, bar))


class FacePasteBack(io.ComfyNode):
    """Edited squares pasted into the images they were cropped from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_FacePasteBack",
            display_name="Face Paste Back",
            category="Talking Heads/Face",
            description="Puts edited face crops back into their images. The edit fades out at the edge of the square; every "
                        "pixel outside stays exactly as it was.",
            search_aliases=["uncrop face", "composite face", "paste face", "seamless"],
            inputs=[
                io.Image.Input("images", tooltip="The images that went into Face Crop."),
                io.Image.Input("crops", tooltip="The squares of Face Crop after editing; they may have been upscaled."),
                sockets.FaceCrop.Input("face_crop", tooltip="The transform from Face Crop."),
                io.Float.Input("feather", default=0.1, min=0.0, max=0.5, step=0.01, tooltip=_FEATHER_TIP),
                io.Mask.Input("mask", optional=True,
                              tooltip="Which part of the edit to keep: white. Drawn over the crop; one for all, or one per "
                                      "frame."),
                io.Boolean.Input("even_sides", default=False, optional=True,
                                 tooltip="Repeat the last row or column of images with an odd height or width, as Create Video "
                                         "and Save Video require."),
            ],
            outputs=[io.Image.Output("images", display_name="images", tooltip="The whole images, with the edit.")],
        )

    @classmethod
    def execute(cls, images: Tensor, crops: Tensor, face_crop: Crop, feather: float, mask: Tensor | None = None,
                even_sides: bool = False) -> io.NodeOutput:
        import numpy as np
        import torch

        if len(images) != len(crops) and len(images) != 1:
            raise TalkingHeadsError("There must be as many crops as images, or one image for all of them",
                                    f"{len(crops)} crops for {len(images)} images", "Paste back the frames that were cropped")
        height, width = videos.size_of(images)
        added = (height % 2, width % 2) if even_sides else (0, 0)
        (out,) = bridge.empty_images(len(crops), height + added[0], width + added[1], (3,), "Paste back fewer frames at once")
        masks = None if mask is None else (mask if mask.ndim == 3 else mask[None]).detach().cpu().float().numpy()
        report = bridge.NodeReport()
        for i, (source, edited) in enumerate(zip(_float_frames(images, len(crops)), _float_frames(crops))):
            wanted = None if masks is None else masks[min(i, len(masks) - 1)]
            pasted = face_crop.paste_back(source, edited, i, feather=feather, mask=wanted)
            out[i] = torch.from_numpy(np.pad(pasted, [(0, added[0]), (0, added[1]), (0, 0)], mode="edge"))
            report(i + 1, len(out), {}, None)
        return io.NodeOutput(out)


def _said(crops: Tensor, crop: Crop, cls: type[io.ComfyNode], report: bridge.NodeReport) -> dict[str, list]:
    """How many crops there are, and the first."""
    count, unseen = f"{len(crops)} of " if len(crops) > 1 else "", len(crop.faceless)
    text = f"{count}{crops.shape[2]} x {crops.shape[1]} px" + (f", {unseen} without a face" if unseen else "")
    return saying.said(text, previews=saying.previews(crops[:1], cls, report))


def _points(images: Tensor, face_track: FaceTrack | None, mask: Tensor | None, report: Report, way: str,
            **which: Any) -> tuple[np.ndarray, float]:
    """Where the face is in each image, [T, 68, 2] px, and the frames per second: from the track if there is one."""
    import numpy as np

    from ..media_core.audio import FPS

    if face_track is not None:
        return _tracked(images, face_track), face_track.fps
    masks = None if mask is None else videos.mask_frames(mask, videos.size_of(images))
    total = len(images)
    if way == "each" or total == 1:
        return np.stack([one.points for one in face.portraits(videos.pixels(images), total, masks, report, **which)]), FPS
    raw = face.followed(lambda start: videos.pixels(images[start:]), FPS, total, masks, report, dense=False, **which)
    return raw.points, FPS


def _cropping(points: np.ndarray, shape: tuple[int, int], size: int, fps: float, way: str, **options: Any) -> Crop:
    from ..media_core.face.crop import following_crop, single_crops, still_crop

    if way == "follow":
        return following_crop(points, shape, size, fps, **options)
    return (single_crops if way == "each" else still_crop)(points, shape, size, **options)


def _with_unseen(crop: Crop, face_track: FaceTrack) -> Crop:
    """The crop, with the frames in which the track saw nobody and is only filled in."""
    return replace(crop, faceless=tuple((face_track.confidence == 0).nonzero().flatten().tolist()))


def _tracked(images: Tensor, face_track: FaceTrack) -> np.ndarray:  # float32 [T, 68, 2]
    """The points of the track, if it is of these images."""
    if len(face_track) not in (1, len(images)) or tuple(face_track.image_size) != tuple(images.shape[1:3]):
        height, width = face_track.image_size
        raise TalkingHeadsError("The face track must be of exactly these images",
                                f"a track of {len(face_track)} frames, {width} x {height} px, for {len(images)} images, "
                                f"{images.shape[2]} x {images.shape[1]} px", "Track the images that are cropped")
    return face_track.landmarks.points[..., :2].numpy()


def _float_frames(images: Tensor, count: int | None = None) -> Iterator[np.ndarray]:
    """An IMAGE batch as float32 [H, W, 3] arrays; the last one again where `count` is larger."""
    for i in range(len(images) if count is None else count):
        frame = images[min(i, len(images) - 1), ..., :3].detach().cpu().float().contiguous()
        yield (frame.expand(-1, -1, 3) if frame.shape[-1] == 1 else frame).contiguous().numpy()


NODES = (FaceCrop, FacePasteBack)
