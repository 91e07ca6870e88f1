"""The first pass over a video whose mouth will be carried: the face's mesh in exactly each frame, cuts, and how bright its
teeth are.

Nothing here is smoothed over time: what lags behind the frame is not cancelled, and the old speech would shine through.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..media_core.capture.shots import SIDE, single_changes
from ..media_core.dense_mesh import ROW
from ..media_core.errors import TalkingHeadsError
from ..media_core.face.carrier.handles import Handles
from ..media_core.face.carrier.inner_look import Mouth, cheek_colour
from ..media_core.face.carrier.place import UNIT
from ..media_core.face.carrier.snapping import snapped
from ..media_core.face.following import follow, upcoming
from ..media_core.face.landmarks.landmarks import CutFinder, FaceFrame, as_track, fill_missing
from ..media_core.face.mesh.tracker import MeshTracker
from ..media_core.face.presence import PATIENCE, Tracker, expect_face
from ..media_core.face.track import FaceTrack, measure
from ..media_core.face.trackers import make_tracker
from ..media_core.progress import Report, silent
from ..media_core.subject.layout import INNER_LIPS
from ..media_core.video_planes import as_array
from .film_looks import Look, Looks
from .film_teeth import Teeth, teeth_in

Frames = Callable[[int], Iterator[np.ndarray]]  # (start) -> a video's frames uint8 [H, W, 3] from that number on
_OFF = 2           # frames by which a given track may miss the video's length
_BRIGHTEST = 70    # percentile of what is between the lips from which it may be teeth
_LEAST_PIXELS = 12
_TEETH_GAP = 3.6   # units of opening from which teeth may be seen
_PREVIEW_EVERY = 10  # frames
_LOOK_EVERY = 12   # frames between two looks at the mouth's light

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmedFace:
    """One face through N frames."""

    track: FaceTrack
    mesh: np.ndarray          # float32 [N, 478, 3] px, as found in each frame; NaN: no face
    cuts: tuple[int, ...]     # frames that begin another shot
    between: np.ndarray       # float32 [N, 3] 0..255, the brighter part of what is seen between the lips; NaN: nothing
    cheeks: np.ndarray        # float32 [N, 3] 0..255; NaN: no face
    mouths: dict[int, Mouth]  # of some frames: the look of what is inside
    teeth: list[Teeth]        # where they are seen best, at most one between two sure cuts
    looks: list[Look]         # frames spread over the video

    def __len__(self) -> int:
        return len(self.mesh)

    @property
    def seen(self) -> np.ndarray:  # bool [N]
        return np.all(np.isfinite(self.mesh), axis=(1, 2))

    @property
    def trust(self) -> np.ndarray:  # float32 [N] 0..1
        return np.where(self.seen, self.track.confidence.numpy(), 0)


@dataclass
class Glimpses:
    """What is noted of each frame as it passes by."""

    change: list[float] = field(default_factory=list)      # of a thumbnail against the one before, 0..255
    between: list[np.ndarray] = field(default_factory=list)
    cheeks: list[np.ndarray] = field(default_factory=list)
    mouths: dict[int, Mouth] = field(default_factory=dict)
    teeth: list[Teeth] = field(default_factory=list)
    looks: Looks = field(default_factory=Looks)
    sudden: list[int] = field(default_factory=list)        # frames that surely begin another shot
    _last: np.ndarray | None = None
    _cut: CutFinder = field(default_factory=CutFinder)

    def add(self, frame: np.ndarray, mesh: np.ndarray | None) -> None:  # uint8 [H, W, 3], [478, 3] or None
        import cv2

        if self._cut(frame):
            self.sudden.append(len(self.change))
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        self.change.append(0.0 if self._last is None else float(np.abs(small - self._last).mean()))
        self._last = small
        if mesh is None or not np.isfinite(mesh).all():
            self.between.append(np.full(3, np.nan))
            self.cheeks.append(np.full(3, np.nan))
            return
        number = len(self.between)
        self.between.append(between_lips(frame, mesh))
        self.cheeks.append(cheek_colour(frame, mesh))
        if number - max(self.mouths, default=-_LOOK_EVERY) >= _LOOK_EVERY or number in self.sudden:
            self.mouths[number] = Mouth.of(frame, mesh, own=False)
        self._look_for_teeth(frame, mesh, number)
        self.looks.add(frame, mesh, number)

    def _look_for_teeth(self, frame: np.ndarray, mesh: np.ndarray, number: int) -> None:
        if not np.isfinite(self.between[number]).all():
            return
        found = teeth_in(frame, mesh, number, float(self.cheeks[number].mean()))
        best = self.teeth[-1] if self.teeth and self.teeth[-1].number >= max(self.sudden, default=0) else None
        if found is not None and (best is None or found.score > best.score):
            self.teeth[-1 if best is not None else len(self.teeth):] = [found]

    def cuts(self) -> tuple[int, ...]:
        return tuple(sorted({*self.sudden, *single_changes(np.array(self.change), self.sudden)}))


def between_lips(frame: np.ndarray, mesh: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3], [478, 3] px -> float [3]
    """Median of the brighter part of the pixels between the lips; NaN: too few, or lips too near."""
    import cv2

    if openings(mesh[None])[0] < _TEETH_GAP:
        return np.full(3, np.nan)
    ring = np.round(mesh[INNER_LIPS, :2]).astype(np.int32)
    low, high = np.maximum(ring.min(0), 0), np.minimum(ring.max(0) + 1, [frame.shape[1], frame.shape[0]])
    if (high - low).min() < 3:
        return np.full(3, np.nan)
    part = frame[low[1]:high[1], low[0]:high[0]]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [ring - low], 1)
    pixels = part[cv2.erode(mask, np.ones((2, 2), np.uint8)) > 0].astype(np.float64)
    if len(pixels) < _LEAST_PIXELS:
        return np.full(3, np.nan)
    light = pixels.mean(1)
    return np.median(pixels[light >= np.percentile(light, _BRIGHTEST)], axis=0)


def filmed_face(frames: Frames, fps: float, *, track: FaceTrack | None = None, tracker: str = "people",
                face_index: int = 0, near: np.ndarray | None = None, total: int | None = None,
                report: Report = silent) -> FilmedFace:
    """Looks at every frame of a video once (twice where a track has no mesh).

    Args:
        track: of the video at that rate; None: its face is followed. One that is shorter or longer than the video does not belong
            to its frames: the face is then followed again.
        tracker: of the face.
        face_index: which of several faces, the largest first.
        near: [68, 2] px, instead of that: about where the face is in the first frame.
        total: how many frames the video has, for the report.
    Raises:
        TalkingHeadsError: no frame, or no face.
    """
    if track is not None and track.landmarks.mesh is not None:
        glimpses = _looked_through(frames, track.landmarks.mesh.numpy(), total, report)
        if abs(len(glimpses.change) - len(track)) <= _OFF:
            return _filmed(track, track.landmarks.mesh.numpy(), glimpses)
        log.warning("the face track has %d frames, the video %d: where a track left frames out, later ones would come too early; "
                    "the face is followed again", len(track), len(glimpses.change))
        near, track = track.landmarks.points[0, :, :2].numpy(), None
    if track is None:
        following = make_tracker(tracker, face_index=face_index)
        if near is not None:
            following.state = np.array(near, np.float32)
        track, glimpses = _tracked(following, frames, fps, total, report)
        if track.landmarks.mesh is not None:
            return _filmed(track, track.landmarks.mesh.numpy(), glimpses)
    return _measured_again(frames, track, total, report)


def _filmed(track: FaceTrack, mesh: np.ndarray, glimpses: Glimpses) -> FilmedFace:
    count = min(len(mesh), len(glimpses.change))
    pad = lambda rows: np.array(rows[:count], np.float32)
    known = np.where((track.confidence[:count].numpy() > 0)[:, None, None], mesh[:count], np.float32(np.nan))
    cuts = tuple(cut for cut in glimpses.cuts() if cut < count)
    return FilmedFace(track=track if count == len(track) else track.slice(0, count), mesh=known, cuts=cuts,
                      between=pad(glimpses.between), cheeks=pad(glimpses.cheeks),
                      mouths=glimpses.mouths, teeth=glimpses.teeth,
                      looks=[look for look in glimpses.looks.kept if look.number < count])


def _tracked(tracker: Tracker, frames: Frames, fps: float, total: int | None, report: Report) -> tuple[FaceTrack, Glimpses]:
    faces, glimpses, size, missing = list[FaceFrame | None](), Glimpses(), (0, 0), 0
    for item, face in follow(tracker, upcoming(frames(0), cut=CutFinder())):
        frame = as_array(item.frame)
        glimpses.add(frame, None if face is None else face.mesh)
        faces.append(face)
        size = frame.shape[0], frame.shape[1]
        missing += face is None
        done = len(faces)
        count = max(total or 0, done)
        figures = {"stage": "face", "frame": done, "frames": count, "missing": missing}
        report(done, count, figures, frame if item.number % _PREVIEW_EVERY == 0 else None)
        if missing == done == PATIENCE:
            expect_face(frames(PATIENCE), tracker, fps, count - PATIENCE, lambda: report(PATIENCE, count, figures, None))
    if not faces:
        raise TalkingHeadsError("The video must have frames", "none", "Choose another video")
    raw = as_track(faces, size, fps, tuple(glimpses.sudden), tracker.kind)
    return measure(fill_missing(raw, "interpolate")[0]), glimpses


def _looked_through(frames: Frames, mesh: np.ndarray, total: int | None, report: Report) -> Glimpses:
    """Notes what is seen in a video whose mesh is known."""
    glimpses = Glimpses()
    for number, frame in enumerate(frames(0)):
        glimpses.add(frame, mesh[number] if number < len(mesh) else None)
        _tell(report, number, max(total or 0, len(mesh)), "looking for cuts", frame)
    if not glimpses.change:
        raise TalkingHeadsError("The video must have frames", "none", "Choose another video")
    return glimpses


def _measured_again(frames: Frames, track: FaceTrack, total: int | None, report: Report) -> FilmedFace:
    """The mesh of a track that has only 68 points: found where they are in each frame, and brought onto them."""
    log.warning("the face track, measured by '%s', has no mesh: it is measured in the video and fitted to the track's 68 points",
                track.tracker)
    tracker, glimpses = MeshTracker(), Glimpses()
    points, confidence = track.landmarks.points[..., :2].numpy(), track.confidence.numpy()
    rows, handles = np.full((len(track), *ROW), np.nan, np.float32), None
    for number, frame in enumerate(frames(0)):
        if number < len(track) and confidence[number] > 0:
            tracker.state = points[number].copy()
            face = tracker(frame)
            if face is not None and face.mesh is not None and _same_face(face.points, points[number]):
                handles = Handles(face.mesh) if handles is None else handles
                rows[number] = snapped(face.mesh, points[number], handles)
        glimpses.add(frame, rows[number] if number < len(track) else None)
        _tell(report, number, max(total or 0, len(track)), "landmarks", frame)
    lost = np.flatnonzero((confidence > 0) & ~np.isfinite(rows).all((1, 2)))
    if len(lost):
        log.warning("no mesh was found in %d frames in which the track has a face", len(lost))
    return _filmed(track, rows, glimpses)


def _same_face(seen: np.ndarray, wanted: np.ndarray) -> bool:  # [68, 2] px each
    return bool(np.linalg.norm(seen.mean(0) - wanted.mean(0)) < np.linalg.norm(wanted[45] - wanted[36]))


def _tell(report: Report, number: int, total: int, stage: str, frame: np.ndarray) -> None:
    count = max(total, number + 1)
    report(number + 1, count, {"stage": stage, "frame": number + 1, "frames": count},
           frame if number % _PREVIEW_EVERY == 0 else None)


def openings(mesh: np.ndarray) -> np.ndarray:  # [N, 478, 3] -> float64 [N] units, NaN without a face
    """Mean distance of three pairs of the inner lips."""
    pairs = np.asarray(INNER_LIPS)[[[4, 16], [5, 15], [6, 14]]]
    gaps = np.linalg.norm(mesh[:, pairs[:, 0]] - mesh[:, pairs[:, 1]], axis=-1).mean(1)
    return gaps / np.maximum(np.linalg.norm(mesh[:, 33] - mesh[:, 263], axis=-1), 1e-6) * UNIT

