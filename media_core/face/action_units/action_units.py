"""The 17 action units from 68 points: approximate, with a reliability for each unit (docs/capture.md#action-units).

The points are turned to the front with the head's pose, compared with the person's own neutral face, and mapped by a small net
that was trained on synthetic people only (weights/make_face_action_units.py). Several units move nothing that 68 points can
show; the track says which (`ExpressionTrack.unreliable`), and nobody should take this path for seventeen measured units.

There are two such nets, because the two kinds of tracker err in different ways: one for points of the face mesh, one for points
of the networks that learnt from renders.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ...blocks import blocks
from ...errors import FileFormatError, TalkingHeadsError
from ...files import load_tensors, save_tensors
from ...motion import AU_MAX, AU_NAMES, ExpressionTrack, checked_reliability, low_pass
from ..geometry import MIRROR, inter_ocular
from .blendshapes import expression_from_blendshapes

__all__ = ["ActionUnitNet", "action_units", "expression_from_blendshapes", "features", "frontal_action_units", "frontal_points"]
KIND, VERSION = "face_action_units", 1
SHIPPED = Path(__file__).resolve().parents[3] / "weights" / "face_action_units.safetensors"  # for nets that learnt from renders
SHIPPED_PEOPLE = SHIPPED.with_name("face_action_units_people.safetensors")  # for the face mesh
SOURCES = {  # what found the points: (weights, what the track calls its source)
    "rendered": (SHIPPED, "built-in landmarks (approximate)"), "exact": (SHIPPED, "built-in landmarks (approximate)"),
    "people": (SHIPPED_PEOPLE, "built-in face mesh (approximate)"),
    "landmarks": (SHIPPED_PEOPLE, "connected face landmarks (approximate)")}
FOLLOWED_BROWS = {"AU01": 0.87, "AU02": 0.91, "AU04": 0.63}  # by weights/followed_brows.py
NEUTRAL_SHARE = 0.2      # of the frames, those with the smallest lip gap, make the neutral face
OPEN_EYE = 90            # percentile of the eye ratio that counts as the person's open eye
CONTEXT = (2.5, 0.5)     # Hz: the features are also given smoothed at these cut-offs, besides the frame's own
_HALF = np.flatnonzero(np.arange(68) <= MIRROR)  # one of each pair, and the mid-line
_MIDDLE = MIRROR[_HALF] == _HALF            # sideways motion there is no expression
_EYES = ((36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46))  # outer corner, upper lid twice, inner corner, lower lid twice
_GAPS = ((61, 67), (62, 66), (63, 65))      # upper and lower inner lip


@dataclass(frozen=True)
class ActionUnitNet:
    """Features -> 17 intensities: a linear map plus one hidden layer."""

    mean: torch.Tensor         # float32 [F] of the features in training
    scale: torch.Tensor        # float32 [F] one over their deviation
    linear: torch.Tensor       # float32 [17, F]
    bias: torch.Tensor         # float32 [17]
    hidden: torch.Tensor       # float32 [H, F]
    hidden_bias: torch.Tensor  # float32 [H]
    out: torch.Tensor          # float32 [17, H]
    reliability: tuple[float, ...]  # 17 correlations to the truth on people never seen, 0..1

    def __call__(self, features: torch.Tensor) -> torch.Tensor:  # [T, F] -> [T, 17] in 0..5
        x = ((features - self.mean) * self.scale).clamp(-8, 8)
        bent = torch.relu(x @ self.hidden.T + self.hidden_bias)
        return (x @ self.linear.T + self.bias + bent @ self.out.T).clamp(0, AU_MAX)

    def save(self, path: str | os.PathLike, config: dict) -> Path:
        """Writes the weights at half precision; `config` tells how they were made."""
        tensors = {name: getattr(self, name).half() for name in ("linear", "bias", "hidden", "hidden_bias", "out")}
        tensors |= {"mean": self.mean, "scale": self.scale}
        return save_tensors(path, tensors, kind=KIND, version=VERSION, config=config | {"reliability": list(self.reliability)})

    @classmethod
    def load(cls, path: str | os.PathLike = SHIPPED) -> ActionUnitNet:
        """Reads a file of `save`.

        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or of another layout.
        """
        tensors, config = load_tensors(path, kind=KIND, version=VERSION)
        try:
            net = cls(**{name: tensor.float() for name, tensor in tensors.items()},
                      reliability=checked_reliability(config["reliability"]))
            fits = net(torch.zeros(1, feature_count())).shape == (1, len(AU_NAMES))
        except (KeyError, TypeError, RuntimeError, TalkingHeadsError) as error:
            raise FileFormatError("The action-unit weights must fit this version", f"{Path(path).name} does not ({error})",
                                  "Install the pack again, or make them with weights/make_face_action_units.py") from error
        if not fits:
            raise FileFormatError("The action-unit weights must give 17 units", f"{Path(path).name} does not",
                                  "Install the pack again")
        return net


@lru_cache(maxsize=2)
def _shipped_net(path: Path) -> ActionUnitNet:
    return ActionUnitNet.load(path)


def action_units(points: np.ndarray, *, camera_to_head: np.ndarray, shape: np.ndarray, focal: float, image_size: tuple[int, int],
                 fps: float, net: ActionUnitNet | None = None, tracker: str = "rendered") -> ExpressionTrack:
    """Action units of a video, from tracked points and poses.

    Args:
        points: [T, 68, 2] source px; NaN where no face was found.
        camera_to_head: [T, 4, 4] OpenGL camera to head, metres (`PoseTrack`).
        shape: [68, 3] the person's points in the head's frame, metres; only depth is used.
        focal: px; the principal point is the middle of `image_size` (H, W).
        fps: frames per second.
        net: weights; None takes the shipped ones of `tracker`.
        tracker: what found the points: "people", "rendered", "landmarks" (connected ones) or "exact".
    Returns:
        [T, 17] intensities 0..5, NaN in frames without points or pose, with the weights' reliability.
    Raises:
        TalkingHeadsError: arrays of other shapes, an unknown tracker, or no frame with a face.
    """
    return frontal_action_units(frontal_points(points, camera_to_head, shape, focal, image_size), fps, net, tracker)


def frontal_action_units(xy: np.ndarray, fps: float, net: ActionUnitNet | None = None, tracker: str = "rendered", *,
                         followed_brows: bool = False) -> ExpressionTrack:
    """The same from points [T, 68, 2] that already look to the front, x right and y up, in any unit of length; `followed_brows`:
    optical flow has followed the brows, which makes their units more reliable (`FOLLOWED_BROWS`).

    Raises:
        TalkingHeadsError: an unknown tracker, or no frame with a face.
    """
    if tracker not in SOURCES:
        raise TalkingHeadsError(f"The tracker of action units must be one of {', '.join(SOURCES)}", f"'{tracker}'",
                                "Name what found the points")
    path, source = SOURCES[tracker]
    net = net or _shipped_net(path)
    better = FOLLOWED_BROWS if followed_brows else {}
    reliability = tuple(max(value, better.get(name, 0.0)) for name, value in zip(AU_NAMES, net.reliability))
    return ExpressionTrack(net(features(xy, fps)), float(fps), source, reliability)


def frontal_points(points: np.ndarray, camera_to_head: np.ndarray, shape: np.ndarray, focal: float,
                   image_size: tuple[int, int]) -> np.ndarray:  # -> float64 [T, 68, 2] metres, x right, y up
    """Where the ray of every point meets the depth that the person's shape has there: the face, turned to the front."""
    poses, shape = (np.asarray(a, np.float64) for a in (camera_to_head, shape))
    if points.ndim != 3 or points.shape[1:] != (68, 2) or poses.shape != (len(points), 4, 4) or shape.shape != (68, 3):
        raise TalkingHeadsError("Action units need points [T, 68, 2], poses [T, 4, 4] and a shape [68, 3]",
                                f"{list(points.shape)}, {list(poses.shape)} and {list(shape.shape)}",
                                "Give one pose per frame, from the same tracking")
    (height, width), out = image_size, np.empty((len(points), 68, 2))
    for rows in blocks(len(points)):
        own = np.asarray(points[rows], np.float64)
        ray = np.stack([(own[..., 0] - width / 2) / focal, (height / 2 - own[..., 1]) / focal, -np.ones(own.shape[:2])], -1)
        ray = ray @ poses[rows, :3, :3].transpose(0, 2, 1)
        camera = poses[rows, None, :3, 3]
        reach = (shape[:, 2] - camera[..., 2]) / ray[..., 2]
        out[rows] = camera[..., :2] + reach[..., None] * ray[..., :2]
    return out


