"""Corners of skin and hair, and where they went in another frame (sparse optical flow, Lucas-Kanade in pyramids)."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..geometry import EYES, MOUTH, RIGID, inter_ocular

_APART = 0.05     # least distance of two corners, in distances of the outer eye corners (u)
_WINDOW = 0.13    # side of the patch that is compared, u: a larger one is flat where the head is not, and errs with its turns
_SMOOTHED = 3     # px of a pyramid's level that its smoothing takes in
_BACK, _AWAY = 0.006, 0.15  # u by which the way there and back may miss, and the guess
_CELL, _EACH = 0.22, 2  # u, side of the cells that keep so many corners: they shall be everywhere, not in the best texture only
_ABOVE, _BESIDE = 1.2, 1.0  # u from the eyes' middle: how far hair and temples are looked at
_LEVEL = 1e-9     # px squared: points on a line tell nothing across it
_EYE, _BROW = 0.30, 0.14  # u around eyes and brows that is left out: lids, gaze and brows move


def spread_out(camera_to_head: np.ndarray, usable: np.ndarray, count: int) -> list[int]:  # [T, 4, 4], [T]
    """Frames whose head poses differ most: the most usual one, then always the one farthest from those chosen."""
    frames = np.flatnonzero(usable)
    ways = camera_to_head[frames, :3, 2].astype(np.float64)  # where the camera looks from, in the head
    chosen = [int(np.linalg.norm(ways - np.median(ways, 0), axis=1).argmin())]
    away = np.linalg.norm(ways - ways[chosen[0]], axis=1)
    while len(chosen) < min(count, len(frames)):
        chosen.append(int((away * (away <= np.percentile(away, 98))).argmax()))  # not the very strangest frame
        away = np.minimum(away, np.linalg.norm(ways - ways[chosen[-1]], axis=1))
    return sorted({int(frames[c]) for c in chosen})


def corners(image: np.ndarray, points: np.ndarray, count: int) -> np.ndarray:  # uint8 [H, W], [68, 2] -> float32 [n, 2]
    """The best corners of the upper head: hair, forehead, nose, upper cheeks; none near lids, brows, mouth or jaw."""
    import cv2

    unit = float(inter_ocular(points))
    found = cv2.goodFeaturesToTrack(image, 8 * count, 0.002, max(2.0, _APART * unit), mask=_upper_head(image.shape, points, unit))
    if found is None:
        return np.zeros((0, 2), np.float32)
    found = _spread(found, _CELL * unit)[:count]
    fine = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 20, 0.01)
    return cv2.cornerSubPix(image, found, (3, 3), (-1, -1), fine)[:, 0]


def _spread(found: np.ndarray, cell: float) -> np.ndarray:  # [n, 1, 2], best first -> [m, 1, 2], best first
    """At most `_EACH` corners a cell."""
    _, name = np.unique(np.floor(found[:, 0] / cell).astype(int), axis=0, return_inverse=True)
    rank = np.array([np.count_nonzero(name[:i] == own) for i, own in enumerate(name)])
    return found[rank < _EACH]


def followed(reference: np.ndarray, image: np.ndarray, xy: np.ndarray, landmarks: np.ndarray,
             points: np.ndarray) -> np.ndarray:  # -> float32 [n, 2]
    """Where corners of the reference are in the image; NaN where the way back does not lead home.

    Args:
        reference, image: uint8 [H, W] of one size.
        xy: [n, 2] px in the reference.
        landmarks, points: [68, 2] px of the face in the reference and in the image; they say where to look.
    """
    move = affine(landmarks[list(RIGID)], points[list(RIGID)])
    return matched(reference, image, xy, xy @ move[:2] + move[2], float(inter_ocular(landmarks)), window=_WINDOW, away=_AWAY)


def matched(reference: np.ndarray, image: np.ndarray, xy: np.ndarray, guess: np.ndarray, unit: float, *, window: float,
            away: float) -> np.ndarray:  # -> float32 [n, 2]
    """Where points of the reference are in the image; NaN where the way back does not lead home.

    Args:
        reference, image: uint8 [H, W] of one size.
        xy, guess: [n, 2] px in the reference, and near which they are looked for in the image.
        unit: px between the outer eye corners.
        window: side of the patch that is compared, in units.
        away: units by which the guess may be off.
    """
    import cv2

    side = int(np.clip(round(window * unit), 9, 41)) // 2 * 2 + 1
    levels = 2 if unit < 100 else 3
    start, guess = (np.ascontiguousarray(p, np.float32) for p in (xy, guess))
    if not len(start):
        return start
    margin = ((side // 2 + _SMOOTHED) << levels) + away * unit
    (reference, home), (image, corner) = _boxes((reference, image), (start, guess), margin, 1 << levels)
    start, guess = start - home, guess - corner
    settings = {"winSize": (side, side), "maxLevel": levels, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
                "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005)}
    there, found, _ = cv2.calcOpticalFlowPyrLK(reference, image, start, guess.copy(), **settings)
    back, again, _ = cv2.calcOpticalFlowPyrLK(image, reference, there, start.copy(), **settings)
    good = (found[:, 0] == 1) & (again[:, 0] == 1) & (np.linalg.norm(back - start, axis=1) < max(0.15, _BACK * unit))
    good &= np.linalg.norm(there - guess, axis=1) < away * unit
    return np.where(good[:, None], there + corner, np.nan).astype(np.float32)


def _boxes(images: Sequence[np.ndarray], points: Sequence[np.ndarray], margin: float,
           step: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The part of each image that the points and their margin need, all of one size, with its first pixel (float32 [2]).

    Pyramids of the parts are the images' own: each part begins at a multiple of `step`.
    """
    whole, both = images[0].shape[::-1], range(2)
    ends = [(own.min(0).tolist(), own.max(0).tolist()) for own in points]
    lows = [[max(math.floor((low[k] - margin) / step) * step, 0) for k in both] for low, _ in ends]
    highs = [[min(math.ceil(high[k] + margin + 1), whole[k]) for k in both] for _, high in ends]
    size = [min(max(1, *(high[k] - low[k] for low, high in zip(lows, highs))), whole[k]) for k in both]
    lows = [[max(min(low[k], (whole[k] - size[k]) // step * step), 0) for k in both] for low in lows]
    width, height = (min(size[k], whole[k] - max(low[k] for low in lows)) for k in both)
    return [(np.ascontiguousarray(image[y:y + height, x:x + width]), np.array([x, y], np.float32))
            for image, (x, y) in zip(images, lows)]


def affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:  # [m, 2], [m, 2] -> [3, 2]
    """The least-squares affine map: `target = source @ A[:2] + A[2]`."""
    middle = source.mean(0)
    own = np.column_stack([source - middle, np.ones(len(source))])
    out = np.linalg.solve(own.T @ own + _LEVEL * np.eye(3), own.T @ target)
    out[2] -= middle @ out[:2]
    return out


def _upper_head(shape: tuple[int, int], points: np.ndarray, unit: float) -> np.ndarray:  # -> uint8 [H, W] 0 or 255
    import cv2

    mask = np.zeros(shape, np.uint8)
    middle = points[EYES].mean(0)
    across = (points[45] - points[36]) / unit
    down = np.array([-across[1], across[0]])
    low = float((points[33] - middle) @ down)  # the nose's base
    outline = [middle + x * unit * across + y * down for x, y in
               ((-_BESIDE, 0), (-_BESIDE * .8, -_ABOVE * unit * .75), (0, -_ABOVE * unit), (_BESIDE * .8, -_ABOVE * unit * .75),
                (_BESIDE, 0), (.62, low), (-.62, low))]
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255)
    for eye in (slice(36, 42), slice(42, 48)):
        cv2.circle(mask, tuple(int(v) for v in points[eye].mean(0)), int(_EYE * unit), 0, -1)
    for brow in (points[17:22], points[22:27]):
        cv2.polylines(mask, [np.round(brow).astype(np.int32)], False, 0, max(1, int(2 * _BROW * unit)))
    cv2.fillPoly(mask, [cv2.convexHull(np.round(points[MOUTH]).astype(np.int32))], 0)
    return mask
