"""Films, frame by frame: `VideoWriter` encodes while frames are made, `read_frames` decodes while they are used.

Neither ever holds a film: memory does not grow with length (spec/field.md 2, demands 12 and 17-18). PyAV only; nothing is run.
"""
from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any, Iterator, Mapping

import numpy as np

from .audio import FPS, Sound, fitted, load_sound
from .errors import FileFormatError, TalkingHeadsError
from .files import atomic_path

AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)  # Hz
AAC_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # channels kept as they are; any other number becomes their mean
AAC_BITS = 96_000  # a second and channel, less for low rates
BLOCK = 1024  # samples AAC encodes at once


@dataclass(frozen=True)
class VideoInfo:
    """What a film is."""

    width: int  # px, as shown (after rotation)
    height: int  # px, as shown
    fps: Fraction  # average frames a second
    frames: int  # as the file says, else duration times rate
    duration: float  # s, of the picture
    has_sound: bool


def exact_fps(fps: float | Fraction) -> Fraction:
    """The rate as a fraction: 25 -> 25, 29.97 -> 2997/100, 30000/1001 stays.

    Raises:
        TalkingHeadsError: not between 1 and 1000.
    """
    if not 1 <= fps <= 1000:
        raise TalkingHeadsError("The film's rate must lie between 1 and 1000 frames a second", f"{fps}",
                                "The models use 25")
    return Fraction(fps).limit_denominator(1001)


def film_samples(frames: int, fps: Fraction, sample_rate: int) -> int:
    """Sound samples that last as long as `frames` film frames, to the nearest sample."""
    return round(Fraction(frames) / fps * sample_rate)


def encodable(sound: Sound) -> Sound:
    """The sound AAC is given: itself, bit for bit, unless AAC lacks its rate (next higher one) or channels (their mean)."""
    waveform, rate = sound.waveform, sound.sample_rate
    if sound.channels not in AAC_LAYOUTS:
        waveform = waveform.mean(axis=0, dtype=np.float32, keepdims=True)
    if rate not in AAC_RATES:
        import soxr

        rate = min((r for r in AAC_RATES if r >= rate), default=AAC_RATES[-1])
        waveform = np.ascontiguousarray(soxr.resample(waveform.T, sound.sample_rate, rate, quality="HQ").T)
    return sound if waveform is sound.waveform else Sound(waveform, rate)


def film_sound(sound: Sound, frames: int, fps: float = FPS) -> Sound:
    """What a film of `frames` frames carries: the sound cut, or followed by silence, to the film's length within a sample."""
    given = encodable(sound)
    return given.lasting(film_samples(frames, exact_fps(fps), given.sample_rate))