def features(xy: np.ndarray, fps: float, rest: np.ndarray | None = None) -> torch.Tensor:  # [T, 68, 2] -> float32 [T, F]
    """What the net reads; NaN in frames that lack a point.

    Args:
        rest: [68, 2] the person's neutral face; None: found in these frames.
    Raises:
        TalkingHeadsError: no frame has all points.
    """
    xy = np.asarray(xy, np.float64)
    known = np.isfinite(xy).all((1, 2))
    if not known.any():
        raise TalkingHeadsError("Action units need at least one frame with a face", f"none in {len(xy)} frames",
                                "Check the video, or choose another face")
    seen = xy if known.all() else xy[known]
    rest = neutral(seen) if rest is None else rest
    unit = max(float(inter_ocular(rest)), 1e-9)
    frame = torch.full((len(xy), feature_count() // (1 + len(CONTEXT))), torch.nan)
    rows = np.concatenate([_moved(seen[block], rest, unit) for block in blocks(len(seen))])
    rows = np.concatenate([rows, _shapes(seen, unit).astype(np.float32)], 1)
    frame[torch.from_numpy(known)] = torch.from_numpy(rows)
    return torch.cat([frame, *(low_pass(frame, fps, cut) for cut in CONTEXT)], 1)


def _moved(xy: np.ndarray, rest: np.ndarray, unit: float) -> np.ndarray:  # [T, 68, 2], [68, 2] -> float32 [T, ...]
    """How far points are from the neutral face's, both sides of the face averaged."""
    move = (xy - rest) / unit
    even = (move + move[:, MIRROR] * [-1, 1]) / 2
    return np.concatenate([even[:, _HALF, 1], even[:, _HALF[~_MIDDLE], 0]], 1).astype(np.float32)


def feature_count() -> int:
    """F, the width of `features`."""
    return (1 + len(CONTEXT)) * (len(_HALF) + int((~_MIDDLE).sum()) + len(_GAPS) + 3)


def neutral(xy: np.ndarray) -> np.ndarray:  # [T, 68, D] -> [68, D]
    """The person's neutral face: the median of the fifth of the frames with the smallest lip gap."""
    gap = lip_gap(xy)
    shut = np.argsort(gap, kind="stable")[:max(1, round(NEUTRAL_SHARE * len(gap)))]
    return np.median(xy[shut], axis=0)


def lip_gap(xy: np.ndarray) -> np.ndarray:  # [T, 68, D] -> [T]
    """Mean distance of the inner lips, in the points' unit."""
    return np.mean([np.linalg.norm(xy[:, upper] - xy[:, lower], axis=-1) for upper, lower in _GAPS], axis=0)


def eye_ratio(xy: np.ndarray) -> np.ndarray:  # [T, 68, D] -> [T]
    """Height over width of the eyes, both averaged: about 0.3 open, 0.1 shut."""
    def length(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(xy[:, a] - xy[:, b], axis=-1)

    sides = [(length(u1, l1) + length(u2, l2)) / (2 * length(outer, inner) + 1e-9)
             for outer, u1, u2, inner, l2, l1 in _EYES]
    return np.mean(sides, axis=0)


def _shapes(xy: np.ndarray, unit: float) -> np.ndarray:  # -> [T, 6]
    """Lip gaps and mouth width by the distance of the eyes; how far the eyes are shut, of the person's own opening."""
    ratio = eye_ratio(xy)
    shut = 1 - ratio / max(float(np.percentile(ratio, OPEN_EYE)), 1e-3)
    gaps = [(xy[:, upper, 1] - xy[:, lower, 1]) / unit for upper, lower in _GAPS]
    width = np.linalg.norm(xy[:, 48] - xy[:, 54], axis=-1) / unit
    return np.stack([*gaps, width, shut, np.maximum(shut - 0.35, 0)], 1)
