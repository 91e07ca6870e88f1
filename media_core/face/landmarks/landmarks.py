"""68 face points from images: found once, then followed from frame to frame. `FaceTracker` and `portrait_landmarks` are the
tracker "rendered" (see face/trackers.py): the pack's own small networks.

    raw = track_frames(read_frames("me.mp4", fps=25), fps=25)      # points in px of the video, NaN where there is no face
    raw, kept, filled = fill_missing(raw, "interpolate")

"Built-in (approximate)": trained on renders of invented people only (docs/capture.md). Optical flow is not used: it lowers
jitter but shuts lips and lids (measured there).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...dense_mesh import ROW as MESH_ROW
from ...errors import TalkingHeadsError
from ...progress import Report, silent
from ...video_planes import Image, as_array, sampled
from ..draw import draw_landmarks
from ..following import follow, upcoming
from ..presence import PATIENCE, Tracker, expect_face
from .detector import ORDERS, find_faces, no_face
from .raw_track import RawTrack, fill_missing, smooth_points  # noqa: F401  (part of this module's interface)

WEIGHTS = Path(__file__).resolve().parents[3] / "weights" / "face_landmarks.safetensors"
PRESENT = 0.5        # confidence from which there is a face
_PATIENT = 0.3       # the same while a face is followed
_FORGOTTEN = 25      # frames without a face after which it is looked for at every size again
_MOVED = 0.05        # distances of the eye corners: moved further than this, the face is looked at once more
_CUT = 22.0          # mean change (0..255) of a thumbnail that may be a cut
_CUT_RATIO = 4.0     # times the usual change
_CUT_SIDE = 256      # px of a frame that are looked at for cuts, about
_PREVIEW_EVERY = 10  # frames


@dataclass(frozen=True)
class FaceFrame:
    """One face in one image."""

    points: np.ndarray  # float32 [68, 2] px, x right, y down; the middle of the first pixel is (0, 0)
    confidence: float  # 0..1 that this is a face and that the networks agree where
    mesh: np.ndarray | None = None  # float32 [478, 3] px, z smaller = nearer; None: the tracker has none
    doubtful: bool = False  # two looks at it disagree: the points are probably wrong


class FaceTracker:
    """Finds one face and follows it; call it with each frame in order.

    Args:
        face_index: which of several faces, counted in `order`; a frame with fewer faces has no face for this tracker.
        order: "largest" first or "left" first (from the image's left).
        weights: another file than the pack's own.
    Raises:
        TalkingHeadsError: a negative index or unknown order (FileFormatError: unreadable weights).
    """

    kind = "rendered"

    def __init__(self, *, face_index: int = 0, order: str = "largest", weights: str | Path | None = None):
        from .inference import PointFinder

        _check_choice(face_index, order)
        self.face_index, self.order = face_index, order
        self.finder = PointFinder(WEIGHTS if weights is None else weights)
        self.state: np.ndarray | None = None  # [68, 2] where the face was in the frame before; None: it must be found
        self._last_size: float | None = None  # of the face, as a part of the longer side
        self._lost = 0  # frames since it was seen

    def reset(self) -> None:
        """Forgets the face, as after a cut."""
        self.state = self._last_size = None
        self._lost = 0

    def __call__(self, frame: np.ndarray, mask: np.ndarray | None = None) -> FaceFrame | None:
        """The face in the next frame (uint8 [H, W, 3] RGB), None when there is none.

        Args:
            mask: bool [H, W]; where faces are looked for.
        Raises:
            TalkingHeadsError: no RGB image.
        """
        _check(frame)
        found = None if self.state is None else self._followed(frame, self.state)
        if found is None:
            found = self._found(frame, mask)
        self.state = None if found is None else found.points
        self._lost = self._lost + 1 if found is None else 0
        if found is not None:
            self._last_size = float(np.ptp(found.points, axis=0).max() / max(frame.shape[:2]))
        elif self._lost >= _FORGOTTEN:  # who comes back may sit nearer or farther than before
            self._last_size = None
        return found

    def _followed(self, frame: np.ndarray, last: np.ndarray) -> FaceFrame | None:  # last: [68, 2] px
        points, confidence = self.finder.refined(frame, last)
        moved = np.linalg.norm(points - last, axis=1).mean() / max(np.linalg.norm(points[36] - points[45]), 1e-3)
        if moved > _MOVED:
            points, confidence = self.finder.refined(frame, points)
        return FaceFrame(points, confidence) if confidence >= _PATIENT else None

    def _found(self, frame: np.ndarray, mask: np.ndarray | None) -> FaceFrame | None:
        faces = _faces(frame, self.finder, self.order, mask, self._last_size if self.face_index == 0 else None)
        return faces[self.face_index] if len(faces) > self.face_index else None


def faces(image: np.ndarray, *, order: str = "largest", mask: np.ndarray | None = None,
          weights: str | Path | None = None) -> list[FaceFrame]:
    """Every face of an image (uint8 [H, W, 3] RGB) in the stated order."""
    from .inference import PointFinder

    _check(image)
    return _faces(image, PointFinder(WEIGHTS if weights is None else weights), order, mask, None)


def portrait_landmarks(image: np.ndarray, *, face_index: int = 0, order: str = "largest", mask: np.ndarray | None = None,
                       weights: str | Path | None = None) -> FaceFrame:
    """The face of a still image (uint8 [H, W, 3] RGB), looked at more carefully than a video's frame.

    Raises:
        TalkingHeadsError: no such face, a negative index or unknown order, or no RGB image.
    """
    from .inference import PointFinder

    _check(image)
    _check_choice(face_index, order)
    finder = PointFinder(WEIGHTS if weights is None else weights)
    found = _faces(image, finder, order, mask, None)
    if len(found) <= face_index:
        wanted = f"{face_index + 1} upright, frontal faces" if face_index else "an upright, frontal face"
        remedy = ", or choose a smaller face index" if face_index else ""
        raise no_face("image", image.shape[:2], f"{len(found) or 'none'} found", wanted,
                      f"Crop closer to the face, or turn it upright{remedy}")
    return FaceFrame(*finder.careful(image, found[face_index].points))


def track_frames(frames: Iterable[np.ndarray], fps: float, *, tracker: Tracker | None = None, total: int | None = None,
                 masks: Iterable[np.ndarray] | None = None, again: Callable[[int], Iterable[np.ndarray]] | None = None,
                 report: Report = silent, dense: bool = True) -> RawTrack:
    """Follows one face through a video; holds a few frames at a time, and of each the points.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one size.
        fps: frames per second.
        tracker: of `make_tracker`; None: the one for real people.
        total: how many there are, for the report.
        masks: bool [H, W] for each frame: where the face is looked for.
        again: (start) -> the video's frames from that number on; with it a video without any face is refused soon.
        dense: keep the mesh (6 kB per frame), where the tracker has one.
    Raises:
        TalkingHeadsError: no frame at all, or (with `again`) no face.
    """
    if tracker is None:
        from ..trackers import make_tracker

        tracker = make_tracker("people")
    faces, cuts, size, missing = list[FaceFrame | None](), list[int](), (0, 0), 0
    for item, face in follow(tracker, upcoming(frames, masks, CutFinder())):
        index, frame = item.number, as_array(item.frame)
        if item.cut:
            cuts.append(index)
        faces.append(face if face is None or dense else replace(face, mesh=None))
        size = frame.shape[0], frame.shape[1]
        preview = _preview(frame, face) if index % _PREVIEW_EVERY == 0 else None
        missing += face is None
        count = max(total or 0, index + 1)
        figures = {"stage": "face", "frame": index + 1, "frames": count, "missing": missing}
        report(index + 1, count, figures, preview)
        if again is not None and missing == index + 1 == PATIENCE:
            expect_face(again(PATIENCE), tracker, fps, count - PATIENCE, lambda: report(PATIENCE, count, figures, None))
    if not faces:
        raise TalkingHeadsError("The video must have frames", "none", "Choose another video")
    return as_track(faces, size, fps, tuple(cuts), tracker.kind)


def as_track(faces: Sequence[FaceFrame | None], size: tuple[int, int], fps: float, cuts: tuple[int, ...],
             tracker: str) -> RawTrack:
    """The faces of a video's frames, of (H, W) px, as one track; NaN where there is none. `tracker`: of `MEASURED_BY`."""
    nowhere = np.full((68, 2), np.nan, np.float32)
    mesh = None
    if any(face is not None and face.mesh is not None for face in faces):
        unknown = np.full(MESH_ROW, np.nan, np.float32)
        mesh = np.stack([unknown if face is None or face.mesh is None else face.mesh for face in faces])
    return RawTrack(points=np.stack([nowhere if face is None else np.asarray(face.points, np.float32) for face in faces]),
                    confidence=np.array([0.0 if face is None else face.confidence for face in faces], np.float32),
                    image_size=size, fps=float(fps), cuts=cuts, tracker=tracker, mesh=mesh)


def _preview(frame: np.ndarray, face: FaceFrame | None) -> np.ndarray:
    return frame.copy() if face is None else draw_landmarks(frame, face.points)


class CutFinder:
    """Tells whether a frame begins another shot: its thumbnail differs far more from the last one than is usual in this video."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._usual = 2.0

    def __call__(self, frame: Image) -> bool:
        import cv2

        seen = sampled(frame, max(1, min(frame.shape[:2]) // _CUT_SIDE))  # enough of a large frame
        small = cv2.resize(seen, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        change = 0.0 if self._last is None else float(np.abs(small - self._last).mean())
        cut = change > max(_CUT, _CUT_RATIO * self._usual)
        self._last = small
        if not cut:
            self._usual += .1 * (change - self._usual)
        return cut


def _faces(image, finder, order: str, mask, size: float | None) -> list[FaceFrame]:
    """Candidates of the cascade that the networks confirm; `size` (part of the longer side) narrows the search."""
    sizes = {} if size is None else {"sizes": (.45 * size, 1.1 * size)}
    out: list[FaceFrame] = []
    for box in find_faces(image, order=order, mask=mask, **sizes):
        points, confidence = finder.from_box(image, box)
        twice = any(np.linalg.norm(points.mean(0) - f.points.mean(0)) < .5 * np.ptp(f.points[:, 0]) for f in out)
        if confidence >= PRESENT and not twice:
            out.append(FaceFrame(points, confidence))
    return out


def _check_choice(face_index: int, order: str) -> None:
    if face_index < 0 or order not in ORDERS:
        raise TalkingHeadsError(f"The face's number must be 0 or more, its order one of {', '.join(ORDERS)}",
                                f"{face_index}, '{order}'", "Use 0 and 'largest'")


def _check(image: np.ndarray) -> None:
    if (not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3
            or min(image.shape) < 1):
        came = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TalkingHeadsError("An image must be uint8 RGB [H, W, 3]", came, "Convert it first")
