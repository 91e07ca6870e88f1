"""Videos, frame by frame: `VideoWriter` encodes while frames are made; `read_frames` decodes while they are used.

Neither ever holds a video: memory does not grow with length. PyAV only; nothing is run.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .asked import frame_rate, real
from .audio import FPS, Sound, fitted
from .claims import claim
from .errors import TalkingHeadsError
from .files import atomic_path
from .live_copy import LiveCopy, copied
from .schema import RATES
from .synthetic import Source, labeller, tags
from .video_formats import AAC_RATES, LAYOUTS, format_of
from .video_reading import VideoInfo, load_film_sound, probe, read_frames

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

__all__ = ["AAC_LAYOUTS", "AAC_RATES", "VideoInfo", "VideoWriter", "encodable", "exact_fps", "film_samples", "film_sound",
           "load_film_sound", "probe", "read_frames"]

AAC_LAYOUTS = LAYOUTS
AAC_BITS = 96_000  # a second and channel, less for low rates


def exact_fps(fps: float | Fraction) -> Fraction:
    """The frame rate as a fraction: 25 -> 25, 29.97 -> 2997/100, 30000/1001 stays.

    Raises:
        TalkingHeadsError: not between 1 and 1000.
    """
    frame_rate(fps, *RATES)
    return Fraction(fps).limit_denominator(1001)


def film_samples(frames: int, fps: Fraction, sample_rate: int) -> int:
    """Audio samples that last as long as `frames` video frames, to the nearest sample."""
    return round(Fraction(frames) / fps * sample_rate)


def encodable(sound: Sound) -> Sound:
    """The audio AAC is given: itself, bit for bit, unless AAC lacks its rate or channels (`Sound.within`)."""
    return sound.within(AAC_RATES, tuple(AAC_LAYOUTS))


def film_sound(sound: Sound, frames: int, fps: float = FPS) -> Sound:
    """What a video of `frames` frames carries: the audio cut, or followed by silence, to the video's length within a sample."""
    given = encodable(sound)
    return given.lasting(film_samples(frames, exact_fps(fps), given.sample_rate))


class _Voice(NamedTuple):
    """The audio, and the stream it is written to."""

    stream: av.AudioStream
    sound: Sound


