"""What a capture measures in a video: landmarks, expression, pose, and how far to trust each frame (socket TH_FACE_TRACK)."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ..blocks import blocks
from ..choices import MEASURED_BY
from ..dense_mesh import moved_mesh
from ..errors import TalkingHeadsError
from ..files import Stored, load_tensors, save_tensors
from ..motion import ExpressionTrack, LandmarkTrack, PoseTrack, Track
from ..schema import FOCAL, SIZE, described, record, text
from ..tensor_schema import Numbers, fitting
from ..tracks import settings
from .geometry import BROWS, height_width
from .pose.brows import FOLLOWED
from .pose.pose import WINDOW, RigidShape, fit_shape, smooth_poses, solve_poses, to_camera

if TYPE_CHECKING:
    from .landmarks.landmarks import RawTrack

_OUTLIER, _OUTLIER_PIXELS = 4.0, 0.006  # a frame this many medians off, and this fraction of the width, is hardly trusted
_OUTLIER_WEIGHT = 0.1
_PARTS = {"landmarks": LandmarkTrack, "expression": ExpressionTrack, "pose": PoseTrack}
_SETTINGS = record({**{name: kind.SETTINGS for name, kind in _PARTS.items()},
                    "shape": record({"focal": FOCAL, "image_size": SIZE})}, {"tracker": text(choices=MEASURED_BY)})
_TENSORS = {**LandmarkTrack.tensors("landmarks"), **ExpressionTrack.tensors("expression"), **PoseTrack.tensors("pose"),
            "confidence": Numbers(("T",)), "reprojection": Numbers(("T",), nan=True), "shape": Numbers((68, 3)),
            "measured": Numbers(("T", 68, 2), (torch.float32,), absent=True)}


@dataclass(frozen=True)
class FaceTrack:
    """T frames of one face."""
    KIND: ClassVar[str] = "face_track"
    VERSION: ClassVar[int] = 1

    landmarks: LandmarkTrack      # space "pixels"; z away from the viewer from the head's origin, px; filled where missing
    expression: ExpressionTrack   # action units, with their reliability
    pose: PoseTrack               # smoothed
    confidence: torch.Tensor      # float32 [T] 0..1; 0: no face seen, everything of this frame is interpolated
    shape: RigidShape             # the person
    reprojection: torch.Tensor    # float32 [T] px between the rigid points and the shape before smoothing; NaN: no face
    tracker: str = "rendered"     # what measured it, of `MEASURED_BY`; files without a word are older than the choice
    measured: torch.Tensor | None = None  # float32 [T, 68, 2] px, the points as found, of landmarks that were steadied

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in (*_PARTS, "confidence", "reprojection")}
        lengths |= {} if self.measured is None else {"measured": len(self.measured)}
        rates = {getattr(self, name).fps for name in _PARTS}
        if len(set(lengths.values())) != 1 or len(rates) != 1:
            raise TalkingHeadsError("The parts of a face track must have equal length and rate",
                                    f"{lengths} frames, {sorted(rates)} frames per second", "Measure the video again")
        if self.tracker not in MEASURED_BY:
            raise TalkingHeadsError(f"A face track must be measured by one of {', '.join(MEASURED_BY)}", f"'{self.tracker}'",
                                    "Measure the video again")

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def version(self) -> int:
        return self.VERSION

    @property
    def fps(self) -> float:
        return self.pose.fps

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) px."""
        return self.pose.image_size

    def slice(self, start: int, stop: int) -> FaceTrack:
        """Frames `start` to `stop` (exclusive).

        Raises:
            TalkingHeadsError: no such frames.
        """
        parts = {name: getattr(self, name).slice(start, stop) for name in _PARTS}
        return replace(self, **parts, confidence=self.confidence[start:stop].clone(),
                       reprojection=self.reprojection[start:stop].clone(),
                       measured=None if self.measured is None else self.measured[start:stop].clone())

    def as_measured(self) -> FaceTrack:
        """The same track with its landmarks, and their mesh, where they were found in each frame: what is drawn onto the
        frames themselves must lie there, steady or not."""
        if self.measured is None:
            return self
        steady, found = self.landmarks.points[..., :2].numpy(), self.measured
        mesh = None if self.landmarks.mesh is None else moved_mesh(self.landmarks.mesh.numpy(), steady, found.numpy())
        points = torch.cat([found, self.landmarks.points[..., 2:]], dim=-1)
        landmarks = replace(self.landmarks, points=points, mesh=None if mesh is None else torch.from_numpy(mesh))
        return replace(self, landmarks=landmarks, measured=None)

    def save(self, path: str | os.PathLike, mesh: Stored | None = None) -> Path:
        """Writes one safetensors file of kind "face_track".

        Args:
            mesh: the landmarks', float32 [T, 478, 3], of a track too long to have it in memory.
        """
        tensors: dict[str, torch.Tensor | Stored] = {name: getattr(self, name).data for name in _PARTS}
        tensors |= {"confidence": self.confidence, "reprojection": self.reprojection,
                    "shape": torch.from_numpy(self.shape.points)}
        tensors |= {} if self.measured is None else {"measured": self.measured}
        tensors |= {} if self.landmarks.mesh is None else {"mesh": self.landmarks.mesh}
        tensors |= {} if mesh is None else {"mesh": mesh}
        config: dict[str, Any] = {name: getattr(self, name).described() for name in _PARTS}
        config["tracker"] = self.tracker
        config["shape"] = {"focal": self.shape.focal, "image_size": self.shape.image_size}
        return save_tensors(path, tensors, kind=self.KIND, version=self.VERSION, config=config)

    @classmethod
    def load(cls, path: str | os.PathLike, *, dense: bool = True) -> FaceTrack:
        """Reads a file of `save`.

        Args:
            dense: with the landmarks' mesh, by far the largest part, where there is one.
        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or with entries that no track has.
        """
        tensors, config = load_tensors(path, kind=cls.KIND, version=cls.VERSION, without=() if dense else ("mesh",))
        name, again = Path(path).name, "Measure the video again"
        described(config, _SETTINGS, name, again)
        fitting(tensors, _TENSORS, name, again)
        parts = {part: kind(tensors[part], **settings(config[part]), **_extra(kind, tensors)) for part, kind in _PARTS.items()}
        shape = RigidShape(tensors["shape"].numpy(), **settings(config["shape"]))
        return cls(**parts, confidence=tensors["confidence"], shape=shape, reprojection=tensors["reprojection"],
                   tracker=config.get("tracker", "rendered"), measured=tensors.get("measured"))