class VideoWriter(AbstractContextManager):
    """Writes H.264 + AAC mp4 at a constant rate; whole when the block ends well, absent when it does not.

    The sound is encoded alongside the frames and ends with them (`film_sound`); a film stopped early has the sound up to there.
    An odd width or height gets its last column or row twice, since H.264's 4:2:0 colour needs even sizes. Colours are BT.709.

    Args:
        path: the film; its folder is made when absent. Written under a temporary name beside it and renamed at the end.
        width, height: px of the frames.
        fps: frames a second.
        sound: what is heard, at its own rate and channels where AAC has them (`encodable`).
        crf: x264's constant quality, 0 lossless to 51; 18 looks like the source.
        preset: x264's speed, "ultrafast" to "veryslow".
        metadata: written into the file as ComfyUI does ("prompt", "workflow"); what is no string becomes JSON.

    Raises:
        TalkingHeadsError: wrong size or rate; from the block's beginning a folder that cannot be written; from `write` and the
            block's end also frames of another shape or type, a full disk, no frame at all.
    """

    def __init__(self, path: str | os.PathLike, width: int, height: int, fps: float | Fraction = FPS, sound: Sound | None = None,
                 crf: float = 18, preset: str = "veryfast", metadata: Mapping[str, Any] | None = None):
        if not (2 <= width <= 16384 and 2 <= height <= 16384):
            raise TalkingHeadsError("A film's sides must be 2 to 16384 px", f"{width} x {height}", "Render at another size")
        self.path, self.width, self.height, self.fps = Path(path), int(width), int(height), exact_fps(fps)
        self.sound = None if sound is None else encodable(sound)
        self.options = {"crf": str(crf), "preset": preset}
        self.metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in (metadata or {}).items()}
        self.frames_written = 0
        self.samples_written = 0  # a channel
        self._container: Any = None
        self._busy, self._abandoned = Lock(), False  # a second thread may still encode when the block ends early

    def __enter__(self) -> VideoWriter:
        import av

        with ExitStack() as stack:
            with self._writing():
                temporary = stack.enter_context(atomic_path(self.path))
                self._container = av.open(str(temporary), "w", format="mp4",
                                          options={"movflags": "+faststart+use_metadata_tags"})
            stack.push(self._abandon)
            self._container.metadata.update(self.metadata)
            self._picture = self._add_picture()
            self._voice = None if self.sound is None else self._add_voice()
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._stack.__exit__(kind, error, trace)  # _finish, then _abandon when something failed, then atomic_path

    def write(self, frames: np.ndarray) -> None:  # uint8 [H, W, 3] or [B, H, W, 3]
        """Encodes one or several frames, and the sound up to their end.

        Raises:
            TalkingHeadsError: another shape or type, or the disk is full.
        """
        frames = self._checked(frames)
        for frame in frames:
            with self._busy:
                if self._abandoned:
                    return
                self._write_frame(frame)

    def _write_frame(self, frame: np.ndarray) -> None:  # uint8 [H, W, 3]
        import av

        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        picture.pts, picture.time_base = self.frames_written, 1 / self.fps
        self._mux(self._picture, self._picture.encode(picture))
        self.frames_written += 1
        if self._voice is not None:
            self._write_sound(last=False)

    def _add_picture(self) -> Any:
        from av.video.reformatter import ColorRange, Colorspace

        stream = self._container.add_stream("libx264", rate=self.fps, options=self.options)
        stream.width, stream.height, stream.pix_fmt = self.width + self.width % 2, self.height + self.height % 2, "yuv420p"
        stream.codec_context.time_base = 1 / self.fps
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = int(Colorspace.ITU709)
        context.color_range = int(ColorRange.MPEG)
        return stream

    def _add_voice(self) -> Any:
        rate, channels = self.sound.sample_rate, self.sound.channels
        stream = self._container.add_stream("aac", rate=rate, layout=AAC_LAYOUTS[channels])
        stream.codec_context.bit_rate = min(AAC_BITS, 4 * rate) * channels
        stream.codec_context.time_base = Fraction(1, rate)
        return stream

    def _write_sound(self, last: bool) -> None:
        """Feeds whole blocks up to the end of the frames written so far; with `last` also the rest."""
        end = film_samples(self.frames_written, self.fps, self.sound.sample_rate)
        while self.samples_written + (1 if last else BLOCK) <= end:
            stop = min(self.samples_written + BLOCK, end)
            self._encode_sound(fitted(self.sound.waveform[:, self.samples_written:stop], stop - self.samples_written))

    def _encode_sound(self, samples: np.ndarray) -> None:  # float32 [C, n], the codec's input
        import av

        rate = self.sound.sample_rate
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=AAC_LAYOUTS[len(samples)])
        block.sample_rate, block.pts, block.time_base = rate, self.samples_written, Fraction(1, rate)
        self._mux(self._voice, self._voice.encode(block))
        self.samples_written += samples.shape[1]

    def _mux(self, stream: Any, packets: list[Any]) -> None:
        for packet in packets:
            if stream is self._picture:
                packet.duration = 1  # in ticks of 1 / fps: also the last frame lasts
            with self._writing():
                self._container.mux(packet)

    def _finish(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Ends the file, when nothing failed so far."""
        if error is not None:
            return
        if not self.frames_written:
            raise TalkingHeadsError("A film needs at least one frame", "none was written", "Check the frames in front")
        if self._voice is not None:
            self._write_sound(last=True)
            self._mux(self._voice, self._voice.encode(None))
        self._mux(self._picture, self._picture.encode(None))
        with self._writing():
            self._container.close()

    def _abandon(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Closes the file because of `error`, which goes on its way; `atomic_path` then removes it."""
        import av

        if error is not None:
            with self._busy, suppress(av.error.FFmpegError):  # closing writes too, to a full disk perhaps
                self._abandoned = True
                self._container.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tells what to do when the file cannot be written."""
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise TalkingHeadsError("The film's folder must have room and be writable",
                                    f"writing {self.path.name} failed ({error})",
                                    "Free some space, or choose another folder") from error

    def _checked(self, frames: np.ndarray) -> np.ndarray:  # [B, H, W, 3], sides even
        frames = np.asarray(frames)
        frames = frames[None] if frames.ndim == 3 else frames
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (self.height, self.width, 3):
            raise TalkingHeadsError(f"Frames must be uint8 [{self.height}, {self.width}, 3], or several of them",
                                    f"{frames.dtype} {list(frames.shape)}", "Convert them, or open the film at their size")
        if self.width % 2 or self.height % 2:
            frames = np.pad(frames, [(0, 0), (0, self.height % 2), (0, self.width % 2), (0, 0)], mode="edge")
        return np.ascontiguousarray(frames)


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
