"""The VIDEO value: a film in a file or in tensors, as `Input.Video` and `InputImpl` offer it (spec/comfyui.md 4.3)."""
from __future__ import annotations

import io
import json
import math
import os
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any


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
    def get_extension(cls, value: Any) -> str:
        kind = cls(value)
        return "mp4" if kind is cls.AUTO else kind.value


@dataclass
class VideoComponents:
    """A film taken apart."""

    images: Any  # float32 [F, H, W, 3] 0..1
    frame_rate: Fraction  # 1/s
    audio: dict | None = None  # {"waveform" [1, C, N], "sample_rate"}
    metadata: dict | None = None
    alpha: Any = None  # float32 [F, H, W] or [F, H, W, 1]


class VideoInput:
    """What every VIDEO can do. A subclass gives get_components and save_to, and what it can answer without decoding."""

    def get_components(self) -> VideoComponents:
        raise NotImplementedError

    def save_to(self, path: Any, format: Any = VideoContainer.AUTO, codec: Any = VideoCodec.AUTO, metadata: dict | None = None,
                **_: Any) -> None:
        raise NotImplementedError

    def get_stream_source(self) -> Any:
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
        import av

        with av.open(self.get_stream_source(), mode="r") as container:
            return container.format.name

    def get_bit_depth(self) -> int:
        return 8


class VideoFromFile(VideoInput):
    """A film on disk, decoded only when its parts are asked for; or the part of it from `start_time` on, `duration` s long."""

    def __init__(self, file: Any, *, start_time: float = 0, duration: float = 0):
        self._file, self._start, self._length = file, start_time, duration

    def get_stream_source(self) -> Any:
        """The whole file, trimmed or not (as in ComfyUI 0.33)."""
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    def get_active_trim_window(self) -> tuple[float, float]:
        """(start, duration) in seconds; 0 s for all that follows."""
        start = max(self._file_duration() + self._start, 0.0) if self._start < 0 else self._start
        return float(start), float(self._length)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """A part of this film; None where that is shorter than asked for and must not be."""
        trimmed = VideoFromFile(self.get_stream_source(), start_time=start_time + self._start, duration=duration)
        return None if strict_duration and trimmed.get_duration() < duration else trimmed

    def _open(self) -> Any:
        import av

        container = av.open(self.get_stream_source(), mode="r")
        if not container.streams.video:
            container.close()
            raise ValueError(f"No video stream found in file '{self._file}'")
        return container

    def get_dimensions(self) -> tuple[int, int]:
        with self._open() as container:
            stream = container.streams.video[0]
            return stream.width, stream.height

    def get_frame_rate(self) -> Fraction:
        with self._open() as container:
            return Fraction(container.streams.video[0].average_rate or 1)

    def get_frame_count(self) -> int:
        with self._open() as container:
            stream = container.streams.video[0]
            if self._start or self._length:
                return round(self.get_duration() * Fraction(stream.average_rate or 1))
            return int(stream.frames) or sum(1 for _ in container.decode(stream))

    def _file_duration(self) -> float:
        with self._open() as container:
            if container.duration is not None:
                return container.duration / 1e6
            stream = container.streams.video[0]
            return float((int(stream.frames) or sum(1 for _ in container.decode(stream))) / Fraction(stream.average_rate or 1))

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
            first, stop = int(start / stream.time_base), int((start + length) / stream.time_base) if length else math.inf
            seen = (frame for frame in container.decode(stream) if frame.pts is None or first <= frame.pts < stop)
            frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in seen]
        images = torch.stack(frames).float() / 255 if frames else torch.zeros(0, 0, 0, 3)
        return VideoComponents(images=images, frame_rate=rate, audio=self._sound(), metadata=tags)

    def _sound(self) -> dict | None:
        with self._open() as container:
            if not container.streams.audio:
                return None
            waveform, rate = decode_sound(container)
        start, length = self.get_active_trim_window()
        first, stop = round(start * rate), round((start + length) * rate) if length else None
        return {"waveform": waveform[None, :, first:stop], "sample_rate": rate}

    def save_to(self, path: Any, format: Any = VideoContainer.AUTO, codec: Any = VideoCodec.AUTO, metadata: dict | None = None,
                **options: Any) -> None:
        """Copies the streams as they are, adding metadata; re-encodes (through tensors) where container or codec differ."""
        with self._open() as container:
            there = container.streams.video[0].codec.canonical_name
            same_codec = VideoCodec(codec) is VideoCodec.AUTO or VideoCodec(codec).value == there
            same_kind = VideoContainer(format) is VideoContainer.AUTO or VideoContainer(format).value in container.format.name
            whole = not (self._start or self._length)
            if whole and same_codec and same_kind and not any(value is not None for value in options.values()):
                return _remux(container, path, metadata)
        return VideoFromComponents(self.get_components()).save_to(path, format, codec, metadata, **options)


