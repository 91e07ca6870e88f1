"""Motion onto a head: generated landmarks at a film's poses, or on one portrait (docs/moditalker.md#alignment).

Two ways. `onto_pose` and `onto_portrait` see the landmarks with the camera that the pack's own tracking has found; nothing
else is needed. `align_to_pose` is the official rule for users of a 3DMM: orthographic, scaled and placed by five points.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..media_core.errors import TalkingHeadsError
from ..media_core.face.geometry import RIGID
from ..media_core.face.pose.canonical import DECIMETRES, mean_face
from ..media_core.face.pose.pnp import middle
from ..media_core.face.pose.pose import fit_shape, solve_poses, to_camera
from ..media_core.face.track import FaceTrack
from ..media_core.motion import LandmarkTrack, PoseTrack
from ..media_core.tracks import ping_pong
from .landmarks import POINTS, five_points, pixel_size, posed

CROP_SCALE = 102.0          # the official crop makes a face of the template's size this many px / scale
GRID = 112.0                # half the width of that crop, px: posed landmarks of 1 lie this far from its middle
_NEAREST = 0.02             # metres before the camera that a point must keep
_LEAST_SCALE = 1e-6         # px of the image per unit of the template


# ---------------------------------------------------------------------------------------------------- the pack's own poses

def onto_pose(motion: LandmarkTrack, pose: PoseTrack | FaceTrack, *, start: int = 0, fps: float | None = None) -> LandmarkTrack:
    """Canonical landmarks seen by a video's camera.

    The head's frame is the one of `canonical_landmarks` (origin between the ears, eyes 9 cm apart), the same for everybody:
    a video's own canonical landmarks come back to its pixels, another person's come to the same place and size. Where the
    motion is longer than the video, the poses are played ping-pong (`pose_frames`).

    Args:
        motion: space "canonical".
        pose: the video's poses, or all that was measured of it.
        start: frame of the poses, at the result's rate, that belongs to the motion's first frame.
        fps: frames per second of the result; None: the motion's. Whatever has another rate is resampled.
    Returns:
        Space "pixels" of the video's size, as long as the motion; z away from the viewer from the head's origin, px.
    Raises:
        TalkingHeadsError: landmarks in pixels, no poses, a rate of 0 or less, or a head behind the camera.
    """
    if motion.space != "canonical":
        raise TalkingHeadsError("Only canonical landmarks can be aligned to a pose", f"space '{motion.space}'",
                                "Give generated motion, or make the landmarks canonical first")
    if not isinstance(pose, (PoseTrack, FaceTrack)):
        raise TalkingHeadsError("Motion is aligned to a pose track or a face track", type(pose).__name__,
                                "Track the video's face")
    rate = motion.fps if fps is None else float(fps)
    if not 0 < rate < np.inf or start < 0:
        raise TalkingHeadsError("Aligned motion needs a rate above 0 frames per second and a start of 0 or more",
                                f"{rate:g} frames per second, start {start}", "Leave both out")
    motion, pose = motion.resampled(rate), (pose.pose if isinstance(pose, FaceTrack) else pose).resampled(rate)
    pose = pose.selected(pose_frames(len(pose), len(motion), start))
    return LandmarkTrack(torch.from_numpy(_seen(motion.points.double().numpy() / DECIMETRES, pose)), rate, "pixels",
                         pose.image_size)


def pose_frames(available: int, wanted: int, start: int = 0) -> Tensor:  # -> int64 [wanted]
    """Which frame of the pose video belongs to each frame of the aligned motion: ping-pong, ends not repeated."""
    return ping_pong(available, wanted, start)


def onto_portrait(motion: LandmarkTrack, portrait: LandmarkTrack, *, focal: float | None = None,
                  canonical: LandmarkTrack | None = None) -> LandmarkTrack:
    """Canonical landmarks on the head of one image, which does not move.

    Args:
        motion: space "canonical", of the portrait's person (as generated from `canonical_portrait`).
        portrait: space "pixels"; its first frame counts.
        focal: px, the one that `canonical_portrait` was given; None: 2.2 times the width.
        canonical: the portrait's canonical landmarks; given, what is left between them and the portrait's pixels is added to
            every frame, so that a frame equal to them lies on the portrait exactly, however they were measured.
    Returns:
        Space "pixels" of the portrait's size. Frames equal to the portrait's `canonical_portrait` lie on its points.
    Raises:
        TalkingHeadsError: as `onto_pose`; a portrait without size or not in pixels.
    """
    if portrait.space != "pixels":
        raise TalkingHeadsError("The portrait's landmarks must be in pixels", f"space '{portrait.space}'",
                                "Connect what the face tracking found in the image")
    size = pixel_size(portrait)
    points = portrait.points[0, :, :2].double().numpy()
    if np.ptp(points, axis=0).min() < 1:
        raise TalkingHeadsError("The portrait's landmarks must span more than a pixel", f"{np.ptp(points, axis=0)} px",
                                "Track the face again")
    shape = fit_shape(points[None], size, focal)
    poses, _ = solve_poses(points[None], shape)
    still = PoseTrack(torch.from_numpy(poses), shape.focal, size, motion.fps)
    placed = onto_pose(motion, still)
    if canonical is None:
        return placed
    left = torch.zeros(POINTS, 3)
    own = onto_pose(canonical.slice(0, 1), still).points[0]
    left[:, :2] = portrait.points[0, :, :2] - own[:, :2]
    return placed.with_data(placed.points + left)


def _seen(solid: np.ndarray, pose: PoseTrack) -> np.ndarray:  # [T, 68, 3] metres -> float32 [T, 68, 3] px
    """Pixels, and depth behind the head's origin in px (as `media_core.face.track.with_depth`)."""
    rotation, translation = to_camera(pose.camera_to_head.numpy())
    camera = solid @ rotation.transpose(0, 2, 1) + translation[:, None]
    if camera[..., 2].min() < _NEAREST:
        bad = np.flatnonzero((camera[..., 2] < _NEAREST).any(1))
        raise TalkingHeadsError(f"The head must stay at least {_NEAREST * 100:g} cm before the camera",
                                f"{len(bad)} frames where it does not, the first is {bad[0]}",
                                "Check the poses, and that the landmarks are in decimetres")
    flat = camera[..., :2] / camera[..., 2:] * pose.focal + middle(pose.image_size)
    depth = (camera[..., 2] - translation[:, None, 2]) * pose.focal / np.maximum(translation[:, None, 2], _NEAREST)
    return np.concatenate([flat, depth[..., None]], -1).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- the official rule

