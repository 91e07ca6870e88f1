"""Turned squares of an image that networks look at, and looking: crops out, points back.

The networks' coordinates run from the crop's edge to its edge, and a crop's pixel `i` is sampled at the edge + (i + 1/2) of a
pixel's width. (The original leaves the half pixel out, which shifts every point by 0.4 px of the crop to the right: measured on
91 people and their mirror images.) Points of an image count from the middle of its first pixel, as everywhere in the pack.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...video_planes import Image
from ..geometry import Similarity, similarity
from ..landmarks.inference import cut
from . import layout
from .attention import SIZE
from .blazeface import Detection
from .nets import MeshNets, as_input, exactly

_GROW = 1.5  # side of the square over the longer side of the box
BATCH = 16   # crops that are looked at together


@dataclass(frozen=True)
class Square:
    """Where a face is looked at; px of the image, angle of its x axis in rad (clockwise as seen)."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def placement(self, size: int) -> Similarity:
        """Image px -> index in a crop of `size` px."""
        return similarity(-self.angle, size / self.side, (self.x, self.y), ((size - 1) / 2,) * 2)

    def to_image(self, points: np.ndarray, size: int) -> np.ndarray:  # [N, 3] edge-based px of the crop -> [N, 3] px
        """Depth grows with the square."""
        back = similarity(self.angle, self.side / size, (size / 2,) * 2, (self.x, self.y))
        return np.column_stack([back(points[:, :2]), points[:, 2] * (self.side / size)])

    def change(self, other: Square) -> tuple[float, float]:
        """How far another square lies off (shift or growth, the larger, in sides) and how far it is turned (rad)."""
        away = max(math.hypot(self.x - other.x, self.y - other.y), abs(self.side - other.side)) / self.side
        return away, abs(math.remainder(self.angle - other.angle, math.tau))

    @property
    def box(self) -> np.ndarray:  # [4] x0, y0, x1, y1, upright
        return np.array([self.x, self.y, self.x, self.y]) + np.array([-1, -1, 1, 1]) * self.side / 2


def square_of_detection(found: Detection) -> Square:
    """About the box's middle, turned by the eyes."""
    (x0, y0, x1, y1), (right, left) = found.box, found.keys[:2]
    return Square(float(x0 + x1) / 2, float(y0 + y1) / 2, float(max(x1 - x0, y1 - y0)) * _GROW,
                  math.atan2(left[1] - right[1], left[0] - right[0]))


def square_of_points(points: np.ndarray) -> Square:  # [478, 2 or 3] px
    """About the upright box of all points, turned by the outer corners of the eyes."""
    xy = points[:, :2].astype(np.float64)
    low, high = xy.min(0), xy.max(0)
    right, left = xy[list(layout.OUTER_CORNERS)]
    (x, y), side = (low + high) / 2, float((high - low).max()) * _GROW
    return Square(float(x), float(y), max(side, 1.0), math.atan2(left[1] - right[1], left[0] - right[0]))


@dataclass(frozen=True)
class Look:
    """What the mesh says of one square."""

    points: np.ndarray  # float64 [478, 3] px of the image
    presence: float  # 0..1
    disagreement: float  # between plain and mirrored view, mean of all points in distances of the outer eye corners; 0: one view


def look(nets: MeshNets, crops: Sequence[np.ndarray], squares: Sequence[Square], mirrored: bool = True) -> list[Look]:
    """Reads crops (uint8 [192, 192, 3] each) that were cut at `squares`; with `mirrored` each is seen in a mirror too and the two
    answers are averaged."""
    if not crops:
        return []
    plain = np.stack(crops)
    views = np.concatenate([plain, plain[:, :, ::-1]]) if mirrored else plain
    read, present = _read(nets, views)
    out = []
    for i, square in enumerate(squares):
        own = read[i:i + 1] if not mirrored else np.stack([read[i], _unmirrored(read[i + len(squares)])])
        apart = np.linalg.norm(own[0, :, :2] - own[-1, :, :2], axis=1).mean() / max(float(layout.eye_distance(own.mean(0))), 1.0)
        out.append(Look(square.to_image(own.mean(0), SIZE), float(present[i::len(squares)].mean()), float(apart)))
    return out


def crop(image: Image, square: Square) -> np.ndarray:  # uint8 [H, W, 3] -> uint8 [192, 192, 3]
    """The square's pixels; beyond the image its edge goes on."""
    return cut(image, square.placement(SIZE), SIZE)


def _read(nets: MeshNets, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # -> float64 [B, 478, 3], [B]
    points, present = [], []
    with exactly(nets.device):
        for first in range(0, len(views), BATCH):
            read, flag = nets.quick_mesh(as_input(views[first:first + BATCH], nets.device) / 255)
            points.append(read.cpu().double().numpy())
            present.append(flag.cpu().double().sigmoid().numpy())
    return np.concatenate(points), np.concatenate(present)


def _unmirrored(points: np.ndarray) -> np.ndarray:  # [478, 3] px of the mirrored crop -> of the plain one
    out = points[layout.MIRROR].copy()
    out[:, 0] = SIZE - out[:, 0]
    return out
