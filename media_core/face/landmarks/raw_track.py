"""What a tracker yields: 68 points per frame in px of the video, and what to do about frames without a face."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...choices import MEASURED_BY, POLICIES
from ...dense_mesh import ROW as MESH_ROW
from ...dense_mesh import fitting_mesh, moved_mesh, placed_mesh
from ...errors import TalkingHeadsError
from ...files import Stored, load_tensors, save_tensors
from ...schema import COUNT, RATE, SIZE, described, many, record, text, whole
from ...tensor_schema import Numbers, fitting
from ..geometry import BROWS, JAW, NOSE
from .detector import no_face, wanted_of

KIND, VERSION = "raw_face_track", 1
_SETTINGS = record({"image_size": SIZE, "fps": RATE, "cuts": many(whole(0, COUNT))}, {"tracker": text(choices=MEASURED_BY)})
_TENSORS = {"points": Numbers(("T", 68, 2), nan=True), "confidence": Numbers(("T",)),
            "mesh": Numbers(("T", *MESH_ROW), (torch.float32,), nan=True, absent=True)}
_LISTED = 12         # frame numbers an error names
_WINDOW = {"face": .28, "brows": .2}  # s: lengths of the smoothing windows


@dataclass(frozen=True)
class RawTrack:
    """Points as measured, NaN where no face was seen."""

    points: np.ndarray  # float32 [T, 68, 2] px of the video, x right, y down
    confidence: np.ndarray  # float32 [T] 0..1, 0 without a face
    image_size: tuple[int, int]  # (H, W) px
    fps: float  # frames per second
    cuts: tuple[int, ...] = ()  # frames that begin another shot
    tracker: str = "rendered"  # what measured it, of `MEASURED_BY`; files without a word are older than the choice
    mesh: np.ndarray | None = None  # float32 [T, 478, 3] px, see dense_mesh.py; dropped where it does not have these points

    def __post_init__(self) -> None:
        p, c = self.points, self.confidence
        if p.ndim != 3 or p.shape[1:] != (68, 2) or len(p) == 0 or c.shape != (len(p),):
            raise TalkingHeadsError("A track must hold points [T, 68, 2] and confidences [T]",
                                    f"{list(p.shape)}, {list(c.shape)}",
                                    "Track the video again")
        if self.tracker not in MEASURED_BY:
            raise TalkingHeadsError(f"A track must be measured by one of {', '.join(MEASURED_BY)}", f"'{self.tracker}'",
                                    "Track the video again")
        if not fitting_mesh(self.mesh, p):
            object.__setattr__(self, "mesh", None)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def seen(self) -> np.ndarray:  # bool [T]
        """Frames with a face."""
        return np.all(np.isfinite(self.points), axis=(1, 2))

    def rows(self, chosen: np.ndarray | slice, cuts: tuple[int, ...] = ()) -> RawTrack:
        """The chosen frames, a mask, numbers or a slice, with other cuts."""
        mesh = None if self.mesh is None else self.mesh[chosen]
        return replace(self, points=self.points[chosen], confidence=self.confidence[chosen], cuts=cuts, mesh=mesh)

    def placed(self, place: Callable[[np.ndarray], np.ndarray], scale: float, image_size: tuple[int, int]) -> RawTrack:
        """The same track in another image, such as a crop.

        Args:
            place: [T, n, 2] px of this image -> px of the other, which is `scale` times as large.
            image_size: of the other, (H, W) px.
        """
        return replace(self, points=place(self.points).astype(np.float32), image_size=image_size,
                       mesh=placed_mesh(self.mesh, place, scale))

    def smoothed(self) -> RawTrack:
        """`smooth_points` of this track, its mesh moved along."""
        points = smooth_points(self.points, self.fps, self.cuts)
        return replace(self, points=points, mesh=moved_mesh(self.mesh, self.points, points))

    def save(self, path: str | os.PathLike, mesh: Stored | None = None) -> Path:
        """Writes one safetensors file.

        Args:
            mesh: float32 [T, 478, 3], of a track too long to have it in memory.
        """
        tensors: dict[str, torch.Tensor | Stored] = {"points": torch.from_numpy(self.points),
                                                     "confidence": torch.from_numpy(self.confidence)}
        tensors |= {} if self.mesh is None else {"mesh": torch.from_numpy(self.mesh)}
        tensors |= {} if mesh is None else {"mesh": mesh}
        return save_tensors(path, tensors, kind=KIND, version=VERSION,
                            config={"image_size": list(self.image_size), "fps": self.fps, "cuts": list(self.cuts),
                                    "tracker": self.tracker})

    @classmethod
    def load(cls, path: str | os.PathLike, *, dense: bool = True) -> RawTrack:
        """Reads a file of `save`.

        Args:
            dense: with the mesh, by far the largest part, where there is one.
        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or with entries that no track has.
        """
        tensors, config = load_tensors(path, kind=KIND, version=VERSION, without=() if dense else ("mesh",))
        name, again = Path(path).name, "Track the video again"
        described(config, _SETTINGS, name, again)
        fitting(tensors, _TENSORS, name, again)
        mesh = tensors.get("mesh")
        return cls(points=tensors["points"].numpy(), confidence=tensors["confidence"].numpy(),
                   image_size=tuple(config["image_size"]), fps=config["fps"], cuts=tuple(config["cuts"]),
                   tracker=config.get("tracker", "rendered"), mesh=None if mesh is None else mesh.numpy())


def fill_missing(raw: RawTrack, policy: str = "error", first: int = 0) -> tuple[RawTrack, np.ndarray, np.ndarray]:
    """Handles frames without a face.

    Args:
        policy: "error"; "hold" the last face (the first one before it); "interpolate" between neighbours in the same shot; "skip"
            those frames.
        first: number of the track's first frame in the video, for the error.
    Returns:
        the track with every point known, the video's frame of each row (int64 [T']), and which rows were filled (bool [T']);
        filled rows have confidence 0 and no mesh.
    Raises:
        TalkingHeadsError: an unknown policy, no face at all, or frames without one under "error" (their numbers are named).
    """
    if policy not in POLICIES:
        raise TalkingHeadsError(f"Frames without a face need one of {', '.join(POLICIES)}", f"'{policy}'", "Choose one of those")
    seen, every = raw.seen, np.arange(len(raw))
    if not seen.any():
        came = "none found" if len(raw) == 1 else f"none in {len(raw)} frames"
        raise no_face("video", raw.image_size, came, wanted_of(raw.tracker), "Choose another video, or crop closer to the face")
    if seen.all():
        return raw, every, np.zeros(len(raw), bool)
    if policy == "error":
        raise TalkingHeadsError("Every frame must show the face", f"no face in {(~seen).sum()} of {len(raw)} frames: "
                                f"{listed(first + every[~seen])}",
                                "Cut these parts, or choose how they are handled: hold, interpolate or skip")
    if policy == "skip":
        cuts = tuple(sorted({int(seen[:c].sum()) for c in raw.cuts if seen[c:].any() and seen[:c].any()}))
        return raw.rows(seen, cuts), every[seen], np.zeros(int(seen.sum()), bool)
    points = _held(raw.points, seen) if policy == "hold" else _interpolated(raw, seen)
    return replace(raw, points=points, confidence=np.where(seen, raw.confidence, 0).astype(np.float32)), every, ~seen


def smooth_points(points: np.ndarray, fps: float, cuts: tuple[int, ...] = ()) -> np.ndarray:  # [T, 68, 2] -> [T, 68, 2]
    """Jaw and nose, and brows a little, smoothed with zero phase (Savitzky-Golay, order 2); lips and lids stay as they are.

    Runs between unknown frames and between cuts are smoothed on their own.
    """
    from scipy.signal import savgol_filter

    out = points.copy()
    for first, stop in runs(np.all(np.isfinite(points), axis=(1, 2)), cuts):
        for part, name in ((JAW, "face"), (NOSE, "face"), (BROWS, "brows")):
            window = min(2 * round(_WINDOW[name] * fps / 2) + 1, (stop - first - 1) // 2 * 2 + 1)
            if window >= 5:
                out[first:stop, part] = savgol_filter(points[first:stop, part].astype(np.float64), window, 2, axis=0)
    return out


def runs(known: np.ndarray, cuts: tuple[int, ...] = ()) -> list[tuple[int, int]]:
    """[first, stop) of every unbroken run of known frames, broken at cuts too."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    out = []
    for first, stop in edges.reshape(-1, 2):
        inner = [c for c in cuts if first < c < stop]
        out += list(zip([int(first), *inner], [*inner, int(stop)]))
    return out


def listed(frames) -> str:
    """Frame numbers as runs: "3, 7-9, 14"; long lists are cut short."""
    frames = np.asarray(frames)
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    words = [f"{g[0]}" if len(g) == 1 else f"{g[0]}-{g[-1]}" for g in groups]
    return ", ".join(words[:_LISTED]) + (f" and {len(words) - _LISTED} more runs" if len(words) > _LISTED else "")


def _held(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return points[np.where(last < 0, np.argmax(seen), last)]


def _interpolated(raw: RawTrack, seen: np.ndarray) -> np.ndarray:
    """Linear between the nearest faces of the same shot; held at its ends; a shot without a face holds the last one."""
    flat = raw.points.reshape(len(raw), -1).astype(np.float64)
    out = _held(raw.points, seen).reshape(len(raw), -1).astype(np.float64)
    edges = [0, *raw.cuts, len(raw)]
    for first, stop in zip(edges, edges[1:]):
        here = np.arange(first, stop)
        known = here[seen[first:stop]]
        if len(known):
            out[here] = np.stack([np.interp(here, known, flat[known, k]) for k in range(flat.shape[1])], 1)
    return out.reshape(raw.points.shape).astype(np.float32)
