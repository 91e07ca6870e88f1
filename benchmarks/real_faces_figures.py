"""What `real_faces.py` measures of tracks of faces: openings, agreement with a reference, jitter, lips against loudness.

Lengths are in distances of the outer eye corners, points are the pack's 68. "Opening" is signed and measured square to the line
through the eyes, so that lips that cross count as less than closed and a shift along the mouth does not count as a gap.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import talking_heads.media_core.face.mesh.layout as layout
from talking_heads.media_core.face.landmarks.raw_track import smooth_points
from talking_heads.media_core.face.mesh.attention import SIZE
from talking_heads.media_core.face.mesh.squares import square_of_points

MOUTH, EYES = slice(48, 68), slice(36, 48)
INNER_LIPS = ((61, 67), (62, 66), (63, 65))  # upper, lower
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))
CLOSED = 0.006  # the reference's gap below which lips count as closed
ELSEWHERE = 0.5  # mean distance from which two trackers follow different faces
FPS = 25.0  # about the rate of the videos
_LEAST = 10  # frames for a correlation
_NOISE_FRAMES = 7
_LAGS = range(-3, 4)  # frames by which lips may be ahead of or behind the loudness


def eye_distance(points: np.ndarray) -> np.ndarray:  # [..., 68, 2] -> [...]
    return np.linalg.norm(points[..., 45, :] - points[..., 36, :], axis=-1)


def opening(points: np.ndarray, pairs: tuple[tuple[int, int], ...] = INNER_LIPS) -> np.ndarray:  # [..., 68, 2] -> [...]
    """Mean signed gap of pairs of points (upper, lower), in distances of the eye corners."""
    way = points[..., 45, :] - points[..., 36, :]
    down = np.stack([-way[..., 1], way[..., 0]], -1) / (way ** 2).sum(-1, keepdims=True)
    gaps = [((points[..., low, :] - points[..., high, :]) * down).sum(-1) for high, low in pairs]
    return np.mean(gaps, 0)


def lids(points: np.ndarray) -> np.ndarray:  # [..., 68, 2] -> [...]
    return opening(points, LIDS)


def off(points: np.ndarray, reference: np.ndarray, part: slice = slice(None)) -> np.ndarray:  # [..., 68, 2] twice -> [...]
    """Mean distance of points, in the reference's distances of the eye corners."""
    return np.linalg.norm(points[..., part, :] - reference[..., part, :], axis=-1).mean(-1) / eye_distance(reference)


def jitter(points: np.ndarray) -> float:  # [T, 68, 2]
    """Median second difference over time of all points; the frames' own motion is in it."""
    second = np.linalg.norm(np.diff(points, 2, axis=0), axis=-1)
    second = second[np.isfinite(second).all(1)]
    return float(np.median(second)) / mean(eye_distance(points)) if len(second) else float("nan")


