"""Tracked points of a video to clips: unbroken pieces of one shot, each canonical landmarks and poses, as the capture makes them.

The order is that of media_core/capture (a still square around the face, jaw and nose smoothed, the person's shape fitted, poses
solved and smoothed, the pose taken off), but the chin keeps its own movement: smoothing would flatten what AToM is to learn.
Corners followed by optical flow (`steady`) and action units are left out: the first would need every image twice, the second
nobody reads here. Each shot is measured on its own: another may show somebody else.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...media_core.capture.framing import frame_face
from ...media_core.face.landmarks.raw_track import RawTrack, fill_missing, runs, smooth_points
from ...media_core.face.pose.canonical import canonical_landmarks
from ...media_core.face.track import measure
from ...media_core.motion import AU_NAMES, ExpressionTrack, LandmarkTrack, PoseTrack

SHORTEST = 1.0  # s of a piece worth keeping
GAP = 0.2       # s without a face that is bridged
CHIN = slice(4, 13)  # jaw points that speech moves


@dataclass(frozen=True)
class Piece:
    """Frames [first, stop) of a video."""

    first: int
    stop: int
    landmarks: LandmarkTrack | None = None  # canonical; None: the piece is left out
    poses: PoseTrack | None = None
    crop: Mapping[str, Any] | None = None   # the square of the video that poses refer to
    reason: str = ""                        # why it is left out


def pieces(raw: RawTrack, size: int) -> Iterator[Piece]:
    """The video's usable pieces and, with a reason, those that are not, in order.

    Args:
        raw: points of the whole video, NaN where there is no face.
        size: px, sides of the square that poses refer to.
    """
    known = bridged(raw)
    shortest, at = SHORTEST * raw.fps, 0
    for first, stop in runs(known.seen, raw.cuts):
        if first > at:
            yield Piece(at, first, reason="no face")
        at = stop
        if stop - first < shortest:
            yield Piece(first, stop, reason=f"only {(stop - first) / raw.fps:.2f} s between cuts or frames without a face")
        else:
            yield measured(known, first, stop, size)
    if at < len(raw):
        yield Piece(at, len(raw), reason="no face")


def bridged(raw: RawTrack) -> RawTrack:
    """The track with gaps of at most GAP inside a shot filled; longer ones stay unknown."""
    if raw.seen.all() or not raw.seen.any():
        return raw
    filled, _, _ = fill_missing(raw, "interpolate")
    points, edges, seen = raw.points.copy(), [0, *raw.cuts, len(raw)], raw.seen
    for begin, end in zip(edges, edges[1:]):
        there = begin + np.flatnonzero(seen[begin:end])
        for a, b in zip(there, there[1:]):
            if 1 < b - a <= GAP * raw.fps + 1:
                points[a + 1:b] = filled.points[a + 1:b]
    return replace(raw, points=points, confidence=filled.confidence)


def steadied(points: np.ndarray, fps: float) -> np.ndarray:  # [T, 68, 2] px -> float32 [T, 68, 2]
    """Tracked points of one shot for images, smoothed as the motion is: the chin keeps its own movement."""
    out = smooth_points(points.astype(np.float32), fps)
    out[:, CHIN] = points[:, CHIN]
    return out


def measured(known: RawTrack, first: int, stop: int, size: int) -> Piece:
    """One piece without cuts and unknown frames, pose taken off."""
    points = known.points[first:stop]
    crop = frame_face(points, known.image_size, size)
    seen = crop.to_crop(points).astype(np.float32)
    part = RawTrack(points=smooth_points(seen, known.fps), confidence=known.confidence[first:stop], image_size=(size, size),
                    fps=known.fps, tracker=known.tracker)
    unknown = ExpressionTrack(torch.full((stop - first, len(AU_NAMES)), torch.nan), known.fps)
    track = measure(part, expression=unknown)
    whole = track.landmarks.points.clone()
    whole[:, CHIN, :2] = torch.from_numpy(seen[:, CHIN])
    speaking = replace(track, landmarks=track.landmarks.with_data(whole))
    return Piece(first=first, stop=stop, landmarks=canonical_landmarks(speaking), poses=track.pose, crop=crop.to_dict())
