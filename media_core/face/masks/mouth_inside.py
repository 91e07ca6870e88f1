"""The inside of the mouth and the teeth: the inner lips' outline, corrected by colour (docs/capture.md#masks)."""
from __future__ import annotations

import numpy as np

from ..geometry import INNER_LIPS
from .mouth_kernels import between_lips, lip_curve, medians
from .regions import polygon

_OUTER_LIPS = slice(48, 60)
_CORNERS = (0, 4)                 # of the inner lips' eight points
_STEPS = 12                       # drawn points between two
_FINE = 4                         # parts of a pixel: the outline is drawn that finely
_WRONG = 0.01                     # units that the outline may be wrong by
_SHUT = 0.012                     # units: a lesser opening shows nothing
_DARK = 0.55                      # of the lips' brightness: darker is the inside
_PALE, _BRIGHT = 0.6, 0.8         # of the lips' redness beyond grey, and of their brightness: teeth are paler and brighter
_SURELY_PALE = 0.5                # the same in the outline's doubtful rim
_PALER, _DIM = 0.4, 0.62          # the same for teeth in shadow
_LEAST_RED = 6.0                  # of lips, beyond grey: less is a grey image, whose lips can be taken for teeth
_LIMITS = _DARK, _SURELY_PALE, _BRIGHT, _PALE, _PALER, _DIM


def opening_outline(points: np.ndarray) -> np.ndarray:  # [68, 2] -> [N, 2]
    """A smooth outline through the eight points of the inner lips, sharp at the corners."""
    ring = points[INNER_LIPS]
    first, last = _CORNERS
    ring = np.ascontiguousarray(np.concatenate([ring, ring[:1]]), np.float64)
    count = (last - first) * _STEPS
    return np.concatenate([lip_curve(ring[first:last + 1], count), lip_curve(ring[last:], count)])


def mouth_inside(frame: np.ndarray, points: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """What shows between the lips.

    Args:
        frame: uint8 [H, W, 3].
        points: [68, 2] pixels.
        unit: pixels between the outer eye corners.
    Returns:
        (mouth bool [H, W], teeth bool [H, W], part of it).
    """
    import cv2
    shape = frame.shape[:2]
    mouth, teeth = np.zeros(shape, bool), np.zeros(shape, bool)
    ring = points[INNER_LIPS]
    if np.linalg.norm(ring[1:4] - ring[7:4:-1], axis=1).max() < _SHUT * unit:
        return mouth, teeth
    margin = int(np.ceil(.1 * unit)) + 2
    low = np.maximum(np.floor(points[_OUTER_LIPS].min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(points[_OUTER_LIPS].max(0)).astype(int) + margin + 1, shape[::-1])
    if (high <= low).any():
        return mouth, teeth
    window = slice(low[1], high[1]), slice(low[0], high[0])
    lab = np.asarray(cv2.cvtColor(frame[window], cv2.COLOR_RGB2Lab))
    outer = polygon(points[_OUTER_LIPS] - low, lab.shape[:2])
    inner, core = _around(opening_outline(points) - low, lab.shape[:2], unit)
    lips = outer & ~inner
    if np.count_nonzero(lips) < 8:
        mouth[window] = inner
        return mouth, teeth
    light, red = (float(value) for value in medians(lab, lips.view(np.uint8))[:2])
    found = between_lips(lab, inner.view(np.uint8), core.view(np.uint8), (light, max(red - 128, _LEAST_RED)), _LIMITS,
                         red - 128 > _LEAST_RED)
    mouth[window], teeth[window] = found
    return mouth, teeth


def _around(outline: np.ndarray, shape: tuple[int, int], unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that lie for the most part in an outline [N, 2], and in one that is surely right, bool [h, w] each."""
    import cv2
    height, width = shape
    inner = polygon((outline + .5) * _FINE - .5, (height * _FINE, width * _FINE)).astype(np.uint8)
    back = 2 * round(_WRONG * unit * _FINE) + 1
    core = cv2.erode(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (back, back)))
    inner, core = (cv2.resize(fine * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA) for fine in (inner, core))
    return inner > 127, core > 127
