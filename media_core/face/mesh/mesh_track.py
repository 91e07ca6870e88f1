"""A face's 478 points through a video: what they are, how sure, and whether two views of them agree."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import TalkingHeadsError
from ...files import load_tensors, save_tensors
from ...progress import Report, silent
from ...schema import COUNT, RATE, SIZE, described, many, record, whole
from ...tensor_schema import Numbers, fitting
from ..draw import draw_landmarks
from ..landmarks.landmarks import CutFinder
from ..landmarks.raw_track import RawTrack
from . import layout
from .finder import DOUBTFUL, MeshFace, part_within, trusted
from .follower import MeshFollower

KIND, VERSION = "mesh_track", 1
_SETTINGS = record({"image_size": SIZE, "fps": RATE, "cuts": many(whole(0, COUNT))})
_TENSORS = {"points": Numbers(("T", layout.POINTS, 3), nan=True), "confidence": Numbers(("T",)), "disagreement": Numbers(("T",))}
_PREVIEW_EVERY = 10  # frames


@dataclass(frozen=True)
class MeshTrack:
    """Points as measured, NaN where no face was seen."""

    points: np.ndarray  # float32 [T, 478, 3] px of the video, x right, y down, z smaller = nearer
    confidence: np.ndarray  # float32 [T] 0..1 that there is a face; 0 without one
    disagreement: np.ndarray  # float32 [T] between two views of it, in distances of the outer eye corners; 0 without a face
    image_size: tuple[int, int]  # (H, W) px
    fps: float  # frames per second
    cuts: tuple[int, ...] = ()  # frames that begin another shot

    def __post_init__(self) -> None:
        p, shapes = self.points, {self.confidence.shape, self.disagreement.shape}
        if p.ndim != 3 or p.shape[1:] != (layout.POINTS, 3) or len(p) == 0 or shapes != {(len(p),)}:
            raise TalkingHeadsError("A mesh track must hold points [T, 478, 3], confidences [T] and disagreements [T]",
                                    f"{list(p.shape)}, {list(self.confidence.shape)}, {list(self.disagreement.shape)}",
                                    "Track the video again")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def seen(self) -> np.ndarray:  # bool [T]
        """Frames with a face."""
        return np.all(np.isfinite(self.points), axis=(1, 2))

    @property
    def doubtful(self) -> np.ndarray:  # bool [T]
        """Frames with a face whose points are probably wrong."""
        return self.seen & (self.disagreement > DOUBTFUL)

    @property
    def trust(self) -> np.ndarray:  # float32 [T]
        """Confidence, agreement and what the image shows of the face in one number; 0 without a face."""
        within = part_within(self.points, self.image_size)
        return np.where(self.seen, trusted(self.confidence, self.disagreement, within), np.float32(0))

    def landmarks(self) -> RawTrack:
        """The pack's 68 points, with the mesh; their confidence is the trust in them."""
        return RawTrack(points=layout.points_68(self.points), confidence=self.trust, image_size=self.image_size, fps=self.fps,
                        cuts=self.cuts, tracker="people", mesh=self.points)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes one safetensors file."""
        import torch

        tensors = {name: torch.from_numpy(getattr(self, name)) for name in _TENSORS}
        return save_tensors(path, tensors, kind=KIND, version=VERSION,
                            config={"image_size": list(self.image_size), "fps": self.fps, "cuts": list(self.cuts)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> MeshTrack:
        """Reads a file of `save`.

        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or with entries that no track has.
        """
        tensors, config = load_tensors(path, kind=KIND, version=VERSION)
        name, again = Path(path).name, "Track the video again"
        described(config, _SETTINGS, name, again)
        fitting(tensors, _TENSORS, name, again)
        return cls(**{name: tensors[name].numpy() for name in _TENSORS}, image_size=tuple(config["image_size"]),
                   fps=config["fps"], cuts=tuple(config["cuts"]))


def track_mesh(frames: Iterable[np.ndarray], fps: float, follower: MeshFollower, *, total: int | None = None,
               masks: Iterable[np.ndarray | None] | None = None, report: Report = silent) -> list[MeshTrack]:
    """Follows the follower's faces through a video, a track for each; holds a few frames at a time.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one size.
        fps: frames per second.
        total: how many there are, for the report.
        masks: bool [H, W] for each frame: where faces are looked for.
    Raises:
        TalkingHeadsError: no frame at all, or one that is no RGB image.
    """
    log = _Log()
    rows: list[list[MeshFace | None]] = []
    missing = 0
    for faces in follower.follow(log.noting(frames), masks, cut=log.cut):
        rows.append(faces)
        missing += faces[0] is None
        done = len(rows)
        count = max(total or 0, done)
        figures = {"stage": "face", "frame": done, "frames": count, "missing": missing}
        report(done, count, figures, log.preview(done - 1, faces[0]))
    if not rows:
        raise TalkingHeadsError("The video must have frames", "none", "Choose another video")
    return [_track([row[k] for row in rows], log.size, fps, tuple(log.cuts)) for k in range(len(follower.wanted))]


class _Log:
    """What is noted of the frames on their way to the follower: size, cuts, and those that are shown."""

    def __init__(self) -> None:
        self.size, self.cuts = (0, 0), list[int]()
        self._finder, self._count, self._shown = CutFinder(), 0, dict[int, np.ndarray]()

    def noting(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            self.size = frame.shape[0], frame.shape[1]
            if self._count % _PREVIEW_EVERY == 0:
                self._shown[self._count] = frame
            self._count += 1
            yield frame

    def cut(self, frame: np.ndarray) -> bool:
        """Whether the frame noted last begins another shot."""
        begins = self._finder(frame)
        if begins:
            self.cuts.append(self._count - 1)
        return begins

    def preview(self, number: int, face: MeshFace | None) -> np.ndarray | None:
        frame = self._shown.pop(number, None)
        if frame is None:
            return None
        return frame if face is None else draw_landmarks(frame, layout.points_68(face.points))


def _track(faces: list[MeshFace | None], size: tuple[int, int], fps: float, cuts: tuple[int, ...]) -> MeshTrack:
    nowhere = np.full((layout.POINTS, 3), np.nan, np.float32)
    return MeshTrack(
        points=np.stack([nowhere if face is None else face.points for face in faces]),
        confidence=np.array([0.0 if face is None else face.confidence for face in faces], np.float32),
        disagreement=np.array([0.0 if face is None else face.disagreement for face in faces], np.float32),
        image_size=size, fps=fps, cuts=cuts)
