"""Where the head is in every frame: solved from its rigid points, smoothed without delay, written the way other tools read it.

    shape = fit_shape(points, image_size)
    poses, reprojection = solve_poses(points, shape)
    track = smooth_poses(PoseTrack(torch.from_numpy(poses), shape.focal, image_size, fps))

docs/capture.md#head-pose (method), docs/hmtalker.md#camera (conventions).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...blocks import blocks
from ...errors import TalkingHeadsError
from ...motion import PoseTrack
from ...read_ahead import for_all
from ..geometry import RIGID
from ..landmarks.mean_face import MeanFace
from . import pnp
from .rigid_shape import RigidShape, fit_shape, sigma

__all__ = ["RigidShape", "fit_shape", "from_camera", "reprojected", "smooth_poses", "solve_poses", "to_camera", "to_gsplat",
           "to_talkinggaussian"]
WINDOW = 13               # frames at 25 fps that a smoothed pose looks at; others scale with the rate
_FLAT = np.array([1.0, -1.0, -1.0])  # OpenGL camera axes <-> OpenCV camera axes
_LEAST_WEIGHT = 0.02      # of a frame that is hardly trusted: keeps a fit over nothing but such frames solvable


def solve_poses(points: np.ndarray, shape: RigidShape, *, cuts: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The camera's place in the head's frame for every frame.

    Args:
        points: [T, 68, 2] px of the shape's image size; NaN in frames without a face.
        shape: the person.
        cuts: frames that begin a new shot: nothing is interpolated across them.
    Returns:
        camera_to_head float32 [T, 4, 4] (OpenGL axes, metres), frames without a face between their neighbours' poses; and
        float32 [T] the rigid points' mean distance from where the shape puts them, px, NaN in those frames.
    Raises:
        TalkingHeadsError: no frame with a face.
    """
    points = np.asarray(points, np.float64)[:, RIGID]
    known = np.flatnonzero(np.isfinite(points).all((1, 2)))
    if not len(known):
        raise TalkingHeadsError("Poses need at least one frame with a face", f"{len(points)} frames without any",
                                "Check the video and the tracking")
    solid, off = shape.points[list(RIGID)].astype(np.float64), sigma(MeanFace.load())
    rotation, translation = np.empty((len(known), 3, 3)), np.empty((len(known), 3))
    reprojection = np.full(len(points), np.nan, np.float32)

    def solved(block: slice) -> None:
        seen = points[known[block]]
        rotation[block], translation[block] = pnp.solve(seen, solid, off, shape.focal, shape.image_size)
        flat = pnp.project(solid, rotation[block], translation[block], shape.focal, shape.image_size)
        reprojection[known[block]] = np.linalg.norm(flat - seen, axis=-1).mean(1)

    for_all(solved, blocks(len(known)))
    return from_camera(*_everywhere(known, rotation, translation, len(points), cuts)), reprojection


def smooth_poses(track: PoseTrack, window: int = WINDOW, *, weight: np.ndarray | None = None,
                 cuts: Sequence[int] = ()) -> PoseTrack:
    """Savitzky-Golay of order 2 on sign-fixed quaternions and on the head's place before the camera: no delay, turns keep size.

    Args:
        track: the poses.
        window: frames at 25 fps; scaled to the track's rate and made odd. Below 5 nothing changes.
        weight: [T] 0..1 how much a frame counts in its neighbours' and its own fit; None: all alike.
        cuts: frames that begin a new shot: none is smoothed across.
    """
    window = 2 * round((window * track.fps / 25 - 1) / 2) + 1
    if window < 5:
        return track
    rotation, translation = to_camera(track.camera_to_head.numpy())
    rows = np.concatenate([_quaternions(rotation), translation], 1)
    weight = np.maximum(np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64), _LEAST_WEIGHT)
    rows = smoothed_rows(rows, weight, window, cuts)
    from scipy.spatial.transform import Rotation

    smooth = from_camera(Rotation.from_quat(rows[:, :4]).as_matrix(), rows[:, 4:])
    return track.with_data(torch.from_numpy(smooth))


