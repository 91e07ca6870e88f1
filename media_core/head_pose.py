"""Head movement for avatars: a recorded one stronger or weaker, a still head, a head that sways, ComfyUI's own 3D camera.

The world is the head and the camera moves (`motion.PoseTrack`): a head that turns by H before a camera C looks like a still head
before the camera inv(H) C.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .asked import real, whole
from .audio import frame_count
from .errors import TalkingHeadsError
from .motion import PoseTrack

MOST = 3.0  # times the recorded or usual movement
NECK = (0.0, -0.09, -0.08)  # m in the head frame, which the head turns about
_METRE = 0.0012  # of a pixel of the synthetic subject's photo, in which `head_movement` counts
_LEAST_DISTANCE = 0.05  # m, of a camera from the head's middle
_FOV = 35.0  # degrees, where a camera does not say


def compared(pose: PoseTrack) -> torch.Tensor:  # -> [T, 12]
    """Poses as points whose distance says how different they are: a metre counts as four of a rotation's numbers."""
    return torch.cat([pose.camera_to_head[:, :3, :3].flatten(1), 4 * pose.camera_to_head[:, :3, 3]], dim=1)


def moved_pose(movement: str, recorded: PoseTrack, frames: int, seed: int, amount: float) -> PoseTrack:
    """The head movement called recorded, still or sway, see `scaled_pose`, `still_pose`, `swaying_pose`.

    Args:
        frames, seed: of sway. amount: of recorded and sway.
    Raises:
        TalkingHeadsError: no such movement, or a number out of range.
    """
    if movement == "still":
        return still_pose(recorded)
    if movement == "recorded":
        return scaled_pose(recorded, amount)
    if movement != "sway":
        raise TalkingHeadsError("A head movement must be recorded, still or sway", repr(movement), "Choose one of them")
    return swaying_pose(recorded, frames, seed, amount)


def still_pose(pose: PoseTrack) -> PoseTrack:
    """One frame: the recorded pose nearest to the mean of all."""
    flat = compared(pose)
    return pose.selected([int((flat - flat.mean(0)).square().sum(1).argmin())])


def scaled_pose(pose: PoseTrack, amount: float) -> PoseTrack:
    """The movement about `still_pose` times `amount`, 0..3; 1 changes no bit, 0 is still.

    Raises:
        TalkingHeadsError: an amount out of range.
    """
    from scipy.spatial.transform import Rotation

    real("The amount of head movement", amount, 0, MOST)
    if amount == 1:
        return pose
    middle, own = still_pose(pose).camera_to_head[0].double().numpy(), pose.camera_to_head.double().numpy()
    turned = Rotation.from_matrix(middle[:3, :3].T @ own[:, :3, :3]).as_rotvec() * amount
    out = np.tile(np.eye(4), (len(pose), 1, 1))
    out[:, :3, :3] = middle[:3, :3] @ Rotation.from_rotvec(turned).as_matrix()
    out[:, :3, 3] = middle[:3, 3] + amount * (own[:, :3, 3] - middle[:3, 3])
    return pose.with_data(torch.from_numpy(out).float())


def swaying_pose(pose: PoseTrack, frames: int, seed: int, amount: float = 1.0) -> PoseTrack:
    """A generated movement about `still_pose`, as somebody has who speaks, without nods.

    Args:
        frames: 1 or more. seed: of the movement. amount: 0..3 of the usual one.
    Raises:
        TalkingHeadsError: a number out of range.
    """
    from scipy.spatial.transform import Rotation

    from .subject.performance import head_movement

    whole("The number of frames", frames, 1)
    real("The amount of head movement", amount, 0, MOST)
    rng = np.random.default_rng(whole("The seed", seed))
    euler, move, _ = head_movement(np.zeros(frames), frames, pose.fps, rng)
    turn = Rotation.from_euler("yxz", euler * amount).as_matrix()  # yaw, pitch, roll
    shift = move * (1, -1, 1) * (_METRE * amount)
    pivot, middle = np.array(NECK), still_pose(pose).camera_to_head[0].double().numpy()
    out = np.tile(np.eye(4), (frames, 1, 1))
    out[:, :3, :3] = turn.transpose(0, 2, 1) @ middle[:3, :3]
    out[:, :3, 3] = np.einsum("tji,tj->ti", turn, middle[:3, 3] - pivot - shift) + pivot
    return pose.with_data(torch.from_numpy(out).float())