class VideoWriter(AbstractContextManager):
    """Writes a video at a constant rate; complete when the block succeeds, absent when it fails. The path's ending decides what
    is in it: H.264 and AAC (.mp4, and any other ending), VP9 and Opus (.webm), ProRes and PCM (.mov); see `video_formats`.

    The audio is encoded alongside the frames and ends with them (`film_sound`); a video stopped early has the audio up to there.
    An odd width or height gets its last column or row twice, since H.264's 4:2:0 colour needs even sizes. Colours are BT.709.

    Args:
        path: the video; its folder is made when absent. Written under a temporary name beside it and renamed at the end.
        width, height: px of the frames.
        fps: frames per second.
        sound: what is heard, at its own rate and channels where the format has them (`encodable`).
        crf: x264's constant quality, 0 lossless to 51; 18 looks like the source. Converted for VP9; ProRes ignores it.
        preset: x264's speed, "ultrafast" to "veryslow".
        metadata: written into the file as ComfyUI does ("prompt", "workflow"); what is no string becomes JSON.
        alpha: frames are RGBA (straight alpha) and stay transparent: .webm and .mov only.
        copy: a second file, which can be watched while this one grows.
        source: what the file says of its origin, see `synthetic.tags`.
        label: words in a corner of every frame; empty: none.

    Raises:
        TalkingHeadsError: wrong size or rate, such a label, or alpha in a file that has none; from the block's beginning a folder
            that cannot be written, or a second writer of that video; from `write` and the block's end also frames of another
            shape or type, a full disk, no frame at all.
    """

    def __init__(self, path: str | os.PathLike, width: int, height: int, fps: float | Fraction = FPS, sound: Sound | None = None,
                 crf: float = 18, preset: str = "veryfast", metadata: Mapping[str, Any] | None = None, alpha: bool = False,
                 source: Source = "generated", label: str = "", copy: LiveCopy | None = None):
        if not (2 <= width <= 16384 and 2 <= height <= 16384):
            raise TalkingHeadsError("A video's sides must be 2 to 16384 px", f"{width} x {height}", "Render at another size")
        self.path, self.width, self.height, self.fps = Path(path), int(width), int(height), exact_fps(fps)
        self.format, self.channels = format_of(path), 4 if alpha else 3
        self.pixels = self.format.pixel_format(alpha)
        self.sound = None if sound is None else sound.within(self.format.rates, tuple(LAYOUTS))
        self.options = self.format.options(real("x264's constant quality, crf,", crf, 0, 51), preset, alpha)
        given = {**tags(source), **(metadata or {})}
        self.metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
        self._labelled = labeller(label, (self.height, self.width))
        self._live = copy
        self.frames_written = 0
        self.samples_written = 0  # a channel
        self._container: OutputContainer
        self._picture: av.VideoStream
        self._voice: _Voice | None = None
        self._busy, self._abandoned = Lock(), False  # a second thread may still encode when the block ends early

    def __enter__(self) -> VideoWriter:
        import av

        with ExitStack() as stack:
            stack.enter_context(claim(self.path))
            with self._writing():
                temporary = stack.enter_context(atomic_path(self.path))
                self._container = av.open(str(temporary), "w", format=self.format.container,
                                          options={"movflags": "+faststart+use_metadata_tags"} if self.format.movflags else {})
            stack.push(self._abandon)
            self._container.metadata.update(self.metadata)
            self._picture = self._add_picture()
            self._voice = None if self.sound is None else _Voice(self._add_voice(self.sound), self.sound)
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)  # _finish, then _abandon when something failed, then atomic_path

    def write(self, frames: np.ndarray) -> None:  # uint8 [H, W, 3] or [B, H, W, 3]; with alpha [..., 4]
        """Encodes one or several frames, and the audio up to their end.

        Raises:
            TalkingHeadsError: another shape or type, or the disk is full.
        """
        frames = self._checked(frames)
        for frame in frames:
            with self._busy:
                if self._abandoned:
                    return
                self._write_frame(self._even(self._labelled(frame)))

    def _write_frame(self, frame: np.ndarray) -> None:  # uint8 [H, W, 3 or 4]
        import av

        picture = av.VideoFrame.from_ndarray(frame, format="rgb24" if self.channels == 3 else "rgba")
        picture = picture.reformat(format=self.pixels, dst_colorspace="ITU709")
        picture.pts, picture.time_base = self.frames_written, 1 / self.fps
        self._mux(self._picture, self._picture.encode(picture))
        self.frames_written += 1
        if self._voice is not None:
            self._write_sound(self._voice, last=False)

    def _add_picture(self) -> av.VideoStream:
        import av
        from av.video.reformatter import ColorRange, Colorspace

        stream = self._container.add_stream(self.format.codec, rate=self.fps, options=self.options)
        assert isinstance(stream, av.VideoStream)  # of a video codec
        stream.width, stream.height, stream.pix_fmt = self.width + self.width % 2, self.height + self.height % 2, self.pixels
        stream.codec_context.time_base = 1 / self.fps
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = int(Colorspace.ITU709)
        context.color_range = int(ColorRange.MPEG)
        return stream

    def _add_voice(self, sound: Sound) -> av.AudioStream:
        import av

        rate, channels = sound.sample_rate, sound.channels
        stream = self._container.add_stream(self.format.voice, rate=rate, layout=LAYOUTS[channels])
        assert isinstance(stream, av.AudioStream)  # of an audio codec
        stream.codec_context.bit_rate = min(AAC_BITS, 4 * rate) * channels
        stream.codec_context.time_base = Fraction(1, rate)
        return stream

    def _flushed(self) -> list[av.Packet]:
        """What the encoder of the frames still holds."""
        return self._picture.encode(None)

    def _write_sound(self, voice: _Voice, last: bool) -> None:
        """Feeds whole blocks up to the end of the frames written so far; with `last` also the rest."""
        rate = voice.sound.sample_rate
        end, block = film_samples(self.frames_written, self.fps, rate), self.format.block_size(rate)
        while self.samples_written + (1 if last else block) <= end:
            stop = min(self.samples_written + block, end)
            self._encode_sound(fitted(voice.sound.waveform[:, self.samples_written:stop], stop - self.samples_written))

    def _encode_sound(self, samples: np.ndarray) -> None:  # float32 [C, n], the codec's input
        import av

        voice = self._voice
        assert voice is not None
        rate = voice.sound.sample_rate
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=LAYOUTS[len(samples)])
        block.sample_rate, block.pts, block.time_base = rate, self.samples_written, Fraction(1, rate)
        self._mux(voice.stream, voice.stream.encode(block))
        self.samples_written += samples.shape[1]

    def _mux(self, stream: av.VideoStream | av.AudioStream, packets: list[av.Packet]) -> None:
        for packet in packets:
            if stream is self._picture:
                packet.duration = 1  # in ticks of 1 / fps: also the last frame lasts
            twin = None if self._live is None else copied(packet)  # writing a packet empties it
            with self._writing():
                self._container.mux(packet)
            if self._live is not None and twin is not None:
                streams = (self._picture,) if self._voice is None else (self._picture, self._voice.stream)
                self._live.mux(stream, twin, streams, self.format.container)

    def _finish(self, kind: type[BaseException] | None, error: BaseException | None,
                trace: TracebackType | None) -> None:
        """Ends the file, when nothing failed so far."""
        if error is not None:
            return
        if not self.frames_written:
            raise TalkingHeadsError("A video needs at least one frame", "none was written", "Check what makes the frames")
        if self._voice is not None:
            self._write_sound(self._voice, last=True)
            self._mux(self._voice.stream, self._voice.stream.encode(None))
        self._mux(self._picture, self._flushed())
        with self._writing():
            self._container.close()

    def _abandon(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Closes the file because of `error`, which goes on its way; `atomic_path` then removes it."""
        from av.error import FFmpegError

        if error is not None:
            with self._busy, suppress(FFmpegError):  # closing writes too, to a full disk perhaps
                self._abandoned = True
                self._container.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns a file that cannot be written into an error with a remedy."""
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, OSError) as error:
            raise TalkingHeadsError("The video's folder must have room and be writable",
                                    f"writing {self.path.name} failed ({error})",
                                    "Free some space, or choose another folder") from error

    def _checked(self, frames: np.ndarray) -> np.ndarray:  # [B, H, W, 3]
        frames = np.asarray(frames)
        frames = frames[None] if frames.ndim == 3 else frames
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (self.height, self.width, self.channels):
            raise TalkingHeadsError(f"Frames must be uint8 [{self.height}, {self.width}, {self.channels}], or several of them",
                                    f"{frames.dtype} {list(frames.shape)}", "Convert them, or open the video at their size")
        return frames

    def _even(self, frame: np.ndarray) -> np.ndarray:  # [H, W, C] -> the same with even sides
        if self.width % 2 or self.height % 2:
            frame = np.pad(frame, [(0, self.height % 2), (0, self.width % 2), (0, 0)], mode="edge")
        return np.ascontiguousarray(frame)
