"""What MToV's networks see: rasters of landmarks, pose images without their lower face, and the identity image.

Images come in any size and kind; the networks take squares of one size. Of an image that is not square the middle counts.
Where it shrinks it is "filtered", so that nothing flickers, or "bilinear" as in the official code, which looks at the nearest
four pixels and leaves out the rest (and does not round poses to whole levels afterwards). Squares of the networks' own size are
the same in both. The lower face is hidden before anything is resized: no filter carries the mouth over the edge.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import LandmarkTrack
from ...media_core.tracks import listed, ping_pong
from ..choices import RESIZES
from ..landmarks import pixel_size
from .model import RasterSettings
from .rasters import NOSE_BASE, fine_rasters, landmark_clip, middle_square, normalised

Picture = np.ndarray | Tensor  # as `rgb_picture` takes it
INSIDE = 0.5        # fraction of a face's points that must lie in the image
SMALLEST = 16       # px, of a portrait's shorter side
_BACKWARDS = 32     # frames held at once while a video is walked backwards


def rgb_picture(image: Picture) -> np.ndarray:  # uint8 or float 0..1 [H, W] or [H, W, 1, 3 or 4] -> uint8 [H, W, 3]
    """An image as RGB: grey three times, transparent parts over black.

    Raises:
        TalkingHeadsError: another shape or type, NaN, floats outside 0..1, or fewer than 16 px per side.
    """
    picture = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    fits = isinstance(picture, np.ndarray) and picture.ndim in (2, 3) and (picture.ndim == 2 or picture.shape[2] in (1, 3, 4))
    if not fits or min(picture.shape[:2]) < SMALLEST or not (picture.dtype == np.uint8 or picture.dtype.kind == "f"):
        came = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(image).__name__
        raise TalkingHeadsError(f"A portrait must be an image [H, W, 1, 3 or 4] of at least {SMALLEST} px per side, uint8 or "
                                "float 0..1", came, "Choose another image, or convert it")
    if picture.dtype != np.uint8:
        if not (picture.min() >= -1e-3 and picture.max() <= 1 + 1e-3):  # also refuses NaN
            raise TalkingHeadsError("A portrait of floating-point numbers must lie within 0..1",
                                    f"{picture.min():g} to {picture.max():g}", "Divide 0..255 by 255, or give uint8")
        picture = np.rint(picture.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.shape[2] == 4:
        picture = np.rint(picture[..., :3] * (picture[..., 3:] / np.float32(255))).astype(np.uint8)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else np.array(picture, order="C")


def portrait_picture(image: Picture, size: int | None = None,
                     resize: str = RESIZES[0]) -> Tensor:  # as `rgb_picture` -> float32 [3, S, S] 0..255
    """The identity image: RGB, channels first; with `size` its middle square of that many px, otherwise [3, H, W].

    Raises:
        TalkingHeadsError: see `rgb_picture`.
    """
    picture = torch.from_numpy(rgb_picture(image)).permute(2, 0, 1)
    return picture.float() if size is None else resized(picture, size, resize)


def resized(picture: Tensor, size: int, resize: str = RESIZES[0]) -> Tensor:  # [3, H, W] 0..255 -> float32 [3, size, size]
    """The middle square: bilinear; where it shrinks filtered, if `resize` (one of RESIZES) says so. A square of `size` comes back
    as it is.
    """
    side, top, left = middle_square(*picture.shape[1:])
    middle = picture[:, top:top + side, left:left + side].float()
    if side == size:
        return middle
    return torch.nn.functional.interpolate(middle[None], size=(size, size), mode="bilinear", align_corners=False,
                                           antialias=side > size and resize != "bilinear")[0].clamp(0, 255)


def raster_clip(points: Tensor, frame_size: tuple[int, int],
                settings: RasterSettings) -> Tensor:  # [T, 68, 2+] px -> float32 [3, T, S, S] -1..1
    """A disc for every point of every frame, as the landmark autoencoder is shown them.

    Args:
        points: px of frames of `frame_size`; discs of points outside are cut off.
        frame_size: (H, W) px; of a frame that is not square the middle is drawn, as `resized` shows it.
        settings: of the weights. `finer` 1 is the official rule to the pixel.
    Raises:
        TalkingHeadsError: other shapes, or NaN.
    """
    side, top, left = middle_square(*frame_size)
    moved = points[..., :2].double() - torch.tensor([left, top], dtype=torch.float64, device=points.device)
    return landmark_clip(fine_rasters(moved, side, size=settings.size, radius=settings.radius, finer=settings.finer))


def hidden_row(points: Tensor) -> Tensor:  # [..., 68, 2+] px -> int64 [...]
    """The first row that a pose image hides: that of the nose's base."""
    return points[..., NOSE_BASE, 1].double().trunc().long()


