"""The 68 points in MoDiTalker's units: what the networks read, and the way there and back (docs/moditalker.md#units).

    canonical   decimetres, looking to the front: x right, y up, z to the viewer (LandmarkTrack space "canonical")
    idexp       10 x (canonical - key_mean_shape), flattened point by point: [..., 204] centimetres off the mean face
    residual    idexp - face, `face` being the idexp of a reference frame: what the denoiser predicts
    posed       canonical, turned and shifted: v R + t with row vectors
    pixels      `alignment.py`; drawn as discs by `rasters.py`

`key_mean_shape` [68, 3] dm is `media_core.face.canonical.mean_face()` for the pack's own weights, and the user's BFM
(`bfm.read_key_mean_shape`) for official ones; `registration` carries landmarks from one of these frames to the other.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..media_core.errors import TalkingHeadsError
from ..media_core.face.geometry import RIGID
from ..media_core.motion import LandmarkTrack

POINTS = 68
IDEXP_SCALE = 10.0                              # centimetres in a decimetre
LIP_RELATED = (*range(17), *range(48, 68))      # jaw and mouth, 37 points: the denoiser's lip branch
UPPER = tuple(range(17, 48))                    # brows, nose, eyes, 31 points: its other branch
FIVE = ((36, 39), (42, 45), (30,), (48,), (54,))  # points averaged: right eye (left in the image), left eye, nose tip, corners
_LEAST_SPREAD = 1e-6                            # of points whose scale is measured, in their own unit


def idexp(points: Tensor, key_mean_shape: Tensor) -> Tensor:  # [..., 68, 3], [68, 3] -> [..., 204]
    """Canonical points (dm) as offsets from the mean face in centimetres.

    Raises:
        TalkingHeadsError: other shapes.
    """
    _check(points, key_mean_shape)
    return (IDEXP_SCALE * (points - key_mean_shape.to(points))).flatten(-2)


def absolute(offsets: Tensor, key_mean_shape: Tensor) -> Tensor:  # [..., 204], [68, 3] -> [..., 68, 3]
    """The inverse of `idexp`: canonical points in decimetres.

    Raises:
        TalkingHeadsError: other shapes.
    """
    if offsets.shape[-1:] != (3 * POINTS,):
        raise TalkingHeadsError(f"Landmark offsets must have {3 * POINTS} numbers per frame", f"{list(offsets.shape)}",
                                "Give them as idexp() makes them")
    points = offsets.unflatten(-1, (POINTS, 3)) / IDEXP_SCALE
    _check(points, key_mean_shape)
    return points + key_mean_shape.to(points)


def pixel_size(track: LandmarkTrack) -> tuple[int, int]:
    """(H, W) px of the frames that a track in space "pixels" is measured in; no such track is without."""
    assert track.image_size is not None
    height, width = track.image_size
    return height, width


def rotation_from_euler(angles: Tensor) -> Tensor:  # [..., 3] rad -> [..., 3, 3]
    """(R_z R_y R_x) transposed, for row vectors: v' = v R."""
    x, y, z = angles.unbind(-1)
    one, none = torch.ones_like(x), torch.zeros_like(x)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).unflatten(-1, (3, 3))

    about_x = matrix(one, none, none, none, x.cos(), -x.sin(), none, x.sin(), x.cos())
    about_y = matrix(y.cos(), none, y.sin(), none, one, none, -y.sin(), none, y.cos())
    about_z = matrix(z.cos(), -z.sin(), none, z.sin(), z.cos(), none, none, none, one)
    return (about_z @ about_y @ about_x).mT


def posed(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:  # [..., N, 3], [..., 3, 3], [..., 3] -> [..., N, 3]
    """Canonical points turned and shifted."""
    return points @ rotation + translation[..., None, :]


def unposed(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:  # [..., N, 3], [..., 3, 3], [..., 3] -> [..., N, 3]
    """The inverse of `posed`."""
    return (points - translation[..., None, :]) @ rotation.mT


def five_points(points: Tensor) -> Tensor:  # [..., 68, D] -> [..., 5, D]
    """The eyes (between their corners), the nose tip and the corners of the mouth.

    Raises:
        TalkingHeadsError: not 68 points.
    """
    if points.ndim < 2 or points.shape[-2] != POINTS:
        raise TalkingHeadsError(f"The five points are taken from {POINTS}", f"{list(points.shape)}", "Give [..., 68, D]")
    return torch.stack([points[..., list(some), :].mean(-2) for some in FIVE], -2)


@dataclass(frozen=True)
class Registration:
    """One frame's points in another frame: x' = scale x R + shift with row vectors."""
    scale: float            # > 0
    rotation: np.ndarray    # float64 [3, 3]
    shift: np.ndarray       # float64 [3]

    def __call__(self, points: Tensor) -> Tensor:  # [..., 3] -> [..., 3]
        return (self.scale * points.double() @ torch.from_numpy(self.rotation) + torch.from_numpy(self.shift)).to(points.dtype)

    def inverse(self) -> Registration:
        back = self.rotation.T
        return Registration(1 / self.scale, back, -(self.shift @ back) / self.scale)


def registration(source: np.ndarray, target: np.ndarray, indices: Sequence[int] = RIGID) -> Registration:
    """The least-squares similarity between two mean faces (Umeyama 1991), by the points that expression hardly moves.

    Official weights expect landmarks around the BFM mean face: `to_bfm = registration(mean_face(), key_mean_shape)`, then
    `to_bfm(portrait)` goes in and `to_bfm.inverse()` takes what they generate back to the pack's own canonical frame.

    Args:
        source, target: [68, 3] each, dm.
        indices: points that count.
    Raises:
        TalkingHeadsError: not [68, 3], not finite, or points without a scale.
    """
    pair = [np.asarray(face, np.float64) for face in (source, target)]
    if any(face.shape != (POINTS, 3) or not np.isfinite(face).all() for face in pair):
        raise TalkingHeadsError("Faces are registered by 68 finite points each", " and ".join(str(f.shape) for f in pair),
                                "Give two mean faces [68, 3]")
    middles = [face[list(indices)].mean(0) for face in pair]
    a, b = (face[list(indices)] - middle for face, middle in zip(pair, middles))
    if min(float(np.abs(a).max()), float(np.abs(b).max())) < _LEAST_SPREAD:
        raise TalkingHeadsError("Registered faces must have a size", "points that all coincide", "Measure the face again")
    u, weights, v = np.linalg.svd(a.T @ b)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = (u * sign) @ v
    scale = float((weights * sign).sum() / (a ** 2).sum())
    return Registration(scale, rotation, middles[1] - scale * middles[0] @ rotation)


def _check(points: Tensor, key_mean_shape: Tensor) -> None:
    if points.shape[-2:] != (POINTS, 3) or tuple(key_mean_shape.shape) != (POINTS, 3):
        raise TalkingHeadsError("Landmarks must be [..., 68, 3] and the mean face [68, 3]",
                                f"{list(points.shape)} and {list(key_mean_shape.shape)}", "Give canonical landmarks, in dm")
