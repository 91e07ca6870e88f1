"""Reading videos: their properties, their frames one at a time, and their audio from the first frame on.

Whatever phones write is honoured: turned and mirrored images, oblong pixels, varying rates, high dynamic range (HLG, PQ),
audio that starts before or after the first frame; and time stamps that start over, or leap.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from .asked import frame_rate, whole
from .audio import FPS, Sound, load_sound, media_of, track_of
from .audio_reading import Take, decoded_pieces
from .av_files import open_media, pictures, unreadable
from .errors import FileFormatError, TalkingHeadsError
from .orientation import Orientation, frame_orientation
from .video_clock import FilmClock, length_by_packets, usual_step
from .video_colour import Colour, colour_of, shown_picture
from .video_part import Part
from .video_planes import Image, Planes, as_array, part_of

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_LEAST_BYTES = 20_000  # a second: a file with less for its stated length is looked through, it may be shorter
_SAME_RATE = 0.01  # fraction by which the counted rate may differ from the stated one, which is exact
_RESTARTING = ("mpegts", "mpeg")  # kinds of files in which recordings are simply put one behind the other


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video."""

    width: int  # px, as shown (turned upright)
    height: int  # px, as shown
    fps: Fraction  # average frames per second
    frames: int  # as the file says, else duration times rate
    duration: float  # s, of the video stream
    has_sound: bool
    hdr: str = ""  # "HLG" or "PQ"; empty: an ordinary video

    @property
    def remark(self) -> str:
        """A note on the video's colours for the user; empty: none."""
        return f"high dynamic range ({self.hdr}), converted to ordinary colours (BT.709)" if self.hdr else ""


def probe(path: str | os.PathLike) -> VideoInfo:
    """The properties of the video at `path`; its first frame is decoded to be sure.

    Raises:
        FileFormatError: absent, empty, not a video, or without a video stream.
    """
    with _Opened(path) as (container, stream):
        first = next(pictures(container, stream), None)
        if first is None:
            raise FileFormatError("The video must have frames", f"{Path(path).name} has none", "Export it again as mp4")
        sides = _shown_width(first, stream), first.height
        sides = sides[::-1] if frame_orientation(first).transposed else sides
        fps = Fraction(stream.average_rate or stream.base_rate or Fraction(FPS))
        seconds = stream.duration * stream.time_base if stream.duration and stream.time_base else \
            Fraction(container.duration or 0, 1_000_000)
        frames = stream.frames or max(1, round(seconds * fps))
        told = VideoInfo(width=sides[0], height=sides[1], fps=fps, frames=frames, duration=float(seconds) or float(frames / fps),
                         has_sound=bool(container.streams.audio), hdr=colour_of(stream, first).transfer)
        doubtful = container.format.name in _RESTARTING or Path(path).stat().st_size < _LEAST_BYTES * told.duration
    return _counted(path, told) if doubtful else told


def _counted(path: str | os.PathLike, told: VideoInfo) -> VideoInfo:
    """The properties of a video whose stated length may be wrong: as `read_frames` will find them."""
    with _Opened(path) as (container, stream):
        seconds, frames = length_by_packets(container, stream)
    if not seconds or abs(seconds - told.duration) <= 1 / told.fps:
        return told
    fps = Fraction(frames / seconds).limit_denominator(1001)
    return replace(told, fps=told.fps if abs(fps / told.fps - 1) < _SAME_RATE else fps, frames=frames, duration=seconds)


def read_frames(path: str | os.PathLike, fps: float | None = None, start: int = 0, *,
                part: Part | None = None) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
    """The video's frames in order, upright (rotation metadata and oblong pixels are applied), one at a time.

    Args:
        fps: frames per second wanted: at each (i + 1/2) / fps after the first frame, the one then on screen. None: every frame
            as stored.
        start: number of the first frame given; those before are decoded and dropped.
        part: of the upright image that is wanted; None: all of it.

    Raises:
        FileFormatError: absent, empty, not a video, or broken somewhere on the way.
        TalkingHeadsError: no such rate or number.
    """
    last, shown = None, np.zeros((0, 0, 3), np.uint8)
    for image in read_planes(path, fps, start):
        if image is not last:
            last, shown = image, as_array(image) if part is None else np.ascontiguousarray(part_of(image, part))
        yield shown


def read_planes(path: str | os.PathLike, fps: float | None = None, start: int = 0, *, spared: int = 0) -> Iterator[Image]:
    """The same frames as `read_frames`, as `Planes` where the video has them: what is not looked at is not converted.

    Args:
        spared: cores that other work keeps busy meanwhile; the decoder has threads for the others, at least one.
    """
    if fps is not None:
        frame_rate(fps)
    whole("The number of the first frame", start)
    with _Opened(path) as (container, stream):
        if spared:
            stream.codec_context.thread_count = max((os.cpu_count() or 1) - spared, 1)
        count, shown, view, clock = 0, None, None, FilmClock(usual_step(stream), Path(path).name)
        for number, frame in enumerate(pictures(container, stream)):
            view = _View.of(frame, stream) if view is None else view
            if fps is None:
                if number >= start:
                    yield view.upright(frame)
                continue
            last = _last_shown(clock(frame.time, _lasts(frame)), fps, count)
            yield from _held(shown, view, last - max(count, start))
            count, shown = last, frame
        if shown is not None and fps is not None:
            yield from _held(shown, view, _last_shown(clock.end, fps, count) - max(count, start))


