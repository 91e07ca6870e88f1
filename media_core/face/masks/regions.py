"""Where the 68 points say that parts of a person are: the head's axes, the jaw's line, seeds for a cut-out, the mouth's opening.

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

SURE_NO, SURE_YES, MAYBE_NO, MAYBE_YES = 0, 1, 2, 3  # labels of a cut-out's seeds, as OpenCV counts them
_HEAD_ELLIPSE = (1.25, 1.6, -0.1)           # half width, half height, middle below the eyes
_HEAD_LIMIT = (2.0, -2.4)                   # no head farther to the side, or higher above the eyes
_SKULL = ((-.5, -.2), (.5, -.2), (.4, -.6), (.25, -.95), (-.25, -.95), (-.4, -.6))  # above the brows: head, bald or not
_SHOULDERS = ((-.75, -.1), (.75, -.1), (2.3, .6), (2.8, _FAR), (-2.8, _FAR), (-2.3, .6))  # from the chin: perhaps
_CHEST = ((-.3, 0), (.3, 0), (.8, 1), (.9, _FAR), (-.9, _FAR), (-.8, 1))                  # from the chin: surely
_WIDEST = 3.4                               # units to either side: no shoulder is farther
_INWARD = 0.95                              # the jaw drawn in to be surely face


@dataclass(frozen=True)
class HeadAxes:
    """A frame of reference that goes with the head."""
    centre: np.ndarray   # [2] pixels: height of the eyes, half way between the ears
    unit: float          # pixels between the outer eye corners, were the face frontal
    right: np.ndarray    # [2] unit vector along the eyes, to the image's right
    down: np.ndarray     # [2] unit vector, to the chin

    def place(self, points) -> np.ndarray:  # [N, 2] units -> [N, 2] pixels
        points = np.asarray(points, float)
        return self.centre + self.unit * (points[:, :1] * self.right + points[:, 1:] * self.down)

    def affine(self, size: int, span: float, middle: float) -> np.ndarray:  # -> [2, 3]
        """Pixels of a `size` x `size` image of the head, `span` units wide, its centre at `middle` of the height -> pixels."""
        step = self.unit * span / size
        matrix = np.stack([self.right * step, self.down * step], 1)
        return np.column_stack([matrix, self.centre - matrix @ np.array([size / 2, size * middle])])


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


def seeds(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:  # [68, 2] -> uint8 [H, W]
    """What an image of this size (H, W) shows, as far as the points tell: SURE_NO, SURE_YES, MAYBE_NO, MAYBE_YES."""
    axes, chin = head_axes(points), points[_CHIN]
    rows, columns = np.mgrid[:shape[0], :shape[1]]
    away = np.stack([columns, rows], -1) - axes.centre
    across, below = away @ axes.right / axes.unit, away @ axes.down / axes.unit
    width, height, middle = _HEAD_ELLIPSE
    labels = np.full(shape, MAYBE_NO, np.uint8)
    labels[(across / width) ** 2 + ((below - middle) / height) ** 2 < 1] = MAYBE_YES
    labels[polygon(chin + axes.unit * np.array(_SHOULDERS), shape)] = MAYBE_YES
    labels[polygon(face_outline(points), shape) | polygon(axes.place(_SKULL), shape)] = SURE_YES
    labels[polygon(chin + axes.unit * np.array(_CHEST), shape)] = SURE_YES
    side, top = _HEAD_LIMIT
    chin_below = (chin - axes.centre) @ axes.down / axes.unit
    labels[(np.abs(across) > side) & (below < chin_below - .1) | (below < top) | (np.abs(across) > _WIDEST)] = SURE_NO
    return labels
