"""Tracks as images to look at: landmarks over frames, action units over time."""
from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from . import bridge, sockets, videos

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..media_core.face.track import FaceTrack
    from ..media_core.motion import ExpressionTrack, LandmarkTrack

CURVES = ["all", "lower face", "upper face", "reliable"]


class PreviewLandmarks(io.ComfyNode):
    """TH_LANDMARKS or TH_FACE_TRACK to IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_PreviewLandmarks",
            display_name="Preview Landmarks",
            category="Talking Heads/Face",
            description="Draws the 68 landmarks over the frames they were found in, over a single image, or on black. Frames "
                        "without a face stay as they are. For a video with audio, go on to Create Video and Save Video.",
            search_aliases=["draw landmarks", "show face points", "landmark overlay", "landmarks preview", "motion preview"],
            inputs=[
                io.Int.Input("size", default=512, min=64, max=4096, step=16,
                             tooltip="Longer side of images on black; connected images keep their own size."),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000, tooltip="The first frame to draw, from 0."),
                io.Int.Input("frame_count", display_name="frame count (0 = all)", default=0, min=0, max=10_000_000,
                             tooltip="How many frames to draw; 0 for all that follow."),
                io.Boolean.Input("dots", display_name="draw points", default=True,
                                 tooltip="Mark every point, not only the lines between them."),
                sockets.Landmarks.Input("landmarks", optional=True, tooltip="Landmarks in pixels, or canonical ones."),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="A face track instead of landmarks."),
                io.Image.Input("images", optional=True,
                               tooltip="Frames to draw over: as many as landmarks, or one for all. Without them: black."),
                io.Int.Input("longest", display_name="longest side (0 = unchanged)", default=0, min=0, max=16384, step=2,
                             optional=True,
                             tooltip="Larger images are downscaled until their longer side has this many pixels, and sides "
                                     "become even numbers, as video files require; 0 leaves images as they are."),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", tooltip="The images with the points."),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second of the landmarks, for Create Video."),
            ],
        )

    @classmethod
    def execute(cls, size: int, start_frame: int, frame_count: int, dots: bool,
                landmarks: LandmarkTrack | None = None, face_track: FaceTrack | None = None,
                images: Tensor | None = None, longest: int = 0) -> io.NodeOutput:
        import numpy as np

        from ..media_core.face.draw import draw_landmarks, picture_points

        track, known = _landmarks(landmarks, face_track, images)
        shape = _black_size(track, size) if images is None else _fitted(videos.size_of(images), longest)
        stop = bridge.checked_stop(len(track), start_frame, frame_count)
        points, report = picture_points(track, shape), bridge.NodeReport()
        (out,) = bridge.empty_images(stop - start_frame, *shape, (3,), "Set frame_count, or a smaller size (or longest)")
        below = np.zeros((*shape, 3), np.uint8) if images is None else _picture(images, start_frame, shape)
        for row, i in enumerate(range(start_frame, stop)):
            if row and images is not None and len(images) > 1:
                below = _picture(images, i, shape)
            drawn = draw_landmarks(below, points[i], dots) if known is None or known[i] else below
            out[row] = videos.floats(drawn)
            report(row + 1, len(out), {"phase": "draw", "frame": row + 1, "frames": len(out)}, drawn)
        return io.NodeOutput(out, float(track.fps))


class PreviewCurves(io.ComfyNode):
    """TH_EXPRESSION and lips to IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_PreviewCurves",
            display_name="Preview Curves",
            category="Talking Heads/Face",
            description="Plots action units and the opening of the lips over time. Unreliable units are pale and labelled as "
                        "such; unknown values stay empty.",
            search_aliases=["plot action units", "au curves", "lip aperture", "expression graph"],
            inputs=[
                io.Combo.Input("units", display_name="action units", options=CURVES, default="all",
                               tooltip="Which action units: all 17, those of the lower or upper face, or only reliable ones."),
                io.Int.Input("width", default=1024, min=320, max=8192, step=16, tooltip="Width of the image in pixels."),
                io.Int.Input("strip", display_name="curve height (px)", default=44, min=36, max=400, step=2,
                             tooltip="Height of one curve in pixels."),
                sockets.Expression.Input("expression", optional=True, tooltip="Action units to plot."),
                sockets.FaceTrack.Input("face_track", optional=True,
                                        tooltip="A face track: its lips, and its action units unless others are connected."),
                sockets.Landmarks.Input("landmarks", optional=True, tooltip="Landmarks, for the opening of the lips."),
            ],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The plot: one strip per curve.")],
        )

    @classmethod
    def execute(cls, units: str, width: int, strip: int, expression: ExpressionTrack | None = None,
                face_track: FaceTrack | None = None, landmarks: LandmarkTrack | None = None) -> io.NodeOutput:
        from ..media_core.face.draw import draw_curves, lip_curve, unit_curves

        if face_track is not None:
            expression = expression if expression is not None else face_track.expression
            landmarks = landmarks if landmarks is not None else face_track.landmarks
        curves = [] if landmarks is None else [lip_curve(landmarks)]
        curves += [] if expression is None else unit_curves(expression, _names(units, expression))
        timed = expression if expression is not None else landmarks
        if timed is None or not curves:
            raise TalkingHeadsError("There must be something to plot", "nothing, or no unit of that kind",
                                    "Connect an expression, a face track or landmarks")
        title = "" if expression is None else f"action units: {expression.source}"
        return io.NodeOutput(videos.floats(draw_curves(curves, timed.fps, width, strip, title))[None])


def _names(units: str, expression: ExpressionTrack) -> list[str]:
    """The chosen action units."""
    from ..media_core.motion import AU_NAMES, LOWER_AUS, UPPER_AUS

    chosen = {"lower face": LOWER_AUS, "upper face": UPPER_AUS}.get(units, AU_NAMES)
    return [name for name in chosen if units != "reliable" or name not in expression.unreliable]


def _landmarks(landmarks: LandmarkTrack | None, face_track: FaceTrack | None,
               images: Tensor | None) -> tuple[LandmarkTrack, list[bool] | None]:
    """The landmarks to draw, and where a track knows them, bool [T] or None for everywhere."""
    if landmarks is not None:
        track, known = landmarks, None
    elif face_track is not None:
        track, known = face_track.landmarks, (face_track.confidence > 0).tolist()
    else:
        raise TalkingHeadsError("There must be landmarks to draw", "none", "Connect landmarks or a face track")
    if images is not None and len(images) not in (1, len(track)):
        raise TalkingHeadsError("There must be as many images as frames of landmarks, or one",
                                f"{len(images)} images, {len(track)} frames", "Connect the frames the landmarks were found in")
    return track, known


def _black_size(track: LandmarkTrack, size: int) -> tuple[int, int]:
    """(H, W) of images on black, in the proportions of the track's own."""
    if track.image_size is None:
        return size, size
    return _even(track.image_size, size / max(track.image_size))


def _fitted(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) of frames drawn over images of that shape; 0: theirs."""
    return _even(shape, min(1.0, longest / max(shape))) if longest else shape


def _even(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Scaled and even: H.264 accepts no other sizes."""
    height, width = (max(2, 2 * int(edge * scale / 2 + 1e-6)) for edge in shape)
    return height, width


def _picture(images: Tensor, i: int, shape: tuple[int, int]) -> np.ndarray:  # uint8 [H, W, 3]
    """Image i, or the last one, in that size."""
    import cv2

    i = min(i, len(images) - 1)
    picture = next(videos.pixels(images[i:i + 1]))
    return picture if picture.shape[:2] == shape else cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)


NODES = (PreviewLandmarks, PreviewCurves)