def measure(raw: RawTrack, *, focal: float | None = None, shape: RigidShape | None = None, smoothing: int = WINDOW,
            expression: ExpressionTrack | None = None) -> FaceTrack:
    """Poses and action units from tracked points.

    Args:
        raw: the points; NaN, or filled with confidence 0, where no face was found.
        focal: px; None means the shape's, or 2.2 times the width.
        shape: a person already known (another video of them): poses then share that head frame. None: fitted to this video.
        smoothing: window of the pose smoothing, frames at 25 fps; 0: none.
        expression: action units measured by something else, one row per frame; None: from the landmarks.
    Raises:
        TalkingHeadsError: no frame with a face, or an expression of another length or rate.
    """
    size = height_width(raw.image_size)
    confidence = np.where(np.isfinite(raw.points).all((1, 2)), np.nan_to_num(raw.confidence), 0).clip(0, 1).astype(np.float32)
    seen = np.where(confidence[:, None, None] > 0, raw.points, np.nan)      # without rows that somebody filled
    shape = fit_shape(seen, size, focal) if shape is None else shape.at(size, focal)
    poses, reprojection = solve_poses(raw.points, shape, cuts=raw.cuts)
    reprojection[confidence == 0] = np.nan
    pose = PoseTrack(torch.from_numpy(poses), shape.focal, size, float(raw.fps))
    pose = smooth_poses(pose, smoothing, weight=_weight(confidence, reprojection, size), cuts=raw.cuts)
    points = filled(raw.points, raw.cuts)
    landmarks = LandmarkTrack(torch.from_numpy(with_depth(points, pose, shape)), pose.fps, "pixels", size,
                              None if raw.mesh is None else torch.from_numpy(raw.mesh))
    if expression is None:
        from .action_units.action_units import action_units

        expression = action_units(seen, camera_to_head=pose.camera_to_head.numpy(), shape=shape.points,
                                  focal=shape.focal, image_size=size, fps=pose.fps, tracker=raw.tracker)
    return FaceTrack(landmarks=landmarks, expression=expression, pose=pose, confidence=torch.from_numpy(confidence),
                     shape=shape, reprojection=torch.from_numpy(reprojection), tracker=raw.tracker)