def noise(points: np.ndarray) -> float:  # [T, 68, 2]
    """Median distance of the points (without the mouth) from the parabola through the seven frames about each: what is left of
    the jitter without the head's own smooth motion."""
    if len(points) < _NOISE_FRAMES:
        return float("nan")
    rows = np.vander(np.arange(_NOISE_FRAMES), 3)
    weights = np.eye(_NOISE_FRAMES)[_NOISE_FRAMES // 2] - (rows @ np.linalg.pinv(rows))[_NOISE_FRAMES // 2]
    count = len(points) - _NOISE_FRAMES + 1
    left = sum(weight * points[k:k + count, :MOUTH.start] for k, weight in enumerate(weights))
    away = np.linalg.norm(left, axis=-1)
    away = away[np.isfinite(away).all(1)]
    return float(np.median(away)) / mean(eye_distance(points)) if len(away) else float("nan")


def mean(values: np.ndarray) -> float:
    """Of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def deviation(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else float("nan")


def correlation(a: np.ndarray, b: np.ndarray) -> float:  # [T], [T]; NaN are left out
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < _LEAST or min(np.ptp(a[known]), np.ptp(b[known])) == 0:
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])


def slope(a: np.ndarray, b: np.ndarray) -> float:  # [T], [T]
    """By how much `a` changes when `b` changes by 1: least squares, so that noise of `a` does not add to it."""
    known = np.isfinite(a) & np.isfinite(b)
    return float(np.polyfit(b[known], a[known], 1)[0]) if known.sum() >= _LEAST and np.ptp(b[known]) > 0 else float("nan")


def amplitude(a: np.ndarray, b: np.ndarray) -> float:  # [T], [T]
    """Ratio of the standard deviations."""
    known = np.isfinite(a) & np.isfinite(b)
    return float(a[known].std() / b[known].std()) if known.sum() >= _LEAST and np.ptp(b[known]) > 0 else float("nan")


def against_sound(gap: np.ndarray, loudness: np.ndarray) -> float:  # [T], [T]
    """Correlation of the lips' opening with loudness at the best of a few delays. It needs no other tracker to be judged by."""
    count = min(len(gap), len(loudness))
    found = [correlation(gap[max(0, lag):count + min(0, lag)], loudness[max(0, -lag):count - max(0, lag)]) for lag in _LAGS]
    return float(np.nanmax(found)) if np.isfinite(found).any() else float("nan")


def half_pixel_off(points: np.ndarray, mirrored: bool = False) -> np.ndarray:  # [..., 478, 3] px as MediaPipe gives them
    """The same, corrected: MediaPipe samples its crop half a pixel off, so that all points lie half a pixel of the crop to its
    right and bottom (of points of the mirrored image that were mirrored back: left and bottom)."""
    out = points.copy()
    for face in out.reshape(-1, *points.shape[-2:]):
        if np.isfinite(face).all():
            square = square_of_points(face[layout.MIRROR] if mirrored else face)
            across, down = np.array([np.cos(square.angle), np.sin(square.angle)]), \
                np.array([-np.sin(square.angle), np.cos(square.angle)])
            shift = down - across if mirrored else down + across
            face[:, :2] -= (shift * (0.5 * square.side / SIZE)).astype(np.float32)
    return out


def resized(points: np.ndarray, size: Sequence[int], wanted: Sequence[int]) -> np.ndarray:  # [..., 478, 3] px
    """Points of an image of `size` (H, W) in the same image of another size: videos with oblong pixels, which the pack makes
    square and MediaPipe does not."""
    down, across = wanted[0] / size[0], wanted[1] / size[1]
    scale = np.array([across, down, across], np.float32)
    return points * scale + np.array([(across - 1) / 2, (down - 1) / 2, 0], np.float32)


def turned(mesh: np.ndarray) -> np.ndarray:  # [..., 478, 3] px -> [...] degrees
    """By how much a head is turned to a side, from the depths of the eye corners: rough."""
    left, right = (mesh[..., k, :] for k in layout.OUTER_CORNERS)
    way = right - left
    return np.degrees(np.arctan2(way[..., 2], np.linalg.norm(way[..., :2], axis=-1)))


@dataclass(frozen=True)
class FilmFigures:
    """One tracker on one film against the reference."""

    frames: int
    lost: int  # frames in which the reference sees a face and the tracker does not
    alone: int  # frames in which the tracker sees a face and the reference does not
    elsewhere: int  # frames in which it follows another face
    moves: float  # standard deviation of the reference's lip opening: where it is small, `lips` compares noise
    lips: float  # correlation of the openings over time
    slope: float  # of the opening against the reference's
    amplitude: float  # ratio of standard deviations
    eyes: float  # correlation of the lids' openings
    blinks: float  # standard deviation of the reference's lids: where it is small, `eyes` compares noise
    jitter: float
    steadied: float  # jitter of the track as nodes and captures hand it on: jaw, nose and brows smoothed
    noise: float
    mouth: float  # mean distance of mouth points
    all: float  # of all points
    closed: np.ndarray  # the tracker's openings where the reference's lips are closed


def film_figures(points: np.ndarray, reference: np.ndarray, fps: float = FPS) -> FilmFigures:  # [T, 68, 2] px each
    count = min(len(points), len(reference))
    points, reference = points[:count], reference[:count]
    seen, there = np.isfinite(points).all((1, 2)), np.isfinite(reference).all((1, 2))
    away = off(points, reference) > ELSEWHERE  # NaN > x is false
    own = np.where((seen & there & ~away)[:, None, None], points, np.nan)
    gap, wanted = opening(own), opening(reference)
    return FilmFigures(
        frames=count, lost=int((there & ~seen).sum()), alone=int((seen & ~there).sum()), elsewhere=int(away.sum()),
        moves=deviation(wanted), lips=correlation(gap, wanted), slope=slope(gap, wanted), amplitude=amplitude(gap, wanted),
        eyes=correlation(lids(own), lids(reference)), blinks=deviation(lids(reference)), jitter=jitter(own),
        steadied=jitter(smooth_points(own, fps)),
        noise=noise(own), mouth=mean(off(own, reference, MOUTH)), all=mean(off(own, reference)),
        closed=gap[np.isfinite(gap) & (wanted < CLOSED)])


def read_as_closed(gaps: np.ndarray, limit: float) -> float:  # [N] openings where the reference's lips are closed
    return float((gaps < limit).mean()) if len(gaps) else float("nan")
