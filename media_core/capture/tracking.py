"""From a video to its raw track: 68 points per frame in the video's own pixels, resumed where a killed run stopped."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from ..errors import FileFormatError, TalkingHeadsError
from ..face.draw import draw_landmarks
from ..face.geometry import height_width
from ..face.landmarks.landmarks import CutFinder, RawTrack
from ..face.presence import PATIENCE, Tracker, expect_face
from ..files import load_tensors, save_tensors
from ..read_ahead import ahead
from ..schema import COUNT, described, many, record, whole
from ..tensor_schema import Numbers, fitting
from ..video import read_frames
from .settings import CaptureSettings
from .stages import Step

CHUNK = 100            # frames between two savings; what a kill costs at most
PREVIEW_EVERY = 10     # frames
LEAST = 10             # frames of a video that can be used at all
PREVIEW_SIDE = 512     # px, the longer side of a preview
RAW, PARTIAL = "raw_track.safetensors", "raw_track.partial.safetensors"
_KIND, _VERSION = "partial_track", 1


def track_film(folder: Path, film: Path, settings: CaptureSettings, first: int, stop: int | None, total: int,
               region: np.ndarray | None, tracker: Tracker, step: Step) -> None:
    """Follows the face through the video and writes raw_track.safetensors.

    At the beginning of every chunk the tracker knows the last frame's points and nothing else, whether or not the run was
    interrupted there: the same video gives the same track.

    Args:
        first, stop: frames of the video, at the dataset's rate; `stop` None is the video's end.
        total: frames expected, for the progress.
        region: bool [1 or frames, H, W]: where the face is looked for.
        tracker: finds the face; see `capture`. What it remembers is forgotten.
    Raises:
        FileFormatError: the video cannot be decoded, has too few frames, or shows no face.
    """
    tracker.reset()
    points, confidence, cuts = _partial(folder)
    begin, size, cut = len(points), (0, 0), CutFinder()
    numbered = enumerate(read_frames(film, settings.fps, max(first + begin - 1, first)), max(begin - 1, 0))
    with closing(ahead(_before(numbered, None if stop is None else stop - first))) as frames:
        for i, frame in frames:
            size = frame.shape[:2]
            if i == begin - 1:  # seen before: only the next one's cut is judged by it
                cut(frame)
                continue
            if i % CHUNK == 0 and i:
                _fresh(tracker, points[-1])
            if cut(frame):
                cuts.append(i)
                tracker.reset()
            face = tracker(frame, _region(region, first + i))
            points.append(np.full((68, 2), np.nan, np.float32) if face is None else np.asarray(face.points, np.float32))
            confidence.append(0.0 if face is None else float(face.confidence))
            if (i + 1) % CHUNK == 0:
                cut = CutFinder()
                cut(frame)
                _save_partial(folder, points, confidence, cuts)
            step(i + 1, max(total, i + 1), {}, _preview(frame, points[-1]) if i % PREVIEW_EVERY == 0 else None)
            if i + 1 == PATIENCE and not any(confidence):
                _look_further(film, settings.fps, first, stop, total, region, tracker, step)
    _check_length(film, len(points), first, settings.fps)
    RawTrack(points=np.stack(points), confidence=np.array(confidence, np.float32), image_size=size, fps=float(settings.fps),
             cuts=tuple(cuts)).save(folder / RAW)
    (folder / PARTIAL).unlink(missing_ok=True)


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
    return RawTrack(points=raw.points[rows], confidence=raw.confidence[rows], image_size=height_width(size), fps=float(fps),
                    cuts=tuple(int(c) for c in cuts if 0 < c < len(rows)))


def _look_further(film: Path, fps: float, first: int, stop: int | None, total: int, region: np.ndarray | None, tracker: Tracker,
                  step: Step) -> None:
    """Rejects a video whose remainder shows no face either; arguments as for `track_film`."""
    after = enumerate(read_frames(film, fps, first + PATIENCE), PATIENCE)
    rest = (frame for _, frame in _before(after, None if stop is None else stop - first))
    expect_face(rest, tracker, fps, total - PATIENCE, lambda: step(PATIENCE, max(total, PATIENCE), {}, None),
                lambda number: _region(region, first + PATIENCE + number))


def _before(frames: Iterator[tuple[int, np.ndarray]], stop: int | None) -> Iterator[tuple[int, np.ndarray]]:
    for i, frame in frames:
        if stop is not None and i >= stop:
            return
        yield i, frame


def _region(region: np.ndarray | None, number: int) -> np.ndarray | None:  # bool [H, W]
    """Where the face is looked for in a frame of the video."""
    return None if region is None else region[0 if len(region) == 1 else min(number, len(region) - 1)]


def _fresh(tracker: Tracker, points: np.ndarray) -> None:
    """Forgets all but where the face was."""
    tracker.reset()
    tracker.state = points if np.isfinite(points).all() else None


def _preview(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    import cv2

    scale = min(1.0, PREVIEW_SIDE / max(frame.shape[:2]))
    small = frame if scale == 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return draw_landmarks(small, (points + 0.5) * scale - 0.5)


def _partial(folder: Path) -> tuple[list[np.ndarray], list[float], list[int]]:
    """What an interrupted run has left: points, confidences, cuts."""
    path = folder / PARTIAL
    if not path.is_file():
        return [], [], []
    tensors, config = load_tensors(path, kind=_KIND, version=_VERSION)
    again = "Delete it and capture the video again"
    described(config, record({"cuts": many(whole(0, COUNT))}), path.name, again)
    fitting(tensors, {"points": Numbers(("T", 68, 2), nan=True), "confidence": Numbers(("T",))}, path.name, again)
    return list(tensors["points"].numpy()), tensors["confidence"].tolist(), list(config["cuts"])


def _save_partial(folder: Path, points: list[np.ndarray], confidence: list[float], cuts: list[int]) -> None:
    tensors = {"points": torch.from_numpy(np.stack(points)), "confidence": torch.tensor(confidence, dtype=torch.float64)}
    save_tensors(folder / PARTIAL, tensors, kind=_KIND, version=_VERSION, config={"cuts": cuts})


def _check_length(film: Path, frames: int, first: int, fps: float) -> None:
    if frames < LEAST:
        came = f"{film.name} shows {frames} after {first / fps:.2f} s" if first else f"{film.name} shows {frames}"
        raise FileFormatError(f"The video must show at least {LEAST} frames at {fps:g} a second", came,
                              "Choose a longer video, or an earlier segment")
