"""From a video to its raw track: the face's points in the video's own pixels, resumed where a killed run stopped.

Of the mesh, which is by far the most, at most `CHUNK` frames are in memory until the video's end.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ..choices import MEASURED_BY
from ..dense_mesh import ROW as MESH_ROW
from ..errors import FileFormatError, TalkingHeadsError
from ..face.draw import draw_landmarks
from ..face.following import Upcoming, follow
from ..face.geometry import height_width
from ..face.landmarks.landmarks import CutFinder, FaceFrame, RawTrack
from ..face.presence import PATIENCE, Tracker, expect_face
from ..files import Stored, load_tensors, save_tensors
from ..read_ahead import ahead
from ..schema import COUNT, described, flag, many, record, text, whole
from ..tensor_schema import Numbers, fitting
from ..torch_threads import one_thread_each
from ..video import read_frames
from ..video_part import Part
from ..video_planes import Image, averaged
from ..video_reading import read_planes
from .settings import CaptureSettings
from .stages import Step

CHUNK = 100            # frames between two savings; what a kill costs at most
PREVIEW_EVERY = 10     # frames
LEAST = 10             # frames of a video that can be used at all
PREVIEW_SIDE = 512     # px, the longer side of a preview
RAW, PARTIAL, PARTIAL_MESH = "raw_track.safetensors", "raw_track.partial.safetensors", "raw_track.partial.mesh"
_KIND, _VERSION = "partial_track", 1
_SETTINGS = record({"cuts": many(whole(0, COUNT))}, {"tracker": text(choices=MEASURED_BY), "mesh": flag()})
_TENSORS = {"points": Numbers(("T", 68, 2), nan=True), "confidence": Numbers(("T",))}
Frame = TypeVar("Frame", np.ndarray, Image)
_MESH_BYTES = 4 * MESH_ROW[0] * MESH_ROW[1]  # of a frame


def track_film(folder: Path, film: Path, settings: CaptureSettings, first: int, stop: int | None, total: int,
               region: np.ndarray | None, tracker: Tracker, step: Step, *, dense: bool = True) -> None:
    """Follows the face through the video and writes raw_track.safetensors.

    At the beginning of every chunk the tracker knows the last frame's points and nothing else, whether or not the run was
    interrupted there: the same video gives the same track.

    Args:
        first, stop: frames of the video, at the dataset's rate; `stop` None is the video's end.
        total: frames expected, for the progress.
        region: bool [1 or frames, H, W]: where the face is looked for.
        tracker: finds the face; see `capture`. What it remembers is forgotten.
        dense: keep the mesh, where the tracker has one.
    Raises:
        FileFormatError: the video cannot be decoded, has too few frames, or shows no face.
    """
    tracker.reset()
    found = _Found.open(folder, tracker.kind, dense)
    begin, size = len(found.points), (0, 0)
    if begin and np.isfinite(found.points[-1]).all():
        tracker.state = found.points[-1]
    numbered = enumerate(read_planes(film, settings.fps, max(first + begin - 1, first), spared=1), max(begin - 1, 0))
    wanted = _upcoming(_before(numbered, None if stop is None else stop - first), begin, lambda i: _region(region, first + i))
    with one_thread_each(), closing(ahead(wanted)) as items:
        for item, face in follow(tracker, items):
            i, frame = item.number, item.frame
            size = frame.shape[0], frame.shape[1]
            if item.cut:
                found.cuts.append(i)
            found.add(face)
            if (i + 1) % CHUNK == 0:
                found.save()
            step(i + 1, max(total, i + 1), {}, _preview(frame, found.points[-1]) if i % PREVIEW_EVERY == 0 else None)
            if i + 1 == PATIENCE and not any(found.confidence):
                _look_further(film, settings.fps, first, stop, total, region, tracker, step)
    _check_length(film, len(found.points), first, settings.fps)
    found.save_track(folder / RAW, size, float(settings.fps))
    found.remove()


def given_track(raw: RawTrack, size: tuple[int, int], fps: float, first: int, stop: int | None) -> RawTrack:
    """The part of a given track that is captured, at the dataset's rate: at each frame what was on screen.

    Raises:
        TalkingHeadsError: it is of a video of another size, or ends before the part begins.
    """
    if tuple(raw.image_size) != tuple(size):
        raise TalkingHeadsError(f"The landmarks must be in the video's pixels, {size[1]} x {size[0]}",
                                f"of an image of {raw.image_size[1]} x {raw.image_size[0]}",
                                "Find them in this video, unscaled")
    count = round(len(raw.points) * fps / raw.fps)
    numbers = np.arange(first, count if stop is None else min(stop, count))
    if len(numbers) < LEAST:
        raise TalkingHeadsError(f"The landmarks must cover at least {LEAST} frames of the part that is captured",
                                f"{len(numbers)}", "Find them in the whole video")
    rows = np.minimum(((numbers + 0.5) * raw.fps / fps).astype(int), len(raw.points) - 1)
    cuts = np.unique(np.searchsorted(rows, np.asarray(raw.cuts, int)))
    chosen = raw.rows(rows, tuple(int(c) for c in cuts if 0 < c < len(rows)))
    return replace(chosen, image_size=height_width(size), fps=float(fps))


def _look_further(film: Path, fps: float, first: int, stop: int | None, total: int, region: np.ndarray | None, tracker: Tracker,
                  step: Step) -> None:
    """Rejects a video whose remainder shows no face either; arguments as for `track_film`."""
    after = enumerate(read_frames(film, fps, first + PATIENCE), PATIENCE)
    rest = (frame for _, frame in _before(after, None if stop is None else stop - first))
    expect_face(rest, tracker, fps, total - PATIENCE, lambda: step(PATIENCE, max(total, PATIENCE), {}, None),
                lambda number: _region(region, first + PATIENCE + number))


def _upcoming(frames: Iterable[tuple[int, Image]], begin: int,
              region: Callable[[int], np.ndarray | None]) -> Iterator[Upcoming]:
    """What is to be tracked, from frame `begin` on; the one before only tells whether a cut is between them."""
    cut = CutFinder()
    for i, frame in frames:
        begins = cut(frame)
        if i >= begin:
            yield Upcoming(frame, region(i), cut=begins, border=i > 0 and i % CHUNK == 0, number=i)
        if (i + 1) % CHUNK == 0:  # as a run that is resumed there
            cut = CutFinder()
            cut(frame)


def _before(frames: Iterator[tuple[int, Frame]], stop: int | None) -> Iterator[tuple[int, Frame]]:
    for i, frame in frames:
        if stop is not None and i >= stop:
            return
        yield i, frame


def _region(region: np.ndarray | None, number: int) -> np.ndarray | None:  # bool [H, W]
    """Where the face is looked for in a frame of the video."""
    return None if region is None else region[0 if len(region) == 1 else min(number, len(region) - 1)]


def _preview(frame: Image, points: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = min(1.0, PREVIEW_SIDE / max(height, width))
    small = averaged(frame, Part(0, 0, width, height), (max(round(height * scale), 1), max(round(width * scale), 1)))
    return draw_landmarks(small, (points + 0.5) * scale - 0.5)


@dataclass
class _Found:
    """What has been found so far. Files keep it between two runs: the points in one that is written again with every chunk, the
    mesh in one that only grows."""

    folder: Path
    tracker: str
    dense: bool = True                                         # keep the mesh
    points: list[np.ndarray] = field(default_factory=list)     # float32 [68, 2] px, NaN without a face
    confidence: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    _dense: list[np.ndarray] = field(default_factory=list)     # float32 [478, 3], of the frames not yet in the file
    _has_mesh: bool = False

    @classmethod
    def open(cls, folder: Path, tracker: str, dense: bool) -> _Found:
        """What an interrupted run of the same tracker has left; nothing where parts of it are lost.

        Raises:
            FileFormatError: a file that no run has left.
        """
        path, out = folder / PARTIAL, cls(folder, tracker, dense)
        if not path.is_file():
            out.remove()
            return out
        tensors, config = load_tensors(path, kind=_KIND, version=_VERSION)
        again = "Delete it and capture the video again"
        described(config, _SETTINGS, path.name, again)
        fitting(tensors, _TENSORS, path.name, again)
        has_mesh = bool(config.get("mesh", False))
        if config.get("tracker", "rendered") != tracker or not out._cut_mesh(len(tensors["points"]) if has_mesh else 0):
            out.remove()
            return out
        return cls(folder=folder, tracker=tracker, dense=dense, points=list(tensors["points"].numpy()), cuts=list(config["cuts"]),
                   confidence=tensors["confidence"].tolist(), _has_mesh=has_mesh)

    def add(self, face: FaceFrame | None) -> None:
        """The next frame's."""
        mesh = face.mesh if face is not None and self.dense else None
        if mesh is not None and not self._has_mesh:
            self._has_mesh = True
            self._dense = [np.full(MESH_ROW, np.nan, np.float32)] * len(self.points)
        self.points.append(np.full((68, 2), np.nan, np.float32) if face is None else np.asarray(face.points, np.float32))
        self.confidence.append(0.0 if face is None else float(face.confidence))
        if self._has_mesh:
            self._dense.append(np.full(MESH_ROW, np.nan, np.float32) if mesh is None else np.asarray(mesh, np.float32))

    def save(self) -> None:
        """Keeps all for another run."""
        self._keep_mesh()
        tensors = {"points": torch.from_numpy(np.stack(self.points)),
                   "confidence": torch.tensor(self.confidence, dtype=torch.float64)}
        save_tensors(self.folder / PARTIAL, tensors, kind=_KIND, version=_VERSION,
                     config={"cuts": self.cuts, "tracker": self.tracker, "mesh": self._has_mesh})

    def save_track(self, path: Path, size: tuple[int, int], fps: float) -> None:
        """Writes all of it as a `RawTrack`; the mesh goes from file to file."""
        self._keep_mesh()
        shape = len(self.points), *MESH_ROW
        mesh = Stored(self.folder / PARTIAL_MESH, torch.float32, shape) if self._has_mesh else None
        track = RawTrack(points=np.stack(self.points), confidence=np.array(self.confidence, np.float32), image_size=size, fps=fps,
                         cuts=tuple(self.cuts), tracker=self.tracker)
        track.save(path, mesh)

    def remove(self) -> None:
        for name in (PARTIAL, PARTIAL_MESH):
            (self.folder / name).unlink(missing_ok=True)

    def _cut_mesh(self, frames: int) -> bool:
        """Leaves so many frames in the mesh's file: a kill may have come between the two files. False where it has fewer."""
        path = self.folder / PARTIAL_MESH
        if not frames:
            path.unlink(missing_ok=True)
            return True
        if not path.is_file() or path.stat().st_size < frames * _MESH_BYTES:
            return False
        with path.open("r+b") as file:
            file.truncate(frames * _MESH_BYTES)
        return True

    def _keep_mesh(self) -> None:
        if self._dense:
            with (self.folder / PARTIAL_MESH).open("ab") as file:
                for row in self._dense:
                    file.write(row.tobytes())
            self._dense = []


def _check_length(film: Path, frames: int, first: int, fps: float) -> None:
    if frames < LEAST:
        came = f"{film.name} shows {frames} after {first / fps:.2f} s" if first else f"{film.name} shows {frames}"
        raise FileFormatError(f"The video must show at least {LEAST} frames at {fps:g} per second", came,
                              "Choose a longer video, or an earlier segment")
