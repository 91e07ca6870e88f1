"""The VIDEO value: a video in a file or in tensors, as `Input.Video` and `InputImpl` offer it (docs/comfyui.md#core-types)."""
from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ...media_core.av_files import open_media, pictures, unreadable

if TYPE_CHECKING:
    import av
    import numpy as np
    import torch
    from av.container import InputContainer, OutputContainer

Source = str | os.PathLike | io.BytesIO  # what PyAV opens


class VideoCodec(str, Enum):
    AUTO = "auto"
    H264 = "h264"
    AV1 = "av1"

    @classmethod
    def as_input(cls) -> list[str]:
        return [member.value for member in cls]


class VideoContainer(str, Enum):
    AUTO = "auto"
    MP4 = "mp4"
    MKV = "mkv"
    WEBM = "webm"

    @classmethod
    def as_input(cls) -> list[str]:
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: str) -> str:
        kind = cls(value)
        return "mp4" if kind is cls.AUTO else kind.value


@dataclass
class VideoComponents:
    """A video taken apart."""

    images: torch.Tensor  # float32 [F, H, W, 3] 0..1
    frame_rate: Fraction  # 1/s
    audio: dict | None = None  # {"waveform" [1, C, N], "sample_rate"}
    metadata: dict | None = None
    alpha: torch.Tensor | None = None  # float32 [F, H, W] or [F, H, W, 1]


