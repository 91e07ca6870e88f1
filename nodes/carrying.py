"""What nodes need to carry a picture's own pixels: their inputs, and the frames that come of them."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..moditalker_core import choices
from . import bridge, videos

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..media_core.face.crop import FaceCrop
    from ..media_core.motion import LandmarkTrack
    from ..media_core.progress import Report
    from ..moditalker_core.carried_faces import Drawing

CARRIERS, RESIDUALS, NOISES = list(choices.CARRIERS), list(choices.RESIDUALS), list(choices.NOISES)
REDRAW = "redraw"


def carrier_input() -> io.Input:
    return io.Combo.Input("carrier", options=CARRIERS, default=CARRIERS[0], optional=True,
                          tooltip="How frames are made: picture moves the image's own pixels, at its own size, and needs no "
                                  "MToV; redraw draws the face with MToV's networks.")


def life_input() -> io.Input:
    return io.Float.Input("life", default=choices.LIFE, min=0.0, max=1.0, step=0.05, optional=True,
                          tooltip="How much the head of a still image sways and its eyes blink, for picture only; 0: only the "
                                  "mouth moves.")


def mask_input() -> io.Input:
    return io.Mask.Input("portrait_mask", optional=True,
                         tooltip="The mask of Load Image for an image with a transparent background: white where it is "
                                 "transparent. It moves with the image.")


def redraw_inputs() -> list:
    """What else MToV can be told."""
    return [
        io.Combo.Input("detail_residual", display_name="detail residual", options=RESIDUALS, default=RESIDUALS[0], optional=True,
                       advanced=True,
                       tooltip="For redraw and a still image: add what the networks miss of the portrait to every frame. auto: "
                               "as stored with the weights; on needs the portrait's landmarks as pose_landmarks."),
        io.Float.Input("boundary_correction", display_name="boundary correction", default=choices.BOUNDARY_CORRECTION, min=0.0,
                       max=1.0, step=0.05, optional=True, advanced=True,
                       tooltip="For redraw: how much of the difference between neighbouring clips is corrected; 0: they are only "
                               "cross-faded."),
        io.Combo.Input("noise", options=NOISES, default=NOISES[0], optional=True, advanced=True,
                       tooltip="For redraw: all clips begin with the same noise (shared), which keeps their looks, or each with "
                               "its own."),
    ]


@dataclass(frozen=True)
class Subject:
    """Who is carried: an image, or the frames of a video that keep their own movement."""

    portrait: Tensor                  # float [B, H, W, C]
    mask: Tensor | None               # float [B, h, w], 1 where the portrait is transparent
    landmarks: LandmarkTrack | None   # of the portrait, or of the frames
    frames: Tensor | None = None      # float [T, H, W, C], of a video

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) px of what is made."""
        return videos.size_of(self.portrait if self.frames is None else self.frames)

    @property
    def clear(self) -> bool:
        """Whether what is made can be transparent."""
        return self.frames is None and (self.mask is not None or self.portrait.shape[-1] == 4)

    def drawn(self, motion: LandmarkTrack, part: tuple[int, int | None], seed: int, life: float,
              report: Report) -> Iterator[np.ndarray]:  # uint8 [H, W, 3 or 4]
        """The frames from part[0] to before part[1], as they are made."""
        from ..moditalker_core.carried_faces import Drawing

        drawing = Drawing(life=life, seed=seed, start=part[0], stop=part[1])
        return self._filmed(motion, drawing, report) if self.frames is not None else self._still(motion, drawing, report)

    def _still(self, motion: LandmarkTrack, drawing: Drawing, report: Report) -> Iterator[np.ndarray]:
        from ..moditalker_core.carried_faces import drawn_still

        picture = videos.clear_pixels(self.portrait[0], self.mask)
        return drawn_still(picture, self._own_landmarks(), motion, drawing, report)

    def _filmed(self, motion: LandmarkTrack, drawing: Drawing, report: Report) -> Iterator[np.ndarray]:
        from ..moditalker_core.carried_faces import video_face

        frames = self.frames
        assert frames is not None
        looking, drawn = (bridge.one_pass(report, i, 2) for i in range(2))
        own = self._own_landmarks()
        near = None if own is None else own.points[0, :, :2].numpy()
        face = video_face(lambda start: videos.pixels(frames[start:]), motion.fps, total=len(frames), near=near, report=looking)
        return face.frames(motion, drawing, drawn)

    def _own_landmarks(self) -> LandmarkTrack | None:
        """Landmarks that are of the portrait, or of the frames, in their pixels."""
        own = self.landmarks
        return own if own is not None and own.space == "pixels" and own.image_size == self.size else None


