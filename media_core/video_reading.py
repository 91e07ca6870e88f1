"""Films that are read: what they are, their frames one at a time, and their sound from the first frame on.

Whatever telephones write is honoured: rotation, oblong pixels, varying rates, sound that starts before or after the picture.
"""
from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from .audio import FPS, Sound, load_sound
from .errors import FileFormatError


@dataclass(frozen=True)
class VideoInfo:
    """What a film is."""

    width: int  # px, as shown (after rotation)
    height: int  # px, as shown
    fps: Fraction  # average frames a second
    frames: int  # as the file says, else duration times rate
    duration: float  # s, of the picture
    has_sound: bool


def probe(path: str | os.PathLike) -> VideoInfo:
    """What the film at `path` is; its first frame is decoded to be sure.

    Raises:
        FileFormatError: absent, empty, not a film, or without a picture.
    """
    with _Opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise FileFormatError("The film must hold frames", f"{Path(path).name} has none", "Export it again as mp4")
        width = _shown_width(first, stream)
        sides = (width, first.height) if _turns(first) % 2 == 0 else (first.height, width)
        fps = Fraction(stream.average_rate or stream.base_rate or Fraction(FPS))
        seconds = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 1_000_000)
        frames = stream.frames or max(1, round(seconds * fps))
        return VideoInfo(*sides, fps, frames, float(seconds) or float(frames / fps), bool(container.streams.audio))


def read_frames(path: str | os.PathLike, fps: float | None = None, start: int = 0) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
    """The film's frames in order, upright (rotation metadata and oblong pixels are applied), one at a time.

    Args:
        fps: with it, the frames a film of that constant rate would show: at each (i + 1/2) / fps after the first frame the one on
            screen. Without it, every frame as stored.
        start: number of the first frame given; those before are decoded and dropped.

    Raises:
        FileFormatError: absent, empty, not a film, or broken somewhere on the way.
    """
    with _Opened(path) as (container, stream):
        rate = float(stream.average_rate or stream.base_rate or FPS)
        count, begin, end, shown = 0, None, 0.0, None
        for number, frame in enumerate(container.decode(stream)):
            if fps is None:
                if number >= start:
                    yield _upright(frame, stream)
                continue
            time = number / rate if frame.time is None else frame.time
            begin = time if begin is None else begin
            last = _last_shown(time - begin, fps, count)
            yield from _held(shown, stream, last - max(count, start))
            count, shown, end = last, frame, time - begin + 1 / rate
        if shown is not None:
            yield from _held(shown, stream, _last_shown(end, fps, count) - max(count, start))


def _last_shown(time: float, fps: float, count: int) -> int:
    """Frames of a film at `fps` whose middles lie before `time` s, at least `count`."""
    while (count + 0.5) / fps < time:
        count += 1
    return count


def _held(frame: Any, stream: Any, times: int) -> Iterator[np.ndarray]:
    """The frame `times` times over; converted only when that is at least once."""
    picture = _upright(frame, stream) if times > 0 else None
    for _ in range(times):
        yield picture


def load_film_sound(path: str | os.PathLike) -> Sound:
    """The film's sound from its first picture on: sample 0 is heard when frame 0 of `read_frames` appears.

    What is heard before the picture begins is cut; a sound track that starts after the picture gets silence in front.

    Raises:
        FileFormatError: as for `load_sound` and `read_frames`, or the sound ends before the picture begins.
    """
    with _Opened(path) as (container, stream):
        if not container.streams.audio:
            raise FileFormatError("The film must have sound", f"{Path(path).name} has none",
                                  "Choose a film with sound, or film again with the microphone on")
        first, begin = next(container.decode(stream), None), container.start_time  # us
        early = 0.0 if first is None or first.time is None or begin is None else first.time - begin / 1e6
    sound = load_sound(path)
    if round(early * sound.sample_rate) <= 0:
        return sound
    if early >= sound.duration:
        raise FileFormatError("The film's sound must go on while there is a picture",
                              f"in {Path(path).name} it ends {early - sound.duration:.1f} s before the picture begins",
                              "Export the film again")
    return sound.cut(early, sound.duration)


class _Opened(AbstractContextManager):
    """An opened film and its picture stream; whatever FFmpeg reports inside the block becomes a FileFormatError."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def __enter__(self) -> tuple[Any, Any]:
        import av

        if not self.path.is_file() or self.path.stat().st_size == 0:
            came = f"{self.path.name} is empty" if self.path.is_file() else f"no file at {self.path}"
            raise FileFormatError("The film must exist and hold data", came, "Check the name, or copy the film again")
        try:
            self.container = av.open(str(self.path))
        except av.error.FFmpegError as error:
            raise self._unreadable(error) from error
        stream = next(iter(self.container.streams.video), None)
        if stream is None or stream.codec_context is None or not stream.codec_context.width:  # the last two: a cut-off header
            self.container.close()
            raise FileFormatError("The film must hold a picture", f"{self.path.name} has none", "Choose a film with a picture")
        stream.thread_type = "AUTO"
        return self.container, stream

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        import av

        self.container.close()
        if isinstance(error, av.error.FFmpegError):
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> FileFormatError:
        return FileFormatError("The film must be one FFmpeg can read", f"{self.path.name} cannot be decoded ({error})",
                               "Export it again as mp4 (H.264)")


def _turns(frame: Any) -> int:
    """Quarter turns counter-clockwise that put the frame upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _upright(frame: Any, stream: Any) -> np.ndarray:  # uint8 [H, W, 3]
    # RGB has no colour matrix to convert to, but without one named PyAV 14 takes BT.709 films for BT.601.
    picture = frame.reformat(format="rgb24", dst_colorspace="ITU601", width=_shown_width(frame, stream)).to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, _turns(frame)))


def _shown_width(frame: Any, stream: Any) -> int:
    """Pixels across once they are square: old camcorders store oblong ones."""
    ratio = stream.sample_aspect_ratio
    return round(frame.width * float(ratio)) if ratio and 0.25 <= ratio <= 4 else frame.width