def smoothed_rows(rows: np.ndarray, weight: np.ndarray, window: int, cuts: Sequence[int] = ()) -> np.ndarray:
    """Every shot's rows [T, D] by weighted Savitzky-Golay of order 2 over `window` frames, made odd; below 5 nothing changes."""
    window = 2 * ((window - 1) // 2) + 1
    return np.concatenate([_local_parabolas(rows[start:stop], weight[start:stop], window)
                           for start, stop in _shots(len(rows), cuts)])


def reprojected(shape: RigidShape, track: PoseTrack) -> np.ndarray:  # -> float64 [T, 68, 2] px
    """The whole shape at rest, seen by the track's camera."""
    rotation, translation = to_camera(track.camera_to_head.numpy())
    return pnp.project(shape.points.astype(np.float64), rotation, translation, track.focal, track.image_size)


def to_talkinggaussian(track: PoseTrack, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """The content of a `transforms_*.json` for frames `start` to `stop` (exclusive); they keep their numbers."""
    height, width = track.image_size
    frames = [{"img_id": i, "aud_id": i, "transform_matrix": track.camera_to_head[i].double().tolist()}
              for i in range(len(track))[start:stop]]
    return {"focal_len": float(track.focal), "cx": width / 2, "cy": height / 2, "frames": frames}


def to_gsplat(track: PoseTrack) -> tuple[torch.Tensor, torch.Tensor]:
    """World-to-camera matrices float32 [T, 4, 4] with OpenCV axes, the head being the world, and K [3, 3].

    K counts pixels from the image's corner, as rasterisers do: the centre of the first pixel is (0.5, 0.5) there.
    """
    rotation, translation = to_camera(track.camera_to_head.numpy())
    viewmats = np.tile(np.eye(4, dtype=np.float32), (len(track), 1, 1))
    viewmats[:, :3, :3], viewmats[:, :3, 3] = rotation, translation
    height, width = track.image_size
    K = torch.tensor([[track.focal, 0.0, width / 2], [0.0, track.focal, height / 2], [0.0, 0.0, 1.0]])
    return torch.from_numpy(viewmats), K


def from_camera(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:  # [T, 3, 3], [T, 3] -> float32 [T, 4, 4]
    """Head's frame -> OpenCV camera, as the OpenGL camera's place in the head's frame."""
    back = rotation.transpose(0, 2, 1)
    poses = np.tile(np.eye(4, dtype=np.float32), (len(rotation), 1, 1))
    poses[:, :3, :3] = back * _FLAT
    poses[:, :3, 3] = -(back @ translation[..., None])[..., 0]
    return poses


def to_camera(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [T, 4, 4] -> float64 [T, 3, 3], [T, 3]
    """The inverse of `from_camera`."""
    poses = np.asarray(poses, np.float64)
    rotation = (poses[:, :3, :3] * _FLAT).transpose(0, 2, 1)
    return rotation, -(rotation @ poses[:, :3, 3:])[..., 0]


def _shots(count: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    edges = sorted({0, count, *(int(cut) for cut in cuts if 0 < cut < count)})
    return list(zip(edges[:-1], edges[1:]))


def _everywhere(known, rotation, translation, count, cuts) -> tuple[np.ndarray, np.ndarray]:
    """Poses of all frames: between known ones of the same shot, held at its ends; a shot without any takes the nearest pose."""
    from scipy.spatial.transform import Rotation, Slerp

    if len(known) == count:
        return rotation, translation
    out_r, out_t = np.empty((count, 3, 3)), np.empty((count, 3))
    for start, stop in _shots(count, cuts):
        own = np.flatnonzero((known >= start) & (known < stop))
        if not len(own):
            own = np.abs(known - (start + stop) / 2).argmin(keepdims=True)
        at = np.clip(np.arange(start, stop), known[own[0]], known[own[-1]])
        single = len(own) == 1
        out_r[start:stop] = rotation[own[0]] if single else Slerp(known[own], Rotation.from_matrix(rotation[own]))(at).as_matrix()
        out_t[start:stop] = np.stack([np.interp(at, known[own], axis) for axis in translation[own].T], 1)
    return out_r, out_t


def _quaternions(rotation: np.ndarray) -> np.ndarray:  # [T, 3, 3] -> [T, 4], no sign jumps
    from scipy.spatial.transform import Rotation

    q = Rotation.from_matrix(rotation).as_quat()
    flips = np.where((q[1:] * q[:-1]).sum(1) < 0, -1.0, 1.0)
    return q * np.cumprod(np.concatenate([[1.0], flips]))[:, None]


def _local_parabolas(rows: np.ndarray, weight: np.ndarray, window: int) -> np.ndarray:  # [n, D], [n] -> [n, D]
    """At every frame the value of the parabola fitted to the window around it; at the ends, to the first or last window."""
    window = min(window, len(rows) - (1 - len(rows) % 2))
    if window < 5:
        return rows
    start = np.clip(np.arange(len(rows)) - window // 2, 0, len(rows) - window)
    index = start[:, None] + np.arange(window)                            # [n, window]
    time = (index - np.arange(len(rows))[:, None]) / window
    basis = np.stack([np.ones_like(time), time, time ** 2], -1)           # [n, window, 3]
    weighted = (basis * weight[index][..., None]).transpose(0, 2, 1)
    return np.linalg.solve(weighted @ basis, weighted @ rows[index])[:, 0]