def transferred_pose(pose: PoseTrack, recorded: PoseTrack) -> PoseTrack:
    """Somebody else's head movement before another camera: what turns the head away from the middle of `pose` turns it away from
    the middle of `recorded`, whose camera and distance stay. At the rate of `pose`."""
    own, middle = pose.camera_to_head.double(), still_pose(pose).camera_to_head[0].double()
    moved = own @ torch.linalg.inv(middle) @ still_pose(recorded).camera_to_head[0].double()
    return PoseTrack(moved.float(), recorded.focal, recorded.image_size, pose.fps)


def camera_pose(camera: Mapping[str, Any], image_size: tuple[int, int], fps: float) -> PoseTrack:
    """One frame, from what ComfyUI's LOAD3D_CAMERA says: right-handed, Y up, looking along -Z, metres as in Avatar Frame to
    Splat.

    Args:
        camera: `position`, and `quaternion` or `target`; `fov` degrees, vertical, and `zoom` if wanted.
        image_size: (H, W) px.
    Raises:
        TalkingHeadsError: no camera, an orthographic one, or one inside the head.
    """
    from scipy.spatial.transform import Rotation

    if str(camera.get("cameraType", "perspective")).lower().startswith("ortho"):
        raise TalkingHeadsError("The camera of an avatar must be a perspective one", "an orthographic camera",
                                "Switch the 3D viewer's camera to perspective")
    position = _vector(camera, "position")
    if float(np.linalg.norm(position)) < _LEAST_DISTANCE:
        raise TalkingHeadsError(f"The camera must be at least {_LEAST_DISTANCE * 100:g} cm from the middle of the head",
                                f"position {position.tolist()} m", "Move it away from the head")
    turn = camera.get("quaternion")
    rotation = (Rotation.from_quat([_number(turn, axis) for axis in "xyzw"]).as_matrix() if turn
                else _looking(position, _vector(camera, "target")))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    fov = real("The camera's field of view, in degrees,", camera.get("fov") or _FOV, 1, 170)
    zoom = real("The camera's zoom", camera.get("zoom") or 1.0, 1e-3, 1e3)
    focal = image_size[0] / 2 / math.tan(math.radians(fov) / 2) * zoom
    return PoseTrack(torch.from_numpy(pose).float()[None], focal, image_size, fps)


def sway_frames(seconds: float, fps: float) -> int:
    """Frames of a generated movement."""
    return frame_count(real("The length, in seconds,", seconds, 0, 1e6), fps)


def _looking(position: np.ndarray, target: np.ndarray) -> np.ndarray:  # [3], [3] -> [3, 3] camera axes in columns
    back = position - target
    if not np.linalg.norm(back) > 1e-9:
        raise TalkingHeadsError("A camera must look at a point away from it", f"position and target {position.tolist()}",
                                "Move one of them")
    back /= np.linalg.norm(back)
    right = np.cross((0.0, 1.0, 0.0) if abs(back[1]) < 0.999 else (0.0, 0.0, -1.0), back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back], axis=1)


def _vector(camera: Mapping[str, Any], name: str) -> np.ndarray:  # -> [3]
    return np.array([_number(camera.get(name), axis) for axis in "xyz"])


def _number(parts: object, axis: str) -> float:
    value = parts.get(axis, 0.0) if isinstance(parts, Mapping) else None
    return real("A camera's position, target and quaternion", value)