def crop_fit(points: Tensor, height: int, template: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How large and where a face is, from five points: scaled orthography by least squares (POS).

    Args:
        points: [T, 68, 2] px, y down.
        height: px of the image, the true one: y is turned up as height - 1 - y. (The official keypoint script reads it
            from the wrong axis, which moves every landmark off the face.)
        template: [5, 3] the five points of a face from the front; None: of the pack's mean face, dm.
    Returns:
        scale float64 [T] (102 / px per unit of the template) and offset float64 [T, 2] px, y up.
    Raises:
        TalkingHeadsError: landmarks of zero size, NaN, other shapes, or a flat template.
    """
    template = five_points(torch.from_numpy(mean_face())) if template is None else template
    if points.ndim != 3 or tuple(points.shape[1:]) != (POINTS, 2) or not torch.isfinite(points).all():
        raise TalkingHeadsError("A face's size is measured on finite points [T, 68, 2]", f"{list(points.shape)}"
                                + ("" if torch.isfinite(points).all() else " with NaN or inf"), "Track the face again")
    system = torch.cat([template.double(), torch.ones(len(template), 1, dtype=torch.float64)], 1)  # [5, 4]
    if tuple(system.shape) != (5, 4) or torch.linalg.matrix_rank(system) < 4:
        raise TalkingHeadsError("The template must be five points [5, 3] not in one plane", f"{list(template.shape)}",
                                "Leave it out, or give the five points of the 3DMM's own template")
    five = five_points(points.double())
    up = torch.stack([five[..., 0], height - 1 - five[..., 1]], -1)
    rows = torch.linalg.pinv(system) @ up                                  # [T, 4, 2]
    size = rows[:, :3].norm(dim=1).mean(-1)
    if bool((size < _LEAST_SCALE).any()):
        raise TalkingHeadsError("Landmarks must have a size", f"frame {int(size.argmin())} where they all coincide",
                                "Track the face again")
    return CROP_SCALE / size, rows[:, 3]


def align_to_pose(points: Tensor, rotation: Tensor, translation: Tensor, scale: Tensor, detected: Tensor, *,
                  published: bool = False, whole: bool = True) -> Tensor:
    """Canonical landmarks at the 3DMM pose of a film's frames, placed by what a detector saw there (compact form).

    Args:
        points: [T, 68, 3] canonical, in the 3DMM's unit.
        rotation: [T, 3, 3] for row vectors, as `rotation_from_euler`.
        translation: [T, 3]; only the official rounding depends on it.
        scale: [T] of `crop_fit` with the 3DMM's template.
        detected: [T, 68, 2] px, y down, one row for each row of `points`.
        published: cut to whole numbers twice and place by five points, the corners of the mouth among them: speech then shakes
            the whole face. False: place by points that hardly move, and round nowhere.
        whole: of the official rule, cut the result too (as for AToM's output); False: as MToV's training landmarks were made.
    Returns:
        [T, 68, 2] px of the frames: int64 if published and whole, else float64.
    Raises:
        TalkingHeadsError: lengths that differ, other shapes, NaN, scale 0.
    """
    _check_aligned(points, rotation, translation, scale, detected)
    grid = GRID * posed(points, rotation, translation)[..., :2] + GRID
    flat = (grid.trunc() if published else grid).double() / scale.double()[:, None, None] * grid.new_tensor([1.0, -1.0]).double()
    if published:
        seen, ours = (five_points(each).mean(1, keepdim=True) for each in (detected, flat))
        placed = flat + seen - ours
        return placed.trunc().long() if whole else placed
    return flat + (detected.double() - flat)[:, list(RIGID)].mean(1, keepdim=True)


def _check_aligned(points: Tensor, rotation: Tensor, translation: Tensor, scale: Tensor, detected: Tensor) -> None:
    count = len(points)
    wanted = {"points": (points, (count, POINTS, 3)), "rotation": (rotation, (count, 3, 3)), "scale": (scale, (count,)),
              "translation": (translation, (count, 3)), "detected": (detected, (count, POINTS, 2))}
    wrong = {name: list(each.shape) for name, (each, shape) in wanted.items() if tuple(each.shape) != shape}
    if wrong or not count:
        raise TalkingHeadsError("Aligned landmarks, poses and detections must be [T, 68, 3], [T, 3, 3], [T, 3], [T], [T, 68, 2]",
                                f"{wrong} beside points {list(points.shape)}", "Give one row of each for every frame")
    unknown = [name for name, (each, _) in wanted.items() if not torch.isfinite(each).all()]
    if unknown or not bool((scale > 0).all()):
        raise TalkingHeadsError("Aligned landmarks must be finite, with scales above 0", ", ".join(unknown) or "a scale of 0",
                                "Measure these frames again")
