"""A second file of a video that can be played while the video is still being written.

The packets that were encoded for the video are written again into short fragments, so it costs hardly any time, and the same
room on the disk. What reads it may at any time have the beginning of a fragment at its end.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

    Stream = av.VideoStream | av.AudioStream

log = logging.getLogger(__name__)
FRAGMENT = 1.0  # s
CONTAINERS = {  # a video's container -> that of its copy, FFmpeg's options, and what browsers call its sound
    "mp4": ("mp4", {"movflags": "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets",
                    "frag_duration": str(round(1e6 * FRAGMENT)), "flush_packets": "1"}, "mp4a.40.2"),
    "webm": ("webm", {"live": "1", "cluster_time_limit": str(round(1e3 * FRAGMENT)), "flush_packets": "1"}, "opus"),
}


class Told(Protocol):
    """What hears of a copy that grows: its MIME type, and the seconds of it that are there."""

    def __call__(self, mime: str, seconds: float) -> None: ...


class LiveCopy:
    """A copy of a video that a `VideoWriter` writes.

    Args:
        path: the copy; whoever makes it removes it.
        told: called about once a second.
    """

    def __init__(self, path: Path, told: Told):
        self.path, self._told = path, told
        self.mime = ""
        self._container: OutputContainer | None = None
        self._streams: dict[int, Stream] = {}
        self._waiting: list[tuple[Stream, av.Packet]] = []  # before the first frame is there
        self._broken, self._last, self._seconds = False, float("-inf"), 0.0

    def mux(self, stream: Stream, packet: av.Packet, streams: tuple[Stream, ...], container: str) -> None:
        """Takes in a packet of its own (`copied`), after the video has taken in the same.

        Args:
            streams: all of the video's: the frames first.
            container: of the video.
        """
        if container in CONTAINERS and not self._broken:
            self._guarded(lambda: self._add(stream, packet, streams, container))

    def close(self) -> None:
        """Ends the file. More than once is no harm."""
        container, self._container = self._container, None
        if container is not None:
            self._guarded(container.close)

    def _add(self, stream: Stream, packet: av.Packet, streams: tuple[Stream, ...], container: str) -> None:
        self._waiting.append((stream, packet))
        if stream is not streams[0] and self._container is None:
            return
        if self._container is None:
            self._open(streams, container)
        assert self._container is not None
        for source, one in self._waiting:
            one.stream = self._streams[source.index]
            self._container.mux(one)
        self._waiting.clear()
        now = time.monotonic()
        if stream is streams[0] and packet.pts is not None:
            self._seconds = max(self._seconds, float(packet.pts * Fraction(packet.time_base)))
            if now - self._last >= FRAGMENT:
                self._last = now
                self._told(self.mime, self._seconds)

    def _open(self, streams: tuple[Stream, ...], container: str) -> None:
        import av

        form, options, voice = CONTAINERS[container]
        self._container = av.open(str(self.path), "w", format=form, options=options)
        for stream in streams:
            self._streams[stream.index] = self._container.add_stream_from_template(stream)
        codecs = [codec_name(streams[0]), *([voice] if len(streams) > 1 else [])]
        self.mime = f'video/{form}; codecs="{", ".join(codecs)}"'

    def _guarded(self, work: Callable[[], None]) -> None:
        """A copy that cannot be written must not end the video."""
        from av.error import FFmpegError

        try:
            work()
        except (FFmpegError, OSError) as error:
            self._broken = True
            log.warning("The video cannot be watched while it is made: %s", error)


def copied(packet: av.Packet) -> av.Packet:
    """The same packet again."""
    import av

    twin = av.Packet(bytes(packet))
    twin.pts, twin.dts, twin.duration, twin.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    twin.is_keyframe = packet.is_keyframe
    return twin


def codec_name(stream: Stream) -> str:
    """What browsers call the codec of a video's frames: "avc1.64001f"."""
    if stream.codec_context.name != "libx264":
        return "vp9"
    extra = stream.codec_context.extradata or b""
    at = extra.find(b"\x00\x00\x01\x67") + 4  # the profile stands at the beginning of the sequence's parameters
    return f"avc1.{extra[at:at + 3].hex()}" if at >= 4 and len(extra) >= at + 3 else "avc1.640028"
