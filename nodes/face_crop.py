"""A face out of its picture, and back into it."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from . import bridge, face, films, sockets

WAYS = ["still", "follow", "each"]
_FEATHER_TIP = "How far the edit fades out inwards from the square's edge, as a part of its side: 0 a hard edge, 0.1 hides it."


class FaceCrop(io.ComfyNode):
    """IMAGE to the square around its face, and TH_FACE_CROP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_FaceCrop",
            display_name="Face Crop",
            category="Talking Heads/Face",
            description="Cuts a square with the face out of a picture, or of every frame of a film, and remembers the way back "
                        "for Face Paste Back. Finds the face with the built-in (approximate) tracker unless a face track is "
                        "connected.",
            search_aliases=["crop face", "face square", "portrait crop", "align face"],
            inputs=[
                io.Image.Input("images", tooltip="A picture, or the frames of a film."),
                io.Int.Input("size", default=512, min=16, max=4096, step=16, tooltip="Width and height of the crop in pixels."),
                io.Float.Input("margin", default=2.5, min=1.0, max=10.0, step=0.1,
                               tooltip="Side of the square in face heights: 1 the face alone, 2.5 head and shoulders."),
                io.Combo.Input("way", options=WAYS, default="still",
                               tooltip="still: one square for all frames; follow: it goes along with the head, smoothly; each: "
                                       "pictures that do not belong together."),
                io.Boolean.Input("upright", default=False, tooltip="Turn the square so that the eyes lie level."),
                io.Float.Input("feather", default=0.1, min=0.0, max=0.5, step=0.01, tooltip=_FEATHER_TIP),
                *face.face_inputs(),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="Track Face's result for these very frames."),
                face.mask_input(),
            ],
            outputs=[
                io.Image.Output("crops", display_name="crops", tooltip="The squares."),
                sockets.FaceCrop.Output("face_crop", display_name="face crop", tooltip="The way back, for Face Paste Back."),
                io.Mask.Output("feathered", display_name="feathered",
                               tooltip="How much of an edit would be pasted back: white inside, black at the square's edge."),
            ],
        )

    @classmethod
    def execute(cls, images: Any, size: int, margin: float, way: str, upright: bool, feather: float, face_index: int, order: str,
                face_track: Any = None, mask: Any = None) -> io.NodeOutput:
        import torch

        from ..media_core.face.landmarks.raw_track import listed

        bar = bridge.NodeReport()
        looking, cutting = (bridge.one_pass(bar, i, 2) for i in range(2)) if face_track is None else (bar, bar)
        points, fps = _points(images, face_track, mask, looking, way, face_index=face_index, order=order)
        crop = _cropping(points, tuple(images.shape[1:3]), size, fps, way, margin=margin, upright=upright)
        crop = crop if face_track is None else _knowing(crop, face_track)
        if crop.faceless:
            bridge.log.warning("no face in frames %s; nothing will be put back into them", listed(crop.faceless))
        (crops,) = bridge.empty_images(len(images), size, size, (3,), "Choose a smaller size, or crop fewer frames at once")
        for i, square in enumerate(crop.crops(_float_frames(images))):
            crops[i] = torch.from_numpy(square)
            cutting(i + 1, len(crops), {}, None)
        return io.NodeOutput(crops, crop, torch.from_numpy(crop.feather_mask(feather))[None])


