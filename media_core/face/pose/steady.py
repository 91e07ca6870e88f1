"""Steadier head poses: points of skin and hair, followed by optical flow, join the landmarks.

Landmarks err by half a pixel, a little differently in every frame, and a Gaussian avatar turns that into blur. Corners of the
upper face and the hair can be followed to a tenth of a pixel from a few reference frames straight to every other one (so nothing
drifts). Their places in the head are unknown: triangulation from all frames' poses and poses from all points take turns. Hair and
brow are round, and their edges seem to slide as the head turns: corners of references seen from nearly the same side count most.
Never used for lips or lids. The idea, tracked rigid keypoints and a bundle adjustment against jitter, is
SyncTalk's (docs/capture.md#head-pose); this way of doing it is our own.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...blocks import blocks
from ...errors import FileFormatError
from ...files import load_tensors, save_tensors
from ...read_ahead import for_all, mapped
from ...schema import COUNT, described, many, record, whole
from ...tensor_schema import Numbers, fitting
from ...torch_threads import one_thread_each
from ..geometry import RIGID
from ..landmarks.mean_face import MeanFace
from ..track import FaceTrack, with_depth
from . import pnp
from .brows import FOLLOWED, followed_brows, with_brows
from .flow import corners, followed, spread_out
from .pose import from_camera, smooth_poses, solve_poses, to_camera
from .rigid_shape import RigidShape, sigma

KIND, VERSION = "pose_anchors", 1
_SETTINGS = record({"frames": many(whole(0, COUNT))})
_TENSORS = {"reference": Numbers(("N",), (torch.int64,)), "xy": Numbers(("N", 2)), "points": Numbers(("N", 3)),
            "landmarks": Numbers(("R", 68, 2))}
REFERENCES, CORNERS = 12, 40  # reference frames, corners in each
WINDOW = 5                # frames at 25 fps of the smoothing that is left to do
_ROUNDS = 4               # of taking turns
_OFF = 0.15 / 256         # of the image's width: how far off a followed corner typically is
_TURN = np.radians(3.0)   # from its reference, at which a corner is twice as far off; its square counts
_ABSENT = 1e3             # times that: a corner that was lost
_LEAST = 15               # corners a frame needs; else its pose stays as the landmarks gave it
_LEAST_SEEN = 0.2         # of the frames a corner must be seen in
_UNSTEADY = 3.0           # times the median error: a corner that does not belong to the skull


@dataclass(frozen=True)
class Anchors:
    """Points fixed to one person's skull, and where they are seen in reference frames."""

    frames: tuple[int, ...]  # numbers of the reference frames
    reference: np.ndarray    # int64 [N] which of them
    xy: np.ndarray           # float32 [N, 2] px there
    points: np.ndarray       # float32 [N, 3] metres, head's frame
    landmarks: np.ndarray    # float32 [references, 68, 2] px of the face in the reference frames

    def save(self, path: str | os.PathLike) -> Path:
        """Writes one safetensors file."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name)))
                   for name in ("reference", "xy", "points", "landmarks")}
        return save_tensors(path, tensors, kind=KIND, version=VERSION, config={"frames": list(self.frames)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Anchors:
        """Reads a file of `save`.

        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or with entries that no anchors have.
        """
        tensors, config = load_tensors(path, kind=KIND, version=VERSION)
        name, again = Path(path).name, "Delete it and capture the video again"
        frames = described(config, _SETTINGS, name, again)["frames"]
        fitting(tensors, _TENSORS, name, again, {"R": len(frames)})
        reference = tensors["reference"]
        if len(reference) and not 0 <= int(reference.min()) <= int(reference.max()) < len(frames):
            raise FileFormatError(f"Every anchor must belong to one of the {len(frames)} reference frames",
                                  f"{int(reference.min())} to {int(reference.max())} in {name}", again)
        return cls(tuple(frames), **{part: tensors[part].numpy() for part in _TENSORS})


def steady(track: FaceTrack, picture: Callable[[int], np.ndarray], *, known: tuple[Anchors, Sequence[np.ndarray]] | None = None,
           window: int = WINDOW, cuts: Sequence[int] = (),
           step: Callable[[int, int], object] = lambda done, total: None) -> tuple[FaceTrack, Anchors | None]:
    """The track with better poses and brows, and the anchors they were measured with (None: too few corners; the track stays as
    it was). Its action units stay: see `expressed`.

    Args:
        track: measured by landmarks.
        picture: number -> uint8 [H, W] grey frame of the track's image size; called once or twice for each frame, by several
            threads.
        known: anchors of another video of this person and their reference images, so that poses share its head frame exactly.
        window: of the smoothing that remains, frames at 25 fps; below 5 none.
        cuts: frames that begin another shot.
        step: called with (frames done, frames).
    """
    points = track.landmarks.points[..., :2].double().numpy()
    seen_face = track.confidence.numpy() > 0
    if known is None:
        chosen = spread_out(track.pose.camera_to_head.numpy(), seen_face, REFERENCES)
        pictures = [picture(f) for f in chosen]
        marks = [corners(image, points[f], CORNERS) for image, f in zip(pictures, chosen)]
        anchors = Anchors(frames=tuple(chosen), reference=np.repeat(np.arange(len(chosen)), [len(m) for m in marks]),
                          xy=np.concatenate(marks), points=np.zeros((sum(len(m) for m in marks), 3), np.float32),
                          landmarks=points[chosen].astype(np.float32))
    else:
        anchors, pictures = known
    if len(anchors.xy) < _LEAST:
        return track, None
    flow, brows = _flow(anchors, pictures, points, seen_face, picture, step, brow=track.tracker in FOLLOWED)
    poses = to_camera(track.pose.camera_to_head.numpy())
    if known is None:
        flow, anchors, poses = _adjusted(flow, anchors, poses, points, track.shape, seen_face)
    else:
        poses = _posed(flow, anchors, poses, points, track.shape, seen_face)
    enough = np.isfinite(flow[..., 0]).sum(1) >= _LEAST
    if enough.sum() < max(2, len(points) // 2):
        return track, None
    return _with_poses(track, poses, enough, brows, window, cuts), anchors


def _flow(anchors, pictures, points, seen_face, picture, step, brow) -> tuple[np.ndarray, np.ndarray]:
    """The corners' places, float32 [T, N, 2], and the brows' from each reference, [K, T, 10, 2]; NaN where lost."""
    out = np.full((len(points), len(anchors.xy), 2), np.nan, np.float32)
    brows = np.full((len(pictures), len(points), 10, 2), np.nan, np.float32)
    owns = [anchors.reference == k for k in range(len(pictures))]

    def follow(index: int) -> int:
        image = picture(index)
        for k, own in enumerate(owns):
            if own.any():
                out[index, own] = followed(pictures[k], image, anchors.xy[own], anchors.landmarks[k], points[index])
            if brow:
                brows[k, index] = followed_brows(pictures[k], image, anchors.landmarks[k], points[index])
        return index

    with one_thread_each(), closing(mapped(follow, map(int, np.flatnonzero(seen_face)))) as done:
        for index in done:
            step(index + 1, len(points))
    return out, brows


def _adjusted(flow, anchors, poses, points, shape, seen_face):
    """Triangulation and poses in turns; corners that do not move with the skull are left out on the way. Uses up `flow`."""
    kept = np.isfinite(flow[..., 0]).mean(0) >= _LEAST_SEEN
    flow, anchors = _only(flow, kept), replace(anchors, reference=anchors.reference[kept], xy=anchors.xy[kept])
    place = np.zeros((flow.shape[1], 3))
    for turn in range(_ROUNDS):
        if flow.shape[1] < _LEAST:
            break
        place, error = triangulated(flow, poses, shape)
        good = error <= _UNSTEADY * np.median(error)
        if turn and not good.all():
            flow, place = _only(flow, good), place[good]
            anchors = replace(anchors, reference=anchors.reference[good], xy=anchors.xy[good])
        anchors = replace(anchors, points=place.astype(np.float32))
        poses = _posed(flow, anchors, poses, points, shape, seen_face)
    return flow, anchors, poses


def _only(flow: np.ndarray, kept: np.ndarray) -> np.ndarray:  # [T, N, 2], bool [N] -> [T, n, 2]
    """Some of the corners, in the same memory: a long video has no room for both."""
    count, flat = 2 * np.count_nonzero(kept), flow.reshape(-1)
    for block in blocks(len(flow)):
        flat[block.start * count:block.stop * count] = flow[block][:, kept].ravel()
    return flat[:len(flow) * count].reshape(len(flow), -1, 2)


def triangulated(flow: np.ndarray, poses: tuple[np.ndarray, np.ndarray], shape: RigidShape) -> tuple[np.ndarray, np.ndarray]:
    """Where the rays of each corner pass closest: [N, 3] metres, and the median error [N] px; two passes, the second robust."""
    rotation, translation = poses
    place, error = np.zeros((flow.shape[1], 3)), np.zeros(flow.shape[:2], np.float32)
    typical = np.inf
    for _ in range(2):
        normal, right = np.zeros((flow.shape[1], 3, 3)), np.zeros((flow.shape[1], 3))
        for block in blocks(len(flow)):
            uv = np.nan_to_num((flow[block] - pnp.middle(shape.image_size)) / shape.focal)
            w = np.isfinite(flow[block, :, 0]) / (1 + (np.nan_to_num(error[block]) / (2 * typical + 1e-9)) ** 2)
            r, t = rotation[block], translation[block]
            rows = r[:, None, :2] - uv[..., None] * r[:, None, 2:]               # [b, N, 2, 3]
            values = uv * t[:, None, 2:] - t[:, None, :2]                        # [b, N, 2]
            normal += np.einsum("bnki,bnkj,bn->nij", rows, rows, w)
            right += np.einsum("bnki,bnk,bn->ni", rows, values, w)
        place = np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
        for block in blocks(len(flow)):
            there = pnp.project(place, rotation[block], translation[block], shape.focal, shape.image_size)
            error[block] = np.linalg.norm(there - flow[block], axis=-1)
        typical = np.nanmedian(error)
    return place, np.nanmedian(error, axis=0)


def _posed(flow, anchors: Anchors, poses, points, shape: RigidShape, seen_face):
    """Poses from landmarks and corners together; frames without a face keep theirs."""
    rotation, translation = (p.copy() for p in poses)
    place = anchors.points.astype(np.float64)
    ways, _ = to_camera(solve_poses(anchors.landmarks, shape)[0])  # of the references
    solid = np.concatenate([shape.points[list(RIGID)], place])
    away = float(np.median(translation[:, 2]))
    off = _OFF * shape.image_size[1] * away / shape.focal  # metres
    known = np.flatnonzero(seen_face)

    def pose(block: slice) -> None:
        rows = known[block]
        lost = ~np.isfinite(flow[rows, :, 0])
        there = pnp.project(place, rotation[rows], translation[rows], shape.focal, shape.image_size)
        pixels = np.concatenate([points[rows][:, RIGID], np.where(lost[..., None], there, flow[rows])], 1)
        doubt = 1 + (_turned(rotation[rows], ways) / _TURN) ** 2
        typical = np.concatenate([np.tile(sigma(MeanFace.load()), (len(rows), 1)),
                                  np.where(lost, _ABSENT * off, off * doubt[:, anchors.reference])], 1)
        rotation[rows], translation[rows] = pnp.solve(pixels, solid, typical, shape.focal, shape.image_size)

    for_all(pose, blocks(len(known), 64))
    return rotation, translation


def _turned(rotation: np.ndarray, ways: np.ndarray) -> np.ndarray:  # [T, 3, 3], [K, 3, 3] -> [T, K] rad
    """By what angle each frame's head is turned away from each reference's."""
    cosine = (np.einsum("tij,kij->tk", rotation, ways) - 1) / 2
    return np.arccos(cosine.clip(-1, 1))


def _with_poses(track: FaceTrack, poses, enough, brows, window, cuts) -> FaceTrack:
    """The new poses, lightly smoothed, where there were enough corners, the landmarks' own elsewhere; and the followed brows."""
    made = torch.from_numpy(from_camera(*poses))
    made[~torch.from_numpy(enough)] = track.pose.camera_to_head[~torch.from_numpy(enough)]
    pose = smooth_poses(track.pose.with_data(made), window, weight=np.where(enough, 1.0, 0.1), cuts=cuts)
    flat = track.landmarks.points[..., :2].double().numpy()
    if track.tracker in FOLLOWED:
        flat = with_brows(flat, brows, pose, track.shape, cuts)
    depth = torch.from_numpy(with_depth(flat, pose, track.shape))
    return replace(track, pose=pose, landmarks=track.landmarks.with_data(depth))
