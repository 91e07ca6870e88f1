"""How far from the camera a head's surface is in one frame: where the first Gaussians of a branch go.

A recording with little turning hardly tells depth, and a short training moves Gaussians by millimetres. Where they start is then
where they stay, and a nose that starts 3 cm too deep slides over the cheeks in every pose the training has not seen. So the
outline is inflated into a relief, and that is bent to pass through the mean face, laid over the frame's landmarks.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.face.geometry import RIGID
from ...media_core.face.landmarks.mean_face import MeanFace
from ...media_core.face.pose import pnp
from ...media_core.face.pose.rigid_shape import sigma

RELIEF = 0.75  # depth of the relief over the half-width of the mask
REACH = 0.15  # of the distance of the outer eye corners: how far around a landmark its depth holds
LET_GO = 0.1  # weight of the relief beside the landmarks'
CORNERS = (36, 45)  # outer corners of the eyes
INNER_LIPS = slice(60, 68)
BEHIND_LIPS = 0.008  # m from the lips' inner edge to the teeth
HEAD = 0.13  # m from the head's origin; farther away no part of a face is, whatever landmarks say


def inflated(mask: Tensor, origin_depth: float, focal: float) -> Tensor:  # bool [H, W] -> float [H, W] m
    """Depth of the mask's relief: at the outline as far as the head's origin, nearer the farther inside."""
    reach = distance_to_outline(mask)
    half = float(reach.max()) * origin_depth / focal
    level = (reach / reach.max().clamp_min(1e-6)).clamp(0, 1)
    return origin_depth - RELIEF * half * (1 - (1 - level).square()).sqrt()


def distance_to_outline(mask: Tensor) -> Tensor:  # bool [H, W] -> float [H, W] px
    """Exact Euclidean distance of every inside pixel to the nearest outside one."""
    from scipy.ndimage import distance_transform_edt

    padded = torch.nn.functional.pad(mask.cpu(), (1, 1, 1, 1))
    return torch.from_numpy(distance_transform_edt(padded.numpy())).float()[1:-1, 1:-1]


@dataclass(frozen=True)
class Sight:
    """What a frame tells of a head's depth."""

    landmarks: np.ndarray  # float [68, 2] px x y
    away: float  # m from the camera to the head's origin
    focal: float  # px
    size: tuple[int, int]  # (H, W)


def landmark_depths(seen: Sight) -> np.ndarray | None:  # -> float64 [68] m
    """How far from the camera the mean face's points are where it lies over the frame's landmarks; None: those show no face."""
    mean, rows = MeanFace.load(), list(RIGID)
    points = np.asarray(seen.landmarks, np.float64)[rows]
    if np.ptp(points, axis=0).min() < 1:
        return None
    rotation, translation = pnp.solve(points[None], mean.points[rows], sigma(mean), seen.focal, seen.size)
    depth = (mean.points @ rotation[0].T + translation[0])[:, 2]
    depth = depth * (seen.away / translation[0, 2])  # a head as large as the recording's poses have it
    return depth.clip(seen.away - HEAD, seen.away + HEAD)


def head_depth(seen: Sight, mask: Tensor, face: Tensor) -> Tensor:  # bool [H, W] x 2 -> float [H, W] m
    """The surface of the head in `mask`: its relief, bent to the landmarks' depths where the `face` is."""
    relief, depths = inflated(mask, seen.away, seen.focal), landmark_depths(seen)
    if depths is None:
        return relief
    points = np.asarray(seen.landmarks, np.float64)
    height, width = mask.shape
    column, row = (np.rint(points[:, i]).astype(int).clip(0, last - 1) for i, last in ((0, width), (1, height)))
    lacking = torch.from_numpy(depths).float() - relief[row, column]
    reach = REACH * float(np.linalg.norm(points[CORNERS[0]] - points[CORNERS[1]]))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    weight = torch.stack([torch.exp(-((x - px).square() + (y - py).square()) / (2 * reach ** 2)) for px, py in points.tolist()])
    return relief + torch.einsum("n,nhw->hw", lacking, weight) / (weight.sum(0) + LET_GO) * face


def mouth_depth(seen: Sight, mask: Tensor) -> Tensor:  # bool [H, W] -> float [H, W] m
    """The inside of the mouth: close behind the lips."""
    depths = landmark_depths(seen)
    lips = seen.away if depths is None else float(depths[INNER_LIPS].mean())
    return torch.full(mask.shape, lips + BEHIND_LIPS)