def whole_subject(source: Tensor, face_crop: FaceCrop, motion: LandmarkTrack, landmarks: LandmarkTrack | None,
                  mask: Tensor | None) -> tuple[Subject, LandmarkTrack]:
    """Who is carried where a face was cropped from larger images: these themselves, at their own resolution; and the motion,
    which was in pixels of the crop, in theirs."""
    moving = len(source) > 1
    sizes = (face_crop.size, face_crop.size), tuple(face_crop.source_size)
    foreign = landmarks is None or moving and landmarks.image_size not in sizes
    own = None if landmarks is None or foreign else _in_source(landmarks.slice(0, 1), face_crop)
    return Subject(source[:1], None if moving else mask, own, source if moving else None), _in_source(motion, face_crop)


def _in_source(motion: LandmarkTrack, face_crop: FaceCrop) -> LandmarkTrack:
    """Landmarks in pixels of the crop, in pixels of the image it was cut from; canonical ones, and those that already are, stay.

    Raises:
        TalkingHeadsError: motion of another image, or more frames than crops.
    """
    if motion.space != "pixels" or motion.image_size == tuple(face_crop.source_size):
        return motion
    from dataclasses import replace

    import numpy as np
    import torch

    side = face_crop.size
    if motion.image_size != (side, side):
        height, width = motion.image_size or (0, 0)
        raise TalkingHeadsError(f"The motion must be in pixels of the crop, {side} x {side} px, or of the whole image",
                                f"{width} x {height}", "Align the motion to the image that Face Crop gives")
    scale = face_crop.side() / side
    points = motion.points.double().numpy().copy()
    points[..., :2] = np.stack([face_crop.to_source(frame, row) for row, frame in enumerate(points[..., :2])])
    points[..., 2] *= scale
    height, width = face_crop.source_size
    return replace(motion, points=torch.from_numpy(points.astype(np.float32)), image_size=(height, width), mesh=None)


def split(frame: np.ndarray) -> tuple[Tensor, Tensor | None]:  # uint8 [H, W, 3 or 4] -> float [H, W, 3], [H, W] or None
    """A frame as IMAGE and MASK have it; the mask is white where it is transparent."""
    colour = videos.floats(frame[..., :3])
    return colour, None if frame.shape[2] == 3 else 1 - videos.floats(frame[..., 3])


def check_mask(mask: Tensor | None, images: Tensor) -> None:  # [B, h, w], [B, H, W, C]
    """That a MASK is of the image it goes with. Load Image gives a small empty one for an image without transparency.

    Raises:
        TalkingHeadsError: it is of another size, such as that of the image before it was cropped.
    """
    height, width = videos.size_of(images)
    if mask is not None and mask.shape[-2:] != (height, width) and bool((mask > 0).any()):
        raise TalkingHeadsError("The portrait's mask must be as large as the portrait", f"{mask.shape[-1]} x {mask.shape[-2]} px "
                                f"for an image of {width} x {height} px", "Connect the mask of the same image, cropped as it is")


def with_mask(frames: Iterator[np.ndarray], mask: Tensor | None) -> Iterator[np.ndarray]:
    """Opaque frames with the transparency of a MASK that does not move."""
    import numpy as np

    if mask is None:
        yield from frames
        return
    alpha: np.ndarray | None = None
    for frame in frames:
        alpha = videos.opacity(mask, frame.shape[:2]) if alpha is None else alpha
        yield np.dstack([frame, alpha])
