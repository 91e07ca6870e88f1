"""Landmarks and video as MToV's three streams: white discs on black, pose frames without the lower face, identity frames.

Exact to the pixel (docs/moditalker.md). Pictures are channels first: a film [T, C, H, W], a clip [C, T, S, S] in -1..1.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ...media_core.asked import real, whole
from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import LandmarkTrack
from ..landmarks import pixel_size

SIZE, RADIUS = 256, 3           # of the official networks' images and discs, px
NOSE_BASE = 33                  # the point whose row is the first hidden one
WHITE = 255
_HALF = 127.5                   # 0..255 -> -1..1
_AT_ONCE = 256                  # frames drawn at once: bounds the memory
_FINEST = 16                    # times that an image is drawn larger, at most
_FAR = 2.0 ** 31                # px: beyond this a point is not in any image, and int64 holds it


def disc_rows(radius: int) -> list[int]:  # -> [radius + 1]
    """Half-widths of a filled disc by |dy|, as the midpoint circle rule draws it (OpenCV's `circle`).

    Raises:
        TalkingHeadsError: a radius below 0.
    """
    if radius < 0:
        raise TalkingHeadsError("A disc's radius must be 0 px or more", f"{radius}", f"Choose {RADIUS}, the official one")
    half = [0] * (radius + 1)
    across, along, error = radius, 0, 0
    while across >= along:
        half[along] = max(half[along], across)
        half[across] = max(half[across], along)
        error += 2 * along + 1
        along += 1
        if error > 0:
            error -= 2 * across - 1
            across -= 1
    return half


def to_pixels(points: Tensor, width: int = SIZE) -> Tensor:  # [..., 68, 2 or 3] -> float64 [..., 68, 2]
    """Normalised points (-1..1) as whole pixels, y as it is: trunc(v W / 2 + W / 2)."""
    return (points[..., :2].double() * (width / 2) + width / 2).trunc()


def rasterise(points: Tensor, width: float, *, size: int = SIZE, radius: int = RADIUS,
              flip: bool = False) -> Tensor:  # [N, K, 2] -> uint8 [N, size, size]
    """A white disc for every point of every frame on black.

    Coordinates are cut to whole numbers, scaled by size / width and cut again, both towards zero. Discs at the edge are
    clipped; of a point outside, the visible part is drawn.

    Args:
        points: px in a square frame, x right, y down; more than two coordinates are ignored.
        width: px of that frame.
        size: px of the images.
        radius: px of the discs.
        flip: turns the images upside down, for points with y up.
    Raises:
        TalkingHeadsError: other shapes, NaN, no frames, a width or size of 0.
    """
    _check_drawn(points, width, size)
    flat = points[..., :2].detach().cpu().double()                    # not every device has float64
    pictures = []
    for part in flat.split(_AT_ONCE):
        whole = part.clamp(-_FAR, _FAR).trunc()
        pictures.append(_stamped((whole / width * size).trunc(), size, radius))
    drawn = torch.cat(pictures).to(points.device)
    return drawn.flip(1) if flip else drawn


def fine_rasters(points: Tensor, width: float, *, size: int = SIZE, radius: int = RADIUS,
                 finer: int = 1) -> Tensor:  # [N, K, 2] -> float32 [N, size, size] 0..255
    """Discs that move by less than a pixel: drawn in an image `finer` times as large, which is then averaged.

    The official rule (`rasterise`) cuts coordinates to whole pixels, so that of a mouth opening slowly the discs jump. Here the
    coordinates are scaled first and rounded in the large image. With `finer` 1 the discs are the official ones.

    Args:
        points, width, size: as for `rasterise`.
        radius: px of the large image.
        finer: 1..16.
    Raises:
        TalkingHeadsError: as `rasterise`, or `finer` out of range.
    """
    if finer == 1:
        return rasterise(points, width, size=size, radius=radius).float()
    _check_drawn(points, width, size)
    if not 1 <= finer <= _FINEST:
        raise TalkingHeadsError(f"Discs are drawn 1 to {_FINEST} times as large", f"{finer}",
                                "Choose 1, as the official code does, or 4")
    large = size * finer
    place = (points[..., :2].detach().cpu().double() + 0.5) * (large / width) - 0.5
    pictures = [torch.nn.functional.avg_pool2d(_stamped(part.round(), large, radius).float()[:, None], finer)[:, 0]
                for part in place.split(max(1, _AT_ONCE // finer ** 2))]
    return torch.cat(pictures).to(points.device)


def _check_drawn(points: Tensor, width: float, size: int) -> None:
    if points.ndim != 3 or points.shape[-1] < 2 or not points.numel() or not torch.isfinite(points).all():
        raise TalkingHeadsError("Discs are drawn at finite points [N, 68, 2]", f"{list(points.shape)}"
                                + ("" if torch.isfinite(points).all() else " with NaN or inf"), "Track the face again")
    real("A raster's frame, in pixels,", width, 1e-6)
    whole("A raster's image, in pixels,", size, 1)


def _stamped(centres: Tensor, size: int, radius: int) -> Tensor:  # whole numbers [n, K, 2] -> uint8 [n, size, size]
    """Discs in an image with so wide an edge that none leaves it; then the edge is cut off."""
    rows, edge = disc_rows(radius), 2 * radius + 1
    side = size + 2 * edge
    disc = torch.tensor([dy * side + dx for dy in range(-radius, radius + 1)
                         for dx in range(-rows[abs(dy)], rows[abs(dy)] + 1)])
    x, y = (centres.clamp(-radius - 1, size + radius).long() + edge).unbind(-1)
    first = torch.arange(len(centres))[:, None] * side ** 2
    drawn = torch.zeros(len(centres) * side ** 2, dtype=torch.uint8)
    drawn[((first + y * side + x)[..., None] + disc).flatten()] = WHITE
    return drawn.view(-1, side, side)[:, edge:-edge, edge:-edge]


def rasters(track: LandmarkTrack, *, size: int = SIZE, radius: int = RADIUS) -> Tensor:  # -> uint8 [T, size, size]
    """The discs of a track in space "pixels"; of a frame that is not square, the middle, as `resize_crop` takes it.

    Raises:
        TalkingHeadsError: canonical landmarks.
    """
    if track.space != "pixels":
        raise TalkingHeadsError("Discs are drawn from landmarks in pixels", f"space '{track.space}'",
                                "Align the motion to a pose or to the portrait first")
    side, top, left = middle_square(*pixel_size(track))
    return rasterise(track.points[..., :2].double() - torch.tensor([left, top]), side, size=size, radius=radius)


def lower_face_hidden(frames: Tensor, landmarks: Tensor) -> Tensor:  # [T, C, H, W], [T, 68, 2+] px -> [T, C, H, W]
    """Everything from the row of the nose's base downwards black, over the full width. Type and range stay.

    Raises:
        TalkingHeadsError: other shapes, NaN.
    """
    if (frames.ndim != 4 or landmarks.ndim != 3 or landmarks.shape[-2] != 68 or len(landmarks) != len(frames)
            or not torch.isfinite(landmarks).all()):
        raise TalkingHeadsError("Pose frames need a video [T, C, H, W] and finite landmarks [T, 68, 2]",
                                f"{list(frames.shape)} and {list(landmarks.shape)}", "Give one row of landmarks per frame")
    first = landmarks[:, NOSE_BASE, 1].double().trunc().to(frames.device)
    below = torch.arange(frames.shape[2], device=frames.device) >= first[:, None]
    return frames.masked_fill(below[:, None, :, None], 0)


def resize_crop(frames: Tensor, size: int = SIZE) -> Tensor:  # [T, C, H, W] -> float32 [C, T, size, size]
    """The middle square of every frame, bilinear without antialiasing to `size`; values keep their range and are not rounded.

    Raises:
        TalkingHeadsError: another shape, or nothing in it.
    """
    if frames.ndim != 4 or not frames.numel() or size < 1:
        raise TalkingHeadsError("Frames must be [T, C, H, W] with something in them, and their new size above 0",
                                f"{list(frames.shape)} to {size}", "Give a video")
    side, top, left = middle_square(*frames.shape[2:])
    middle = frames[..., top:top + side, left:left + side].float()
    small = torch.nn.functional.interpolate(middle, size=(size, size), mode="bilinear", align_corners=False)
    return small.transpose(0, 1)


def normalised(pictures: Tensor) -> Tensor:
    """0..255 -> -1..1 as the networks want it; float32."""
    return pictures.float() / _HALF - 1


def landmark_clip(pictures: Tensor) -> Tensor:  # uint8 [T, S, S] -> float32 [3, T, S, S]
    """Rasters as a clip of -1 and 1."""
    return normalised(pictures).expand(3, *pictures.shape)


def middle_square(height: int, width: int) -> tuple[int, int, int]:
    """The middle square: side, first row, first column."""
    side = min(height, width)
    return side, (height - side) // 2, (width - side) // 2