class VideoInput:
    """What every VIDEO can do. A subclass gives get_components and save_to, and what it can answer without decoding."""

    def get_components(self) -> VideoComponents:
        raise NotImplementedError

    def save_to(self, path: Source, format: str = VideoContainer.AUTO, codec: str = VideoCodec.AUTO, metadata: dict | None = None,
                **_: Any) -> None:
        raise NotImplementedError

    def get_stream_source(self) -> Source:
        """A path or a BytesIO that PyAV can open."""
        buffer = io.BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height)."""
        images = self.get_components().images
        return images.shape[2], images.shape[1]

    def get_frame_rate(self) -> Fraction:
        return self.get_components().frame_rate

    def get_frame_count(self) -> int:
        return int(self.get_components().images.shape[0])

    def get_duration(self) -> float:
        """Seconds."""
        return float(self.get_frame_count() / self.get_frame_rate())

    def get_container_format(self) -> str:
        with open_media(self.get_stream_source()) as container:
            return container.format.name

    def get_bit_depth(self) -> int:
        return 8


class VideoFromFile(VideoInput):
    """A video on disk, decoded only when its parts are asked for; or the part of it from `start_time` on, `duration` s long."""

    def __init__(self, file: Source, *, start_time: float = 0, duration: float = 0):
        self._file, self._start, self._length = file, start_time, duration

    def get_stream_source(self) -> Source:
        """The whole file, trimmed or not (as in ComfyUI 0.33)."""
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    def get_active_trim_window(self) -> tuple[float, float]:
        """(start, duration) in seconds; 0 s for all that follows."""
        start = max(self._file_duration() + self._start, 0.0) if self._start < 0 else self._start
        return float(start), float(self._length)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """A part of this video; None if it is shorter than asked for and that is not allowed."""
        trimmed = VideoFromFile(self.get_stream_source(), start_time=start_time + self._start, duration=duration)
        return None if strict_duration and trimmed.get_duration() < duration else trimmed

    @contextmanager
    def _open(self) -> Iterator[InputContainer]:
        """The video's container.

        Raises:
            FileFormatError: it cannot be read, or has no video stream; also for failures while the block decodes.
        """
        from ...media_core.errors import FileFormatError, TalkingHeadsError

        name = os.path.basename(self._file) if isinstance(self._file, (str, os.PathLike)) else "a video in memory"
        try:
            with open_media(self.get_stream_source()) as container:
                if not container.streams.video:
                    raise FileFormatError("The file must hold a video", f"{name} has none", "Choose a file with a video stream")
                yield container
        except (TalkingHeadsError, OSError):  # the system's own errors: a full disk, say, where the block writes
            raise
        except unreadable() as error:
            raise FileFormatError("The video must be one FFmpeg can read", f"{name} cannot be decoded ({error})",
                                  "Export it again as mp4 (H.264)") from error

    def get_dimensions(self) -> tuple[int, int]:
        from ...media_core.orientation import frame_orientation

        with self._open() as container:
            stream = container.streams.video[0]
            width, height = stream.width, stream.height
            frame = next(pictures(container, stream), None)
            return (height, width) if frame is not None and frame_orientation(frame).transposed else (width, height)

    def get_frame_rate(self) -> Fraction:
        with self._open() as container:
            return Fraction(container.streams.video[0].average_rate or 1)

    def get_frame_count(self) -> int:
        with self._open() as container:
            stream = container.streams.video[0]
            if self._start or self._length:
                return round(self.get_duration() * Fraction(stream.average_rate or 1))
            return int(stream.frames) or sum(1 for _ in pictures(container, stream))

    def _file_duration(self) -> float:
        with self._open() as container:
            if container.duration is not None:
                return container.duration / 1e6
            stream = container.streams.video[0]
            return float((int(stream.frames) or sum(1 for _ in pictures(container, stream))) / Fraction(stream.average_rate or 1))

    def get_duration(self) -> float:
        whole = self._file_duration()
        rest = min(whole, -self._start) if self._start < 0 else whole - self._start
        return min(self._length, rest) if self._length else rest

    def get_components(self) -> VideoComponents:
        """Everything in memory."""
        import torch

        start, length = self.get_active_trim_window()
        with self._open() as container:
            stream = container.streams.video[0]
            rate, tags = Fraction(stream.average_rate or 1), dict(container.metadata)
            assert stream.time_base is not None  # FFmpeg gives one to every stream it reads
            first, stop = int(start / stream.time_base), int((start + length) / stream.time_base) if length else math.inf
            seen = (frame for frame in pictures(container, stream) if frame.pts is None or first <= frame.pts < stop)
            frames = [torch.from_numpy(_upright(frame)) for frame in seen]
        images = torch.stack(frames).float() / 255 if frames else torch.zeros(0, 0, 0, 3)
        return VideoComponents(images=images, frame_rate=rate, audio=self._sound(), metadata=tags)

    def _sound(self) -> dict | None:
        from ...media_core.audio import track_sound
        from ...media_core.audio_reading import sound_track

        with self._open() as container:
            if sound_track(container) is None:
                return None
            sound = track_sound(container, "the video").to_comfy()
        waveform, rate = sound["waveform"], sound["sample_rate"]
        start, length = self.get_active_trim_window()
        first, stop = round(start * rate), round((start + length) * rate) if length else None
        return {"waveform": waveform[..., first:stop], "sample_rate": rate}

    def save_to(self, path: Source, format: str = VideoContainer.AUTO, codec: str = VideoCodec.AUTO, metadata: dict | None = None,
                **options: Any) -> None:
        """Copies the streams unchanged and adds metadata; re-encodes (through tensors) if container or codec differ."""
        with self._open() as container:
            there = container.streams.video[0].codec.canonical_name
            same_codec = VideoCodec(codec) is VideoCodec.AUTO or VideoCodec(codec).value == there
            same_kind = VideoContainer(format) is VideoContainer.AUTO or VideoContainer(format).value in container.format.name
            whole = not (self._start or self._length)
            if whole and same_codec and same_kind and not any(value is not None for value in options.values()):
                return _remux(container, path, metadata)
        return VideoFromComponents(self.get_components()).save_to(path, format, codec, metadata, **options)


def _upright(frame: av.VideoFrame) -> np.ndarray:  # uint8 [H, W, 3]
    """A frame as it is meant to be seen: videos of phones may be stored rotated or mirrored."""
    from ...media_core.orientation import frame_orientation

    return frame_orientation(frame).applied(frame.to_ndarray(format="rgb24"))


def _tags(output: OutputContainer, metadata: dict | None) -> None:
    for key, value in (metadata or {}).items():
        output.metadata[key] = value if isinstance(value, str) else json.dumps(value)


def _movflags(path: Source) -> dict[str, str]:
    """Keeps unknown tags; moves the index to the front if the file can be reopened by name."""
    return {"movflags": "use_metadata_tags+faststart" if isinstance(path, (str, os.PathLike)) else "use_metadata_tags"}


def _remux(container: InputContainer, path: Source, metadata: dict | None) -> None:
    import av

    with av.open(path, mode="w", format="mp4", options=_movflags(path)) as output:
        _tags(output, {**container.metadata, **(metadata or {})})
        kept = [stream for stream in container.streams if stream.type in ("video", "audio")]
        twins = {stream: output.add_stream_from_template(stream) for stream in kept}
        for packet in container.demux(*kept):
            if packet.dts is not None:
                packet.stream = twins[packet.stream]
                output.mux(packet)


class VideoFromComponents(VideoInput):
    """A video in tensors."""

    def __init__(self, components: VideoComponents, bit_depth: int = 8):
        self._parts, self._depth = components, bit_depth

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """A part of it, encoded; None if it is too short, whether that is allowed or not (ComfyUI 0.33)."""
        if self.get_duration() < start_time + duration:
            return None
        return VideoFromFile(self.get_stream_source(), start_time=start_time, duration=duration)

    def get_components(self) -> VideoComponents:
        return VideoComponents(images=self._parts.images, audio=self._parts.audio, frame_rate=self._parts.frame_rate)

    def get_bit_depth(self) -> int:
        return self._depth

    def save_to(self, path: Source, format: str = VideoContainer.AUTO, codec: str = VideoCodec.AUTO, metadata: dict | None = None,
                crf: float | None = None, **_: Any) -> None:
        """H.264 and AAC in MP4; the audio is cut to the video's length. Where ComfyUI fails, this adapts: odd sides get their
        last row or column twice, audio of other rates and channels is converted (`encodable`).

        Raises:
            ValueError: for another container or codec (ComfyUI itself offers them).
        """
        import av

        if VideoContainer(format) not in (VideoContainer.AUTO, VideoContainer.MP4) or VideoCodec(codec) is VideoCodec.AV1:
            raise ValueError(f"The small host writes MP4 with H.264 only, not {format}/{codec}")
        images, rate = self._parts.images, Fraction(round(self._parts.frame_rate * 1000), 1000)
        with av.open(path, mode="w", format="mp4", options=_movflags(path)) as output:
            _tags(output, {key: json.dumps(value) for key, value in (metadata or {}).items()})
            track = output.add_stream("h264", rate=rate)
            track.width, track.height, track.pix_fmt = _even(images.shape[2]), _even(images.shape[1]), "yuv420p"
            track.options = {} if crf is None else {"crf": str(crf)}
            sound = self._add_sound(output, rate)
            for image in images:
                output.mux(track.encode(av.VideoFrame.from_ndarray(_pixels(image), format="rgb24")))
            output.mux(track.encode(None))
            if sound is not None:
                stream, frame = sound
                output.mux(stream.encode(frame))
                output.mux(stream.encode(None))

    def _add_sound(self, output: OutputContainer, rate: Fraction) -> tuple[av.AudioStream, av.AudioFrame] | None:
        import av
        import numpy as np

        from ...media_core.audio import Sound
        from ...media_core.video import AAC_LAYOUTS, encodable

        if not self._parts.audio:
            return None
        sound = encodable(Sound.from_comfy(self._parts.audio))
        hertz, layout = sound.sample_rate, AAC_LAYOUTS[sound.channels]
        waveform = sound.waveform[:, :math.ceil(hertz / rate * self._parts.images.shape[0])]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = hertz, 0
        return output.add_stream("aac", rate=hertz, layout=layout), frame


def _even(side: int) -> int:
    """The next even number of pixels, as H.264's chroma needs."""
    return side + side % 2


def _pixels(image: torch.Tensor) -> np.ndarray:  # float [H, W, C] 0..1 -> uint8 [H, W, 3], sides even
    import numpy as np

    pixels = (image[..., :3] * 255).clamp(0, 255).byte().cpu().numpy()
    height, width = pixels.shape[:2]
    return np.pad(pixels, [(0, _even(height) - height), (0, _even(width) - width), (0, 0)], mode="edge")
