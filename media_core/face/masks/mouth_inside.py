"""The inside of the mouth and the teeth: the inner lips' outline, corrected by colour (docs/capture.md#masks)."""
from __future__ import annotations

import numpy as np

from ..geometry import INNER_LIPS
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


def opening_outline(points: np.ndarray) -> np.ndarray:  # [68, 2] -> [N, 2]
    """A smooth outline through the eight points of the inner lips, sharp at the corners."""
    ring = points[INNER_LIPS]
    first, last = _CORNERS
    return np.concatenate([_curve(ring[first:last + 1]), _curve(np.concatenate([ring[last:], ring[:1]]))])


def _curve(points: np.ndarray) -> np.ndarray:  # [5, 2] -> [4 * 12, 2] without the last point
    """Half way between a natural spline through a lip's points (over the length along them), which is round enough, and a cubic
    least-squares curve held at both corners, which noise of the points hardly moves."""
    steps = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-6)
    at = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    fine = np.linspace(0, 1, (len(points) - 1) * _STEPS, endpoint=False)

    def basis(t: np.ndarray) -> np.ndarray:
        return np.stack([t * (1 - t), t * (1 - t) * (2 * t - 1)], 1)
    way, own = points[-1] - points[0], basis(at)
    weights = np.linalg.solve(own.T @ own, own.T @ (points - points[0] - at[:, None] * way))
    return (_natural_spline(at, points, fine) + points[0] + fine[:, None] * way + basis(fine) @ weights) / 2


def _natural_spline(at: np.ndarray, points: np.ndarray, where: np.ndarray) -> np.ndarray:  # [n], [n, 2], [m] -> [m, 2]
    """The cubic spline through points that does not bend at its ends."""
    step = np.diff(at)
    system = np.diag(2 * (step[:-1] + step[1:])) + np.diag(step[1:-1], 1) + np.diag(step[1:-1], -1)
    bend = np.zeros_like(points)  # second derivatives
    bend[1:-1] = np.linalg.solve(system, 6 * np.diff(np.diff(points, axis=0) / step[:, None], axis=0))
    k = np.clip(np.searchsorted(at, where, "right") - 1, 0, len(step) - 1)
    right = ((where - at[k]) / step[k])[:, None]
    left, square = 1 - right, (step[k] ** 2 / 6)[:, None]
    return left * points[k] + right * points[k + 1] + square * ((left ** 3 - left) * bend[k] + (right ** 3 - right) * bend[k + 1])


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
    lab = cv2.cvtColor(frame[window], cv2.COLOR_RGB2Lab).astype(np.float32)
    outer = polygon(points[_OUTER_LIPS] - low, lab.shape[:2])
    inner, core = _around(opening_outline(points) - low, lab.shape[:2], unit)
    lips = outer & ~inner
    if lips.sum() < 8:
        mouth[window] = inner
        return mouth, teeth
    light, red = np.median(lab[lips], axis=0)[:2]
    dark, bright = lab[..., 0] < _DARK * light, lab[..., 0] / max(light, 1.0)
    redness = (lab[..., 1] - 128) / max(red - 128, _LEAST_RED)
    pale = (redness < _PALE) & (bright > _BRIGHT) | (redness < _PALER) & (bright > _DIM)
    own = core | inner & (dark | (redness < _SURELY_PALE) & (bright > _BRIGHT))
    mouth[window], teeth[window] = own, (own if red - 128 > _LEAST_RED else core) & pale
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