def pose_picture(frame: np.ndarray, row: int, size: int,
                 resize: str = RESIZES[0]) -> Tensor:  # uint8 [H, W, 3], px -> [3, size, size]
    """A driving frame, black from `row` downwards: uint8, or as published float32 ("bilinear").

    Raises:
        TalkingHeadsError: see `rgb_picture`.
    """
    shown = portrait_picture(frame)
    shown[:, max(row, 0):] = 0
    shown = resized(shown, size, resize)
    return shown if resize == "bilinear" else shown.round().to(torch.uint8)


def pose_pictures(frames: Iterable[np.ndarray], rows: Tensor, wanted: int, size: int, frame_size: tuple[int, int],
                  resize: str = RESIZES[0]) -> Iterator[Tensor]:
    """`pose_picture` of a video's frames, one at a time: [3, size, size], `wanted` of them.

    A video shorter than that is played ping-pong, as `alignment.pose_frames` counts; only then its images are held.

    Args:
        frames: uint8 [H, W, 3], one after another.
        rows: int64 [n], of `hidden_row`, one for each frame of the video.
        frame_size: (H, W) px that the frames must have.
    Raises:
        TalkingHeadsError: frames of another size, or not as many as rows.
    """
    film, kept = iter(frames), []
    for number, row in enumerate(rows[:wanted].tolist()):
        frame = next(film, None)
        if frame is None:
            raise TalkingHeadsError("The pose video must have a frame for every row of its landmarks",
                                    f"{number} frames for {len(rows)} rows", "Track the video that is used as pose")
        if tuple(frame.shape[:2]) != tuple(frame_size):
            raise TalkingHeadsError(f"Pose frames must be {frame_size[1]} x {frame_size[0]} px, as their landmarks say",
                                    f"frame {number} of {frame.shape[1]} x {frame.shape[0]} px",
                                    "Track the video that is used as pose")
        picture = pose_picture(frame, row, size, resize)
        kept += [picture] if len(rows) < wanted else []
        yield picture
    if kept and next(film, None) is not None:
        raise TalkingHeadsError("The pose video must have a row of landmarks for every frame",
                                f"{len(rows)} rows for more frames, and a motion of {wanted}", "Track the whole video")
    yield from (kept[number] for number in ping_pong(max(len(kept), 1), wanted).tolist()[len(rows):])


def pose_walk(opened: Callable[[int], Iterator[np.ndarray]], count: int, wanted: int) -> Iterator[np.ndarray]:
    """A video's whole frames, ping-pong, until there are enough (to paste results back into); holds few at a time.

    Args:
        opened: (start) -> the video's frames from that number on (`read_frames` of a file, say).
        count: frames of the video.
        wanted: frames to give.
    Raises:
        TalkingHeadsError: a video without frames, or with fewer than `count`.
    """
    numbers = ping_pong(count, wanted).tolist()
    film, at, last, held = iter(()), -1, -1, {}  # the video's next frame is number `at`; `last` was given before
    for number in numbers:
        if number < last and number not in held:
            first = max(0, number + 1 - _BACKWARDS)
            held = dict(zip(range(first, number + 1), opened(first)))
        elif number > last:
            if at != number:
                film, at = opened(number), number
            held, at = dict(zip([number], film)), at + 1
        if number not in held:
            raise TalkingHeadsError(f"The pose video must hold the {count} frames that were tracked", f"no frame {number}",
                                    "Track the video again")
        last = number
        yield held[number]


def check_on_picture(track: LandmarkTrack) -> None:
    """Raises:
        TalkingHeadsError: canonical landmarks, or frames whose face lies outside the image's middle square (as landmarks do
            that were flipped, or measured on an image of another size). Single points may leave it.
    """
    if track.space != "pixels":
        raise TalkingHeadsError("MToV draws landmarks in pixels of the image", f"space '{track.space}'",
                                "Align the motion to the portrait or to a pose video first")
    side, top, left = middle_square(*pixel_size(track))
    place = track.points[..., :2] - torch.tensor([left, top])
    inside = ((place >= -0.5) & (place < side - 0.5)).all(-1).float().mean(-1)
    outside = torch.nonzero(inside < INSIDE).flatten().tolist()
    if outside:
        raise TalkingHeadsError(f"At least half of the face's points must lie in the middle {side} x {side} px of the image",
                                f"fewer in frames {listed(outside)}", "Check that the landmarks are of this image, or crop the "
                                "face with Face Crop")


def clip_of(pictures: list[Tensor]) -> Tensor:  # T x uint8 or float 0..255 [3, S, S] -> float32 [3, T, S, S] -1..1
    """Images as a clip."""
    return normalised(torch.stack(pictures, 1))