def _lasts(frame: av.VideoFrame) -> float | None:
    """Seconds the frame is shown, where the file says so."""
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else None


def _last_shown(time: float, fps: float, count: int) -> int:
    """Frames of a video at `fps` whose middles lie before `time` s, at least `count`."""
    while (count + 0.5) / fps < time:
        count += 1
    return count


def _held(frame: av.VideoFrame | None, view: _View | None, times: int) -> Iterator[Image]:
    """The frame `times` times over; converted only when that is at least once. Before the first frame (None): nothing."""
    if frame is not None and view is not None and times > 0:
        picture = view.upright(frame)
        for _ in range(times):
            yield picture


def load_film_sound(path: str | os.PathLike) -> Sound:
    """The video's audio from its first frame on: sample 0 is heard when frame 0 of `read_frames` appears.

    Audio before the first frame is cut; an audio track that starts after it gets silence in front.

    Raises:
        FileFormatError: as for `load_sound` and `read_frames`, or the audio ends before the first frame.
    """
    early, sound = _early(path), load_sound(path)
    if round(early * sound.sample_rate) <= 0:
        return sound
    if early >= sound.duration:
        raise FileFormatError("The video's audio must last until the first frame",
                              f"in {Path(path).name} it ends {early - sound.duration:.1f} s before it",
                              "Export the video again")
    return sound.cut(early, sound.duration)


def film_sound_pieces(path: str | os.PathLike, take: Take) -> tuple[int, int, float]:
    """The video's whole audio in pieces, each handed to `take` (float32 [n, C]) as soon as it is read.

    Returns:
        (channels, Hz, s): the last is how much of it comes before the first frame.
    Raises:
        FileFormatError: as for `load_film_sound`.
    """
    early = _early(path)
    with media_of(path) as container:
        stream = track_of(container, Path(path).name)
        return *decoded_pieces(container, stream, take), early


def _early(path: str | os.PathLike) -> float:
    """Seconds of a video's audio before its first frame."""
    with _Opened(path) as (container, stream):
        if not container.streams.audio:
            raise FileFormatError("The video must have audio", f"{Path(path).name} has none",
                                  "Choose a video with audio, or record again with the microphone on")
        first, begin = next(pictures(container, stream), None), container.start_time  # us
        return 0.0 if first is None or first.time is None or begin is None else first.time - begin / 1e6


class _Opened(AbstractContextManager):
    """An opened video and its video stream; whatever FFmpeg reports inside the block becomes a FileFormatError."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def __enter__(self) -> tuple[InputContainer, av.VideoStream]:
        if not self.path.is_file() or self.path.stat().st_size == 0:
            came = f"{self.path.name} is empty" if self.path.is_file() else f"no file at {self.path}"
            raise FileFormatError("The video must exist and hold data", came, "Check the name, or copy the video again")
        try:
            self.container = open_media(self.path)
        except unreadable() as error:
            raise self._unreadable(error) from error
        stream = next(iter(self.container.streams.video), None)
        if stream is None or stream.codec_context is None or not stream.codec_context.width:  # the last two: a cut-off header
            self.container.close()
            raise FileFormatError("The file must have a video stream", f"{self.path.name} has none", "Choose a video file")
        stream.thread_type = "AUTO"
        return self.container, stream

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.container.close()
        if isinstance(error, unreadable()) and not isinstance(error, TalkingHeadsError):
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> FileFormatError:
        return FileFormatError("The video must be one FFmpeg can read", f"{self.path.name} cannot be decoded ({error})",
                               "Export it again as mp4 (H.264)")


@dataclass(frozen=True)
class _View:
    """How the frames of a video are shown, by its first one. (Every frame that is asked for its side data, as the orientation is,
    stays in memory until Python looks for cycles: hundreds of megabytes.)"""

    stream: av.VideoStream
    colour: Colour
    orientation: Orientation

    @classmethod
    def of(cls, frame: av.VideoFrame, stream: av.VideoStream) -> _View:
        return cls(stream, colour_of(stream, frame), frame_orientation(frame))

    def upright(self, frame: av.VideoFrame) -> Image:  # uint8 [H, W, 3]
        width = _shown_width(frame, self.stream)
        planes = Planes.of(frame, self.colour, self.orientation) if width == frame.width else None
        return self.orientation.applied(shown_picture(frame, width, self.colour)) if planes is None else planes


def _shown_width(frame: av.VideoFrame, stream: av.VideoStream) -> int:
    """Pixels across once they are square: old camcorders store oblong ones."""
    ratio = stream.sample_aspect_ratio
    return round(frame.width * float(ratio)) if ratio and 0.25 <= ratio <= 4 else frame.width