class FacePasteBack(io.ComfyNode):
    """Edited squares into the pictures they were cut from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_FacePasteBack",
            display_name="Face Paste Back",
            category="Talking Heads/Face",
            description="Puts edited face crops back into their pictures. The edit fades out at the square's edge; every pixel "
                        "outside stays exactly as it was.",
            search_aliases=["uncrop face", "composite face", "paste face", "seamless"],
            inputs=[
                io.Image.Input("images", tooltip="The pictures that went into Face Crop."),
                io.Image.Input("crops", tooltip="Face Crop's squares after editing; they may have been enlarged."),
                sockets.FaceCrop.Input("face_crop", tooltip="Face Crop's way back."),
                io.Float.Input("feather", default=0.1, min=0.0, max=0.5, step=0.01, tooltip=_FEATHER_TIP),
                io.Mask.Input("mask", optional=True,
                              tooltip="What of the edit is wanted: white. Drawn over the crop; one for all, or one a frame."),
                io.Boolean.Input("even_sides", default=False, optional=True,
                                 tooltip="Repeat the last row or column of pictures with an odd height or width, as Create Video "
                                         "and Save Video need it."),
            ],
            outputs=[io.Image.Output("images", display_name="images", tooltip="The whole pictures, with the edit.")],
        )

    @classmethod
    def execute(cls, images: Any, crops: Any, face_crop: Any, feather: float, mask: Any = None,
                even_sides: bool = False) -> io.NodeOutput:
        import numpy as np
        import torch

        if len(images) != len(crops) and len(images) != 1:
            raise TalkingHeadsError("There must be as many crops as pictures, or one picture for all of them",
                                    f"{len(crops)} crops for {len(images)} pictures", "Paste back the frames that were cut out")
        added = [side % 2 if even_sides else 0 for side in images.shape[1:3]]
        sides = (side + more for side, more in zip(images.shape[1:3], added))
        (out,) = bridge.empty_images(len(crops), *sides, (3,), "Paste back fewer frames at once")
        masks = None if mask is None else (mask if mask.ndim == 3 else mask[None]).detach().cpu().float().numpy()
        report = bridge.NodeReport()
        for i, (source, edited) in enumerate(zip(_float_frames(images, len(crops)), _float_frames(crops))):
            wanted = None if masks is None else masks[min(i, len(masks) - 1)]
            pasted = face_crop.paste_back(source, edited, i, feather=feather, mask=wanted)
            out[i] = torch.from_numpy(np.pad(pasted, [(0, added[0]), (0, added[1]), (0, 0)], mode="edge"))
            report(i + 1, len(out), {}, None)
        return io.NodeOutput(out)


def _points(images: Any, face_track: Any, mask: Any, report: Any, way: str, **which: Any) -> tuple[Any, float]:
    """Where the face is in each picture, [T, 68, 2] px, and the frames a second: of the track, else looked for."""
    from ..media_core.audio import FPS

    if face_track is not None:
        return _tracked(images, face_track), face_track.fps
    masks = None if mask is None else films.mask_frames(mask, tuple(images.shape[1:3]))
    total = len(images)
    if way == "each" or total == 1:
        return face.portraits(films.pixels(images), total, masks, report, **which), FPS
    return face.followed(lambda start: films.pixels(images[start:]), FPS, total, masks, report, **which).points, FPS


def _cropping(points: Any, shape: tuple[int, int], size: int, fps: float, way: str, **options: Any) -> Any:
    from ..media_core.face.crop import following_crop, single_crops, still_crop

    if way == "follow":
        return following_crop(points, shape, size, fps, **options)
    return (single_crops if way == "each" else still_crop)(points, shape, size, **options)


def _knowing(crop: Any, face_track: Any) -> Any:
    """The crop, with the frames in which the track saw nobody and is only filled in."""
    return replace(crop, faceless=tuple((face_track.confidence == 0).nonzero().flatten().tolist()))


def _tracked(images: Any, face_track: Any) -> Any:  # float32 [T, 68, 2]
    """The track's points, when it is of these pictures."""
    if len(face_track) not in (1, len(images)) or tuple(face_track.image_size) != tuple(images.shape[1:3]):
        height, width = face_track.image_size
        raise TalkingHeadsError("The face track must be of these very pictures",
                                f"a track of {len(face_track)} frames, {width} x {height} px, for {len(images)} pictures, "
                                f"{images.shape[2]} x {images.shape[1]} px", "Track the pictures that are cropped")
    return face_track.landmarks.points[..., :2].numpy()


def _float_frames(images: Any, count: int | None = None) -> Any:
    """An IMAGE batch as float32 [H, W, 3] arrays; the last one again where `count` is larger."""
    for i in range(len(images) if count is None else count):
        frame = images[min(i, len(images) - 1), ..., :3].detach().cpu().float().contiguous()
        yield (frame.expand(-1, -1, 3) if frame.shape[-1] == 1 else frame).contiguous().numpy()


NODES = (FaceCrop, FacePasteBack)
