"""Landmarks and curves as images, to look at: 68 points over a frame or on black; action units and lip opening over time.

Units that cannot be trusted are drawn pale and called "unreliable"; nothing here makes a guess look like a measurement.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TalkingHeadsError
from ..metrics import lip_aperture
from ..motion import AU_MAX, AU_NAMES, ExpressionTrack, LandmarkTrack, au_index, unreliable_units
from .geometry import inter_ocular

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

# first point, last point, closed, RGB
LINES = ((0, 16, False, (80, 200, 255)), (17, 21, False, (255, 200, 60)), (22, 26, False, (255, 200, 60)),
         (27, 30, False, (140, 255, 140)), (31, 35, False, (140, 255, 140)), (36, 41, True, (255, 255, 120)),
         (42, 47, True, (255, 255, 120)), (48, 59, True, (255, 110, 110)), (60, 67, True, (255, 170, 220)))
MEANINGS = {"AU01": "inner brow up", "AU02": "outer brow up", "AU04": "brow down", "AU05": "upper lid up", "AU06": "cheek up",
            "AU07": "lids tight", "AU09": "nose wrinkled", "AU10": "upper lip up", "AU12": "smile", "AU14": "dimple",
            "AU15": "corners down", "AU17": "chin up", "AU20": "lips stretched", "AU23": "lips tight", "AU25": "lips apart",
            "AU26": "jaw open", "AU45": "blink"}
_SUBPIXEL = 4  # bits of OpenCV's fractional coordinates
_SMALLEST = 1e-3  # dm, what drawn canonical landmarks measure at least
_FILL = 0.8  # of the image that canonical landmarks fill
_LABEL, _RIGHT, _LINE = 132, 32, 22  # px beside the curves, and of a line of text above or below
_INK, _PALE, _GRID, _PAPER = (30, 70, 140), (190, 190, 198), (228, 228, 232), (255, 255, 255)


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    name: str
    values: np.ndarray  # float [T], NaN where unknown
    top: float  # the value at the strip's upper edge; 0 is at its lower edge
    reliable: bool = True


def draw_landmarks(image: np.ndarray, points: np.ndarray, dots: bool = True) -> np.ndarray:  # uint8 [H, W, 3]
    """The 68 points over `image`, joined by features; a new image, the same one when there is no face.

    Args:
        image: uint8 [H, W, 3].
        points: [68, 2] px; NaN where the face is not known.
        dots: mark each point besides the lines.
    """
    import cv2

    out = np.ascontiguousarray(image).copy()
    points = np.asarray(points, np.float64)
    if not np.isfinite(points).all():
        return out
    thick = max(1, round(float(inter_ocular(points)) / 90))
    whole = np.rint(points * (1 << _SUBPIXEL)).astype(np.int32)
    for first, last, closed, colour in LINES:
        cv2.polylines(out, [whole[first:last + 1, None]], closed, colour, thick, cv2.LINE_AA, _SUBPIXEL)
    for point in whole if dots else ():
        cv2.circle(out, tuple(map(int, point)), thick << _SUBPIXEL, (255, 255, 255), -1, cv2.LINE_AA, _SUBPIXEL)
    return out


def picture_points(track: LandmarkTrack, size: tuple[int, int]) -> np.ndarray:  # float64 [T, 68, 2] px
    """Where a track's points stand in images of `size` (H, W): scaled from its own image, or canonical ones from the front.

    Canonical points get one scale for the whole track, so that movement stays in proportion.
    """
    points = track.points.numpy().astype(np.float64)
    if track.image_size is not None and track.space == "pixels":
        scale = np.array([size[1] / track.image_size[1], size[0] / track.image_size[0]])
        return (points[..., :2] + 0.5) * scale - 0.5
    flat = points[..., :2] * [1.0, -1.0]
    low, high = flat.min(axis=(0, 1)), flat.max(axis=(0, 1))
    across, down = np.maximum(high - low, _SMALLEST)  # points that all coincide are drawn as one
    scale = _FILL * min(size[1] / across, size[0] / down)
    return (flat - (low + high) / 2) * scale + (np.array(size[::-1]) - 1) / 2


def unit_curves(expression: ExpressionTrack, names: Sequence[str] = AU_NAMES) -> list[Curve]:
    """The chosen action units as curves of 0 to 5."""
    bad = unreliable_units(expression.reliability)
    au = expression.au.numpy()
    return [Curve(f"{name} {MEANINGS[name]}", au[:, au_index(name)], AU_MAX, name not in bad) for name in names]


def lip_curve(track: LandmarkTrack) -> Curve:
    """How far the inner lips stand apart, in parts of the distance between the outer eye corners."""
    values = lip_aperture(track.points[..., :2]).numpy()
    return Curve("lip opening", values, max(0.1, float(np.nanmax(values)) * 1.1))


def draw_curves(curves: Sequence[Curve], fps: float, width: int = 1024, strip: int = 44,
                title: str = "") -> np.ndarray:  # uint8 [H, width, 3]
    """The curves below one another over a common time axis.

    Args:
        curves: all of equal length.
        fps: frames per second.
        width: px of the image. strip: px, the height of one curve.
        title: a line above them.

    Raises:
        TalkingHeadsError: no curve, or curves of different lengths.
    """
    from PIL import Image, ImageDraw

    lengths = {len(curve.values) for curve in curves}
    if len(lengths) != 1 or 0 in lengths:
        raise TalkingHeadsError("Curves drawn together must have the same length", f"{sorted(lengths)} frames",
                                "Connect tracks of the same video")
    top = _LINE if title else 0
    picture = Image.new("RGB", (width, top + strip * len(curves) + _LINE), _PAPER)
    draw, frames = ImageDraw.Draw(picture), lengths.pop()
    draw.text((6, 5), title, fill=(20, 20, 24))
    _draw_axis(draw, frames / fps, width, top, top + strip * len(curves))
    for row, curve in enumerate(curves):
        _draw_strip(draw, curve, top + row * strip, strip, width)
    return np.asarray(picture)


def _draw_axis(draw: ImageDraw, seconds: float, width: int, top: int, bottom: int) -> None:
    """Upright lines at whole numbers of seconds, at most about a dozen, and what they are."""
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if seconds / s <= 12), 36000)
    for i in range(int(seconds / step + 1e-6) + 1):
        x = _LABEL + i * step / seconds * (width - _LABEL - _RIGHT)
        draw.line([(x, top), (x, bottom)], fill=_GRID)
        draw.text((x + 2, bottom + 4), f"{i * step:g} s", fill=(90, 90, 96))


def _draw_strip(draw: ImageDraw, curve: Curve, top: int, height: int, width: int) -> None:
    """One curve in its strip, its name and what is wrong with it on the left."""
    ink = _INK if curve.reliable else _PALE
    known = np.isfinite(curve.values)
    draw.line([(0, top + height - 1), (width, top + height - 1)], fill=_GRID)
    draw.text((6, top + 6), curve.name, fill=(20, 20, 24) if curve.reliable else (140, 140, 148))
    note = "unknown" if not known.any() else "" if curve.reliable else "unreliable"
    draw.text((6, top + 21), note or f"0 to {curve.top:.2g}", fill=(170, 60, 50) if note else (150, 150, 156))
    x = _LABEL + (np.arange(len(known)) + 0.5) / len(known) * (width - _LABEL - _RIGHT)
    y = top + height - 4 - np.clip(curve.values / curve.top, 0, 1) * (height - 8)
    for part in np.split(np.arange(len(known)), np.flatnonzero(np.diff(known.astype(int))) + 1):
        if not known[part[0]]:
            continue
        line = list(zip(x[part].tolist(), y[part].tolist()))
        draw.line(line, fill=ink, width=2) if len(line) > 1 else draw.ellipse([line[0][0] - 1, line[0][1] - 1,
                                                                               line[0][0] + 1, line[0][1] + 1], fill=ink)