def expressed(track: FaceTrack, measured: FaceTrack) -> FaceTrack:
    """A steadied track with action units that know its brows, where it has followed any.

    Args:
        track: `measured`, steadied.
        measured: what `measure` gave. All but the brows is turned to the front by its poses, which were fitted to the same
            landmarks and err as they do.
    """
    from .action_units.action_units import frontal_action_units

    if track.tracker not in FOLLOWED:
        return track
    frontal = _frontal(measured)
    frontal[:, BROWS] = _frontal(track)[:, BROWS]
    frontal[track.confidence.numpy() == 0] = np.nan
    return replace(track, expression=frontal_action_units(frontal, track.fps, tracker=track.tracker, followed_brows=True))


def _frontal(track: FaceTrack) -> np.ndarray:  # -> float64 [T, 68, 2] metres
    from .action_units.action_units import frontal_points

    return frontal_points(track.landmarks.points[..., :2].numpy(), track.pose.camera_to_head.numpy(), track.shape.points,
                          track.shape.focal, track.image_size)


def filled(points: np.ndarray, cuts=()) -> np.ndarray:  # [T, 68, 2] -> the same
    """Frames without a face between their neighbours of the same shot, held at its ends.

    Raises:
        TalkingHeadsError: no frame with a face.
    """
    points = np.asarray(points, np.float64)
    known = np.isfinite(points).all((1, 2))
    if not known.any():
        raise TalkingHeadsError("A track needs at least one frame with a face", f"{len(points)} frames without any",
                                "Check the video and the tracking")
    every = np.arange(len(points))
    shot = np.searchsorted(np.sort(np.asarray(cuts, int)), every, side="right")
    out = points.copy()
    for number in np.unique(shot[~known]):
        own = shot == number
        source, lost = known & own if (known & own).any() else known, own & ~known
        rows = points[source].reshape(source.sum(), -1)
        out[lost] = np.stack([np.interp(every[lost], every[source], c) for c in rows.T], 1).reshape(-1, *points.shape[1:])
    return out


def _extra(kind: type[Track], tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensors[name] for name in kind.EXTRA if name in tensors}


def _weight(confidence: np.ndarray, reprojection: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # -> [T]
    """Confidence, lowered where the points fit no head: something stands before the face."""
    limit = max(_OUTLIER * float(np.nanmedian(reprojection)), _OUTLIER_PIXELS * size[1])
    return np.where(np.nan_to_num(reprojection) > limit, _OUTLIER_WEIGHT, 1.0) * confidence


def with_depth(points: np.ndarray, pose: PoseTrack, shape: RigidShape) -> np.ndarray:  # [T, 68, 2] -> float32 [T, 68, 3]
    """Pixels with a third coordinate in px: how far a point lies behind the head's origin."""
    from .pose.canonical import deposed

    poses, out = pose.camera_to_head.numpy(), np.empty((*points.shape[:2], 3), np.float32)
    for rows in blocks(len(points)):
        rotation, translation = to_camera(poses[rows])
        behind = np.einsum("tpk,tk->tp", deposed(points[rows], poses[rows], shape), rotation[:, 2])
        out[rows, :, :2], out[rows, :, 2] = points[rows], behind * shape.focal / translation[:, 2:]
    return out
