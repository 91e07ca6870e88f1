"""Landmarks as AToM wants them: 3-D, looking to the front, in decimetres, from a video or one portrait, without a 3DMM.

Taking the pose off the pixels gives x and y; z is not measured (no detector's z is worth it: docs/capture.md) but comes from
the person's fitted shape and, for lips and chin, from what the visible moves tell (`MeanFace.relief`). Offsets from `mean_face()`
in centimetres have the meaning of the published "idexp" numbers, though not their basis.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ...blocks import blocks
from ...errors import TalkingHeadsError
from ...motion import LandmarkTrack
from ..landmarks.mean_face import MeanFace, features
from .pnp import middle
from .rigid_shape import RigidShape, fit_shape

if TYPE_CHECKING:
    from ..track import FaceTrack

DECIMETRES = 10.0         # in a metre
_MOST_RELIEF = 0.012      # metres a point may move along z
_ROUNDS = 2               # depth tells x and y, these tell depth


def canonical_landmarks(track: FaceTrack) -> LandmarkTrack:
    """A video's landmarks with the head's pose taken off: space "canonical", decimetres."""
    points, poses = track.landmarks.points[..., :2].numpy(), track.pose.camera_to_head.numpy()
    solid = np.empty((*points.shape[:2], 3), np.float32)
    for rows in blocks(len(points)):
        solid[rows] = deposed(points[rows], poses[rows], track.shape) * DECIMETRES
    return LandmarkTrack(torch.from_numpy(solid), track.fps)


def canonical_portrait(points: np.ndarray, image_size: tuple[int, int], focal: float | None = None) -> LandmarkTrack:
    """One portrait's landmarks, turned to the front: a track of one frame.

    Args:
        points: [68, 2] px.
        image_size: (H, W) px.
        focal: px; None means 2.2 times the width.
    Raises:
        TalkingHeadsError: not 68 finite points, or points without a size.
    """
    from .pose import solve_poses

    points = np.asarray(points, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise TalkingHeadsError("A portrait needs 68 finite points", f"{list(points.shape)}", "Track the face again")
    if np.ptp(points, axis=0).min() < 1:
        raise TalkingHeadsError("A portrait's points must span more than a pixel", f"{np.ptp(points, axis=0).min():.3g} px",
                                "Track the face again")
    shape = fit_shape(points[None], image_size, focal)
    poses, _ = solve_poses(points[None], shape)
    solid = deposed(points[None], poses, shape)
    return LandmarkTrack(torch.from_numpy((solid * DECIMETRES).astype(np.float32)))


def mean_face() -> np.ndarray:  # -> float32 [68, 3]
    """The face that canonical landmarks are compared with, decimetres, at rest."""
    return (MeanFace.load().points * DECIMETRES).astype(np.float32)


def deposed(points: np.ndarray, camera_to_head: np.ndarray, shape: RigidShape) -> np.ndarray:
    """Pixels back into the head's frame.

    Args:
        points: [T, 68, 2] px of the shape's image size.
        camera_to_head: [T, 4, 4] OpenGL axes, metres.
        shape: the person; gives the depth of every point at rest.
    Returns:
        float64 [T, 68, 3] metres, x right, y up, z to the viewer.
    """
    poses = np.asarray(camera_to_head, np.float64)
    flat = (np.asarray(points, np.float64) - middle(shape.image_size)) / shape.focal
    ray = np.concatenate([flat * [1, -1], -np.ones((*flat.shape[:2], 1))], -1) @ poses[:, :3, :3].transpose(0, 2, 1)
    eye = poses[:, None, :3, 3]
    rest, relief = shape.points.astype(np.float64), MeanFace.load().relief
    depth = np.broadcast_to(rest[:, 2], ray.shape[:2])
    for _ in range(_ROUNDS):
        side = (eye + ((depth - eye[..., 2]) / ray[..., 2])[..., None] * ray)[..., :2]
        move = (features(side - rest[:, :2]) * relief).sum(-1)
        depth = rest[:, 2] + np.clip(move, -_MOST_RELIEF, _MOST_RELIEF)
    return eye + ((depth - eye[..., 2]) / ray[..., 2])[..., None] * ray
