"""The 68 face points: which is which, what mirrors what, and where a face stands in an image.

Order: iBUG 300-W, as drawn in the image: jaw 0-16 from the image's left to its right, brows 17-26, nose 27-35, eyes 36-47,
mouth 48-67 (outer ring, then inner ring).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

JAW, BROWS, NOSE = slice(0, 17), slice(17, 27), slice(27, 36)
EYES, MOUTH, INNER_LIPS = slice(36, 48), slice(48, 68), slice(60, 68)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)  # the person's right is the image's left
FEATURES = slice(17, 68)  # all but the jaw
STILLEST = (0, 16, *range(27, 36), 36, 39, 42, 45)  # of RIGID those that lie on the face mesh and no edit moves
RIGID = (0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45)  # hardly moved by expression
OUTER_CORNERS = (36, 45)

MIRROR = np.array([*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46,
                   39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65])
"""Where each point stands in the mirrored image: `mirrored = (width - 1 - x, y)[MIRROR]`."""
MIRROR_EYE = np.array([3, 2, 1, 0, 5, 4])  # the same within one eye


@dataclass(frozen=True)
class Similarity:
    """A turn, one scale and a shift of the plane: `x' = scale * R(angle) x + shift`."""

    matrix: np.ndarray  # float64 [2, 2], scale times rotation
    shift: np.ndarray  # float64 [2]

    @property
    def scale(self) -> float:
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def affine(self) -> np.ndarray:  # [2, 3], as OpenCV wants it
        return np.column_stack([self.matrix, self.shift])

    def __call__(self, points: np.ndarray) -> np.ndarray:  # [..., 2] -> [..., 2]
        return points @ self.matrix.T + self.shift

    def inverse(self) -> Similarity:
        back = np.linalg.inv(self.matrix)
        return Similarity(back, -back @ self.shift)

    def then(self, other: Similarity) -> Similarity:
        """This one, and after it the other."""
        return Similarity(other.matrix @ self.matrix, other.matrix @ self.shift + other.shift)


def similarity(angle: float = 0.0, scale: float = 1.0, centre=(0.0, 0.0), target=(0.0, 0.0)) -> Similarity:
    """Turns by `angle` (rad) and scales about `centre`, which lands on `target`."""
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Similarity(matrix, np.asarray(target, float) - matrix @ np.asarray(centre, float))


def height_width(size: Sequence[int]) -> tuple[int, int]:
    """An image's size as a tuple, whatever kind of sequence it came in."""
    height, width = size
    return height, width


def fit_similarity(source: np.ndarray, target: np.ndarray) -> Similarity:  # [N, 2], [N, 2]
    """The least-squares similarity without mirroring (Umeyama 1991, two dimensions in closed form)."""
    a, b = np.asarray(source, float), np.asarray(target, float)
    a0, b0 = a.mean(0), b.mean(0)
    p, q = a - a0, b - b0
    power = max(float((p ** 2).sum()), 1e-12)
    along, across = float((p * q).sum()) / power, float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / power
    matrix = np.array([[along, -across], [across, along]])
    return Similarity(matrix, b0 - matrix @ a0)


def inter_ocular(points: np.ndarray) -> np.ndarray:  # [..., 68, D] -> [...]
    """Distance of the outer eye corners, the unit of NME."""
    right, left = OUTER_CORNERS
    return np.linalg.norm(points[..., right, :] - points[..., left, :], axis=-1)


def quarter_turns(points: np.ndarray) -> int:  # [68, 2] px
    """How often the image must be turned by 90 degrees counterclockwise for the face to be upright, 0..3."""
    x, y = points[OUTER_CORNERS[1]] - points[OUTER_CORNERS[0]]
    return round(float(np.arctan2(y, x)) / (np.pi / 2)) % 4


def mirrored(points: np.ndarray, width: int) -> np.ndarray:  # [..., 68, 2] -> [..., 68, 2]
    """The points of the image seen in a mirror."""
    out = points[..., MIRROR, :].copy()
    out[..., 0] = width - 1 - out[..., 0]
    return out
