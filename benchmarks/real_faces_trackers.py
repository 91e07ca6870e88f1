"""The two trackers as `real_faces.py` runs them: a still image, a video, and how long each took without decoding."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import portrait_landmarks, track_frames
from talking_heads.media_core.face.mesh import layout
from talking_heads.media_core.face.mesh.finder import FaceFinder
from talking_heads.media_core.face.mesh.follower import MeshFollower
from talking_heads.media_core.face.mesh.mesh_track import track_mesh
from talking_heads.media_core.face.mesh.nets import MeshNets

_BLOCK = 25  # frames whose mean time is taken; the fastest block of a video counts


@dataclass(frozen=True)
class Seen:
    """What a tracker says of T frames (a still image: one)."""

    points: np.ndarray  # float32 [T, 68, 2] px, NaN where there is no face
    confidence: np.ndarray  # float32 [T] 0..1
    mesh: np.ndarray | None = None  # float32 [T, 478, 3]
    disagreement: np.ndarray | None = None  # float32 [T]
    wall: float = float("nan")  # ms per frame or image, the best of what was timed
    processor: float = float("nan")

    @property
    def there(self) -> np.ndarray:  # bool [T]
        return np.isfinite(self.points).all((1, 2))


NOTHING = Seen(np.full((1, 68, 2), np.nan, np.float32), np.zeros(1, np.float32))


class Clock:
    """Wall clock and processor time (s) since the last call, or 0 where none was running."""

    def __init__(self) -> None:
        self.take()

    def take(self) -> np.ndarray:  # [2]
        now = np.array([time.perf_counter(), time.process_time()])
        spent = now - getattr(self, "last", now)
        self.last = now
        return spent


class Timed:
    """Frames whose decoding is not counted, and the time between reports."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self.clock, self.spent, self.rows = Clock(), np.zeros(2), list[np.ndarray]()
        self.frames = self._timed(frames)

    def report(self, done: int, total: int, figures: object, preview: object) -> None:
        self.rows.append(self.spent + self.clock.take())
        self.spent = np.zeros(2)

    def best(self) -> tuple[float, float]:
        """ms per frame in the fastest block."""
        rows = np.array(self.rows)
        blocks = [rows[k:k + _BLOCK].mean(0) for k in range(0, max(1, len(rows) - _BLOCK + 1), _BLOCK)]
        wall, processor = 1000 * np.min(blocks, 0)
        return float(wall), float(processor)

    def _timed(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        source = iter(frames)
        while True:
            self.spent = self.spent + self.clock.take()
            frame = next(source, None)
            self.clock.take()  # decoding is left out
            if frame is None:
                return
            yield frame


def kept(folder: Path | None, name: str, work: Callable[[], Seen]) -> Seen:
    """What `work` sees, from the folder where it is kept there; without a folder nothing is kept."""
    if folder is None:
        return work()
    path = folder / f"{name}.npz"
    if not path.exists():
        seen = work()
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{f.name: getattr(seen, f.name) for f in fields(seen) if getattr(seen, f.name) is not None})
    stored = np.load(path)
    return Seen(**{key: stored[key] if stored[key].ndim else float(stored[key]) for key in stored})


def still(kind: str, nets: MeshNets, image: np.ndarray, repeats: int = 1) -> Seen:
    """The largest face of an image, looked at carefully. `wall` and `processor` are of finding and placing it; the careful look
    of the "people" tracker comes on top, the "rendered" one has no other."""
    times, seen = [], NOTHING
    for _ in range(repeats):
        clock = Clock()
        seen, spent = _mesh_still(nets, image, clock) if kind == "people" else _old_still(image, clock)
        times.append(1000 * spent)
    wall, processor = np.min(times, 0)
    return replace(seen, wall=float(wall), processor=float(processor))


def _mesh_still(nets: MeshNets, image: np.ndarray, clock: Clock) -> tuple[Seen, np.ndarray]:
    finder = FaceFinder(nets)
    found = finder.faces(image, wanted=1)
    spent = clock.take()
    if not found:
        return NOTHING, spent
    face = finder.careful(image, found[0].square)
    return Seen(points=layout.points_68(face.points)[None], confidence=np.array([face.trust], np.float32),
                mesh=face.points[None], disagreement=np.array([face.disagreement], np.float32)), spent


def _old_still(image: np.ndarray, clock: Clock) -> tuple[Seen, np.ndarray]:
    try:
        face = portrait_landmarks(image)
    except TalkingHeadsError:
        return NOTHING, clock.take()
    return Seen(face.points[None], np.array([face.confidence], np.float32)), clock.take()


def film(kind: str, nets: MeshNets, frames: Iterable[np.ndarray], fps: float, mask: np.ndarray | None = None) -> Seen:
    """One face followed through a video, as the pack does it; `mask` [H, W]: where it is looked for."""
    timed = Timed(frames)
    masks = None if mask is None else _always(mask)
    if kind == "people":
        track, = track_mesh(timed.frames, fps, MeshFollower(nets), masks=masks, report=timed.report)
        seen = Seen(points=layout.points_68(track.points), confidence=track.trust, mesh=track.points,
                    disagreement=track.disagreement)
    else:
        raw = track_frames(timed.frames, fps, masks=masks, report=timed.report)
        seen = Seen(raw.points, raw.confidence)
    wall, processor = timed.best()
    return replace(seen, wall=wall, processor=processor)


def _always(mask: np.ndarray) -> Iterator[np.ndarray]:
    while True:
        yield mask
