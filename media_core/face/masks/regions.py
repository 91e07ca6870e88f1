"""Where the 68 points say that parts of a person are: the head's axes, the jaw's line, the face.

Lengths are in units of the distance between the outer eye corners (about 9 cm), so that they fit every image. Pixels: the
centre of the top-left pixel is (0, 0).
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..geometry import JAW, LEFT_EYE, RIGHT_EYE

_EYES_TO_UNIT, _NOSE_TO_UNIT = 1.43, 2.0    # between the eyes' middles, from there to the nose's base: of an average face
_SIDES = ((0, 1, 2), (14, 15, 16))          # points of the jaw at the ears
_NOSE_BASE, _BROWS, _CHIN = slice(31, 36), slice(17, 27), 8
_JAW_DEGREE, _JAW_STEPS = 8, 81             # of the smooth curve through the jaw's 17 noisy points
_MEANS = np.zeros((5, 68))                  # of the eyes, the nose's base and the ears, as sums of points
for _row, _own in enumerate((RIGHT_EYE, LEFT_EYE, _NOSE_BASE, *map(list, _SIDES))):
    _MEANS[_row, _own] = 1 / _MEANS[_row, _own].size
_FAR = 6.0                                  # units: outside every image
_FRACTION = 4                               # binary digits of a pixel that OpenCV draws polygons with
_INWARD = 0.95                              # the jaw drawn in to be surely face


@dataclass(frozen=True)
class HeadAxes:
    """A frame of reference that goes with the head."""
    centre: np.ndarray   # [2] pixels: height of the eyes, half way between the ears
    unit: float          # pixels between the outer eye corners, were the face frontal
    right: np.ndarray    # [2] unit vector along the eyes, to the image's right
    down: np.ndarray     # [2] unit vector, to the chin


def head_axes(points: np.ndarray) -> HeadAxes:  # [68, 2] pixels
    """The axes from averages of several points each: noise of single points hardly moves them."""
    right_eye, left_eye, nose_base, right_ear, left_ear = _MEANS @ points
    between = max(float(np.hypot(*(left_eye - right_eye))), 1e-3)
    right = (left_eye - right_eye) / between
    down = np.array([-right[1], right[0]])
    middle = (right_eye + left_eye) / 2
    nose = max(float((nose_base - middle) @ down), 0.4 * between)
    ears = (right_ear + left_ear) / 2
    unit = (_EYES_TO_UNIT * between + _NOSE_TO_UNIT * nose) / 2
    return HeadAxes(middle + right * float((ears - middle) @ right), unit, right, down)


def polygon(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:  # [N, 2] pixels -> bool [H, W]
    """The filled polygon."""
    import cv2
    mask = np.zeros(shape, np.uint8)
    limit = 8 * max(shape)
    corners = np.clip(np.asarray(points, float), -limit, limit)
    cv2.fillPoly(mask, [np.round(corners * 2 ** _FRACTION).astype(np.int32)], 1, cv2.LINE_8, _FRACTION)
    return mask.view(bool)


def jaw_line(points: np.ndarray) -> np.ndarray:  # [68, 2] -> [81, 2]
    """A smooth curve from ear to ear."""
    return _jaw_curve() @ points[JAW]


@lru_cache(maxsize=1)
def _jaw_curve() -> np.ndarray:  # -> [81, 17]
    """What each point of the jaw adds to every point of the smooth curve: a least-squares polynomial."""
    from numpy.polynomial import chebyshev
    at, fine = np.linspace(-1, 1, 17), np.linspace(-1, 1, _JAW_STEPS)
    return chebyshev.chebval(fine, chebyshev.chebfit(at, np.eye(17), _JAW_DEGREE)).T


def above_jaw(points: np.ndarray, shape: tuple[int, int], first: int = 4) -> np.ndarray:  # [68, 2] -> bool [H, W]
    """Everything above the jaw's line, which goes on level to both sides from its points `first` and 16 - `first`."""
    steps = (_JAW_STEPS - 1) // 16 * first
    axes, line = head_axes(points), jaw_line(points)[steps:_JAW_STEPS - steps]
    aside, up = axes.right * _FAR * axes.unit, -axes.down * _FAR * axes.unit
    left, right = line[0] - aside, line[-1] + aside
    return polygon(np.concatenate([[left + up, left], line, [right, right + up]]), shape)


def jaw_middle(points: np.ndarray, axes: HeadAxes) -> np.ndarray:  # [68, 2] -> [N, 2]
    """Outline of the neck: all that lies below the jaw between its points 4 and 12."""
    line = jaw_line(points)[(_JAW_STEPS - 1) // 4:_JAW_STEPS - (_JAW_STEPS - 1) // 4]
    below = axes.down * _FAR * axes.unit
    return np.concatenate([line, [line[-1] + below, line[0] + below]])


def face_outline(points: np.ndarray) -> np.ndarray:  # [68, 2] -> [N, 2]
    """A convex outline that surely lies inside the face: jaw and brows."""
    import cv2
    jaw = points[JAW]
    middle = jaw.mean(0)
    corners = np.concatenate([middle + (jaw - middle) * _INWARD, points[_BROWS]])
    return cv2.convexHull(corners.astype(np.float32)).reshape(-1, 2)
