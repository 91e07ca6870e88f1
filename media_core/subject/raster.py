"""A small software rasteriser: triangles painted from far to near, their attributes interpolated for every pixel."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FRACTION = 4            # bits of sub-pixel accuracy
_SLIVER = 1e-3           # px^2; flatter triangles are left out
_THIN = 1.0              # px of height


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top..bottom-1, columns left..right-1; may be empty."""
    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    @property
    def shape(self) -> tuple[int, int]:
        return max(0, self.bottom - self.top), max(0, self.right - self.left)


def box_around(points: np.ndarray, margin: float, size: int) -> Box:  # [N, 2] pixels
    """The pixels around some points, inside a square image."""
    low, high = np.floor(points.min(0) - margin).astype(int), np.ceil(points.max(0) + margin).astype(int)
    left, top = (int(v) for v in np.clip(low, 0, size))
    right, bottom = (int(v) for v in np.clip(high, 0, size))
    return Box(left, top, right, bottom)


def paint(points: np.ndarray, depth: np.ndarray, triangles: np.ndarray, attributes: np.ndarray, box: Box, outside: float = -1e4):
    """Draws triangles into a box of the image.

    Args:
        points: [V, 2] pixels.  depth: [V], larger is further.  triangles: [F, 3].  attributes: [V, K].
        outside: the attributes' value where nothing is drawn.
    Returns:
        float32 [h, w, K] attributes and bool [h, w] where something is drawn.
    """
    import cv2
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    order = np.nonzero(np.abs(area) > _SLIVER)[0]
    order = order[np.argsort(-depth[triangles[order]].mean(1), kind="stable")]
    corners = np.round((points - [box.left, box.top]) * (1 << _FRACTION)).astype(np.int32)[triangles]
    index = np.zeros(box.shape, np.int32)
    for triangle in order.tolist():
        cv2.fillConvexPoly(index, corners[triangle], triangle + 1, cv2.LINE_8, _FRACTION)
    drawn = index > 0
    rows, columns = np.nonzero(drawn)
    owner = index[drawn] - 1
    plane = _planes(a - [box.left, box.top], b - a, c - a, area, attributes[triangles])[owner]
    value = plane[:, 0] * columns[:, None].astype(np.float32) + plane[:, 1] * rows[:, None].astype(np.float32) + plane[:, 2]
    _tame(value, owner, area, np.stack([b - a, c - b, a - c]), attributes[triangles].astype(np.float32))
    out = np.full((*box.shape, attributes.shape[1]), outside, np.float32)
    out[drawn] = value
    return out, drawn


def _planes(origin, along, across, area, values) -> np.ndarray:  # [F, 2] x3, [F], [F, 3, K] -> float32 [F, 3, K]
    """For each triangle the plane value = p0 x + p1 y + p2."""
    area = np.where(np.abs(area) > _SLIVER, area, 1.0)[:, None]
    first, second = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    by_x = (first * across[:, 1:2] - second * along[:, 1:2]) / area
    by_y = (second * along[:, 0:1] - first * across[:, 0:1]) / area
    constant = values[:, 0] - by_x * origin[:, 0:1] - by_y * origin[:, 1:2]
    return np.stack([by_x, by_y, constant], 1).astype(np.float32)


def _tame(value: np.ndarray, owner: np.ndarray, area: np.ndarray, sides: np.ndarray, corners: np.ndarray) -> None:
    """Keeps pixels of very thin triangles within their corners' values: a pixel's centre may lie far outside such a triangle."""
    height = np.abs(area) / np.sqrt((sides ** 2).sum(-1).max(0) + 1e-12)
    thin = np.nonzero((height < _THIN)[owner])[0]
    of = corners[owner[thin]]
    value[thin] = np.clip(value[thin], of.min(1), of.max(1))


def normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:  # [V, 3], [F, 3] -> [V, 3]
    """Unit vertex normals, weighted by area."""
    face = np.cross(points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]])
    flat = triangles.T.ravel()
    total = np.stack([np.bincount(flat, np.tile(face[:, k], 3), len(points)) for k in range(3)], 1)
    return total / (np.sqrt((total ** 2).sum(1, keepdims=True)) + 1e-9)


def affine_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:  # [N, 2], [N, 2] -> [2, 3]
    """The least-squares affine map from source to target."""
    from_, to = source - source.mean(0), target - target.mean(0)
    xx, xy, yy = (from_[:, 0] ** 2).sum(), (from_[:, 0] * from_[:, 1]).sum(), (from_[:, 1] ** 2).sum()
    inverse = np.array([[yy, -xy], [-xy, xx]]) / (xx * yy - xy * xy)
    linear = np.einsum("nk,ni,ij->kj", to, from_, inverse, optimize=False)
    return np.column_stack([linear, target.mean(0) - (linear * source.mean(0)).sum(1)])
