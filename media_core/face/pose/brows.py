"""Brow landmarks by optical flow from the reference frames of `steady`.

The networks that learnt from renders place a brow partly by where brows usually are: they miss up to a third of its movement,
slowly, so that no smoothing helps. The brow's own texture, compared with reference frames, tells how far it went. Where a brow is
on average remains what the landmarks say; from there it shifts, slants and stretches, and where it cannot be followed the
landmarks' movement counts. The face mesh has no such fault, and on real people its brows are the steadier ones: they stay.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...motion import PoseTrack
from ..geometry import BROWS, inter_ocular
from . import pnp
from .flow import matched
from .pose import smoothed_rows, to_camera
from .rigid_shape import RigidShape

FOLLOWED = ("rendered",)  # the trackers whose brows are followed
_SIDES = (slice(0, 5), slice(5, 10))
_WINDOW = 0.12      # side of the patch that is compared, in distances of the outer eye corners: a larger one sees the eye
_AWAY = 0.08        # of the same: a match this far from its landmark is a wrong one
_LEAST_SEEN = 0.2   # of the frames a point must be followed to
_LANDMARKS = 0.1    # weight of the landmarks' own movement, beside 1 for each reference
_ROUNDS = 8         # of finding where each reference sees the points, and how the points move
_SMOOTHED = 7       # frames at 25 fps that a brow's movement is smoothed over


def followed_brows(reference: np.ndarray, image: np.ndarray, landmarks: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where the brows of the reference are in the image.

    Args:
        reference, image: uint8 [H, W] of one size.
        landmarks, points: [68, 2] px of the face in the reference and in the image.
    Returns:
        float32 [10, 2] px; NaN where the way back does not lead home.
    """
    unit = float(inter_ocular(landmarks))
    return matched(reference, image, landmarks[BROWS], points[BROWS], unit, window=_WINDOW, away=_AWAY)


def with_brows(points: np.ndarray, flow: np.ndarray, pose: PoseTrack, shape: RigidShape, cuts: Sequence[int] = ()) -> np.ndarray:
    """The landmarks with brows that move as they were followed.

    Args:
        points: [T, 68, 2] px.
        flow: [K, T, 10, 2] px from K references, NaN where lost.
        pose: of the T frames.
        shape: the person; gives the brows' depth.
        cuts: frames that begin another shot.
    Returns:
        float64 [T, 68, 2] px.
    """
    rotation, translation = to_camera(pose.camera_to_head.numpy())
    depth = shape.points[BROWS, 2].astype(np.float64)
    own = _in_head(points[:, BROWS], rotation, translation, depth, shape)
    seen = _in_head(flow, rotation, translation, depth, shape)             # [K, T, 10, 2]
    found = np.isfinite(seen[..., 0])
    found &= found.mean(1, keepdims=True) >= _LEAST_SEEN
    seen = np.where(found[..., None], seen, 0.0)
    rest, placed, trust = np.median(own, axis=0), own, found.astype(np.float64)
    for window in (*_ROUNDS * (0,), round(_SMOOTHED * pose.fps / 25)):
        apart = (found[..., None] * (placed - seen)).sum(1, keepdims=True) / np.maximum(found.sum(1), 1)[:, None, :, None]
        moves = np.concatenate([own[None], seen + apart]) - rest
        weight = np.concatenate([np.full((1, *found.shape[1:]), _LANDMARKS), trust])
        placed = rest + np.concatenate([_linear(moves[:, :, side], weight[:, :, side], rest[side, 0], window, cuts)
                                        for side in _SIDES], 1)
        trust = found * _trust(np.where(found, np.linalg.norm(seen + apart - placed, axis=-1), np.nan))[:, None]
    out = points.astype(np.float64)
    out[:, BROWS] = _in_image(placed, rotation, translation, depth, shape)
    return out


def _trust(off: np.ndarray) -> np.ndarray:  # [K, T, 10] metres, NaN where lost -> [K, 10]
    """What each point of each reference counts, by how far it typically is from where the others put it."""
    count = np.isfinite(off).sum(1)
    typical = np.sqrt(np.nansum(off ** 2, 1) / np.maximum(count, 1))
    middle = np.median(typical[count > 0]) if count.any() else 1.0
    return 1 / (1 + (typical / max(float(middle), 1e-9)) ** 4)


def _linear(moves: np.ndarray, weight: np.ndarray, x: np.ndarray, window: int, cuts: Sequence[int]) -> np.ndarray:
    """In every frame the movement that is linear along the brow and fits all best, smoothed by how much each frame tells.

    Args:
        moves, weight: [K, T, 5, 2] and [K, T, 5].
        x: [5] where the points stand along the brow.
    Returns:
        [T, 5, 2].
    """
    basis = np.stack([np.ones_like(x), (x - x.mean()) / max(float(np.ptp(x)), 1e-6)], 1)
    normal = np.einsum("ktp,pa,pb->tab", weight, basis, basis)
    right = np.einsum("ktp,pa,ktpd->tad", weight, basis, moves)
    rows = np.linalg.solve(normal, right).reshape(len(right), -1)
    rows = smoothed_rows(rows, normal[:, 0, 0], window, cuts)
    return basis @ rows.reshape(right.shape)


def _in_head(pixels, rotation, translation, depth, shape: RigidShape) -> np.ndarray:  # [..., T, m, 2] px -> [..., T, m, 2] metres
    """Where the rays of the pixels meet the depth that the points have in the head: x and y there."""
    flat = (np.asarray(pixels, np.float64) - pnp.middle(shape.image_size)) / shape.focal
    ray = np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], -1) @ rotation
    eye = -(translation[:, None] @ rotation)                               # [T, 1, 3]: the camera in the head's frame
    return eye[..., :2] + ((depth - eye[..., 2]) / ray[..., 2])[..., None] * ray[..., :2]


def _in_image(places, rotation, translation, depth, shape: RigidShape) -> np.ndarray:  # [T, m, 2] metres -> [T, m, 2] px
    solid = np.concatenate([places, np.broadcast_to(depth, places.shape[:2])[..., None]], -1)
    camera = solid @ rotation.transpose(0, 2, 1) + translation[:, None]
    return camera[..., :2] / camera[..., 2:] * shape.focal + pnp.middle(shape.image_size)