def decode_sound(container: Any) -> tuple[Any, int]:
    """The first audio stream of an open container: (tensor float32 [C, N] -1..1, rate in Hz)."""
    import av
    import torch

    stream = container.streams.audio[0]
    even = av.audio.resampler.AudioResampler(format="fltp")
    parts = [torch.from_numpy(piece.to_ndarray()) for frame in container.decode(stream) for piece in even.resample(frame)]
    if not parts:
        raise ValueError("No audio frames decoded.")
    return torch.cat(parts, dim=1), stream.codec_context.sample_rate


def _tags(output: Any, metadata: dict | None) -> None:
    for key, value in (metadata or {}).items():
        output.metadata[key] = value if isinstance(value, str) else json.dumps(value)


def _movflags(path: Any) -> dict[str, str]:
    """Keep foreign tags; move the index to the front where the file can be reopened by name."""
    return {"movflags": "use_metadata_tags+faststart" if isinstance(path, (str, os.PathLike)) else "use_metadata_tags"}


def _remux(container: Any, path: Any, metadata: dict | None) -> None:
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
    """A film in tensors."""

    def __init__(self, components: VideoComponents, bit_depth: int = 8):
        self._parts, self._depth = components, bit_depth

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """A part of it, encoded; None where it is too short (whether that must not be or not: ComfyUI 0.33)."""
        if self.get_duration() < start_time + duration:
            return None
        return VideoFromFile(self.get_stream_source(), start_time=start_time, duration=duration)

    def get_components(self) -> VideoComponents:
        return VideoComponents(images=self._parts.images, audio=self._parts.audio, frame_rate=self._parts.frame_rate)

    def get_bit_depth(self) -> int:
        return self._depth

    def save_to(self, path: Any, format: Any = VideoContainer.AUTO, codec: Any = VideoCodec.AUTO, metadata: dict | None = None,
                crf: float | None = None, **_: Any) -> None:
        """H.264 and AAC in MP4; the sound is cut to the film's length.

        Raises:
            ValueError: for another container or codec (ComfyUI itself offers them).
        """
        import av

        if VideoContainer(format) not in (VideoContainer.AUTO, VideoContainer.MP4) or VideoCodec(codec) is VideoCodec.AV1:
            raise ValueError(f"The small host writes MP4 with H.264 only, not {format}/{codec}")
        images, rate = self._parts.images, Fraction(round(self._parts.frame_rate * 1000), 1000)
        with av.open(path, mode="w", format="mp4", options=_movflags(path)) as output:
            _tags(output, {key: json.dumps(value) for key, value in (metadata or {}).items()})
            film = output.add_stream("h264", rate=rate)
            film.width, film.height, film.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
            film.options = {} if crf is None else {"crf": str(crf)}
            sound = self._add_sound(output, rate)
            for image in images:
                pixels = (image[..., :3] * 255).clamp(0, 255).byte().cpu().numpy()
                output.mux(film.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            output.mux(film.encode(None))
            if sound is not None:
                stream, frame = sound
                output.mux(stream.encode(frame))
                output.mux(stream.encode(None))

    def _add_sound(self, output: Any, rate: Fraction) -> tuple[Any, Any] | None:
        import av

        audio = self._parts.audio
        if not audio:
            return None
        hertz = int(audio["sample_rate"])
        waveform = audio["waveform"][0, :, :math.ceil(hertz / rate * self._parts.images.shape[0])]
        layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(waveform.shape[0], "stereo")
        frame = av.AudioFrame.from_ndarray(waveform.float().cpu().contiguous().numpy(), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = hertz, 0
        return output.add_stream("aac", rate=hertz, layout=layout), frame
