"""Images of a video's clips: a second pass through the video, when it is known which frames belong to which clip.

The square is that of the clip's own tracked points. The parts of the image are found in a wider one, with hair and shoulders,
as the capture does (media_core/face/masks): a tight square shows too little of what lies around a face to distinguish them. A
clip that was done before the work was stopped is not done again.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from ...media_core.capture.framing import cut_square, frame_face
from ...media_core.face.crop import FaceCrop
from ...media_core.face.landmarks.raw_track import RawTrack
from ...media_core.face.masks.look import learn_look
from ...media_core.face.masks.masks import SAMPLES, HeadMasker
from ...media_core.progress import Report, silent
from ...media_core.read_ahead import ahead
from ...media_core.video import read_frames
from .captured import bridged, steadied
from .dataset_writer import Recorded, writing
from .images import PictureSettings, mask_classes, spool, spooled

LEAST = 0.5         # side of the square in the video over that of the images: smaller faces have no images worth learning from
_SHOWN_EVERY = 10   # frames between two previews
_SAMPLE_EVERY = 8   # frames between two that the person's colours are learnt from
_WIDE = 160         # px, sides of the square in which the parts are found


def with_pictures(film: Path, clips: Sequence[Recorded], raw: RawTrack, settings: PictureSettings, work: Path,
                  made_from: Mapping[str, Any], report: Report = silent) -> tuple[list[Recorded], list[dict[str, Any]]]:
    """The clips with their images, coded into files in the folder `work`; and which have none, and why.

    Args:
        clips: of the video, in order; `facts["first_frame"]` tells where each begins.
        raw: the points of the whole video.
        made_from: what the clips depend on, JSON.
        report: called with the video's frames done.
    Raises:
        FileFormatError: the video cannot be decoded any more.
        TalkingHeadsError: the video has become shorter, or the disk is full.
    """
    known, done, small = bridged(raw), [], []
    frames = _Frames(film, raw.fps)
    with writing(work), closing(frames):
        for clip in clips:
            first = int(clip.facts["first_frame"])
            stop = first + len(clip.landmarks)
            points = steadied(known.points[first:stop], raw.fps)
            crop, key = settings.square(points, raw.image_size, raw.fps), {**made_from, "frames": [first, stop]}
            if crop.side() < LEAST * settings.size:
                small.append({"reason": f"no images of {settings.size} px: the face's square has {crop.side():.0f} px there",
                              "frames": [first, stop], "seconds": round((stop - first) / raw.fps, 2)})
                done.append(clip)
                continue
            pictures = spooled(work, clip.name, key)
            if pictures is None:
                told = lambda i, picture, first=first: report(first + i, len(raw), {}, picture)
                cut = (_cut if settings.masks else _cut_alone)(frames.between(first, stop), crop, points, told)
                pictures = spool(work, clip.name, key, settings, crop, points, cut)
            done.append(replace(clip, pictures=pictures))
    return done, small


def _cut_alone(frames: Iterator[np.ndarray], crop: FaceCrop, points: np.ndarray,
               tell: Callable[[int, np.ndarray | None], None]) -> Iterator[tuple[np.ndarray, None]]:
    """The square of every frame, uint8 [S, S, 3]."""
    for i, frame in enumerate(frames):
        picture = crop.crop(frame, i)
        tell(i, picture if i % _SHOWN_EVERY == 0 else None)
        yield picture, None


def _cut(frames: Iterator[np.ndarray], crop: FaceCrop, points: np.ndarray,
         tell: Callable[[int, np.ndarray | None], None]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The square of every frame and its parts, uint8 [S, S, 3] and [S, S].

    The person's colours are learnt from the first frames, which wait for it.
    """
    wide = frame_face(points, crop.source_size, _WIDE)
    seen = wide.to_crop(points)
    squares = ((crop.crop(frame, i), cut_square(frame, wide)) for i, frame in enumerate(frames))
    waiting = list(islice(squares, SAMPLES * _SAMPLE_EVERY))
    masker = HeadMasker((_WIDE, _WIDE), learn_look([(waiting[i][1], seen[i]) for i in range(0, len(waiting), _SAMPLE_EVERY)]))
    for i, (picture, around) in enumerate(chain(waiting, squares)):
        tell(i, picture if i % _SHOWN_EVERY == 0 else None)
        classes = mask_classes(masker(around, seen[i]))
        yield picture, _moved(classes, wide.matrices[0], crop.matrix(i), crop.size)


def _moved(classes: np.ndarray, wide: np.ndarray, crop: np.ndarray, size: int) -> np.ndarray:  # uint8 -> uint8 [size, size]
    """Parts found in one square, in another one: the nearest pixel's; both matrices [2, 3] go from source px to the squares'."""
    import cv2

    square = [np.vstack([matrix, [0, 0, 1]]) for matrix in (wide, crop)]
    across = (square[1] @ np.linalg.inv(square[0]))[:2]
    return cv2.warpAffine(classes, across, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


class _Frames:
    """A video read once from front to back, begun at the first frame that is asked for."""

    def __init__(self, film: Path, fps: float):
        self.film, self.fps = film, fps
        self._frames: Generator[np.ndarray, None, None] | None = None
        self._next = 0

    def between(self, first: int, stop: int) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
        """Frames [first, stop); `first` lies behind all that were asked for before. A video that ends earlier gives fewer."""
        if self._frames is None:
            self._frames, self._next = ahead(read_frames(self.film, self.fps, first)), first
        while self._next < stop:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._next += 1
            if self._next > first:
                yield frame

    def close(self) -> None:
        """Ends the reading."""
        if self._frames is not None:
            self._frames.close()
