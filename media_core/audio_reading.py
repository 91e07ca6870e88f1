"""A container's audio track as samples: which track, its gaps, and what is left of a damaged one."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .video_clock import LONGEST_GAP

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.error import FFmpegError

log = logging.getLogger(__name__)

Take: TypeAlias = Callable[[np.ndarray], object]  # of float32 [n, C]
_SILENCE = 1 << 18  # samples, at most, of a piece of silence
_DEFAULT = 1  # FFmpeg's AV_DISPOSITION_DEFAULT
_FILM_RATE = 25  # frames per second; shorter gaps are the container's imprecise clock


def sound_track(container: InputContainer) -> av.AudioStream | None:
    """The audio stream to use: the one that the file marks as default, else its first; None where none can be decoded."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    marked = [stream for stream in tracks if int(getattr(stream, "disposition", 0)) & _DEFAULT]
    return next(iter(marked + tracks), None)


def decoded(container: InputContainer, stream: av.AudioStream) -> tuple[np.ndarray, int]:  # float32 [C, N], Hz
    """A track of an open container as planar floats at its own rate and channels.

    Silence stands in front of a track that starts after the file does, and wherever samples are missing. Damaged packets are
    left out with a warning. What an mp4 holds behind the track's stated length (the rest of AAC's last block) is cut.

    Raises:
        one of `av_files.unreadable()`: more of it is damaged than whole, or its samples are of no known arrangement.
    """
    blocks: list[np.ndarray] = []
    channels, rate = decoded_pieces(container, stream, blocks.append)
    out, at = np.empty((channels, sum(map(len, blocks))), np.float32), 0
    blocks.reverse()
    while blocks:  # each given back at once: a long track is large
        block = blocks.pop()
        out[:, at:at + len(block)] = block.T
        at += len(block)
    return out, rate


def decoded_pieces(container: InputContainer, stream: av.AudioStream, take: Take) -> tuple[int, int]:
    """The same in pieces, float32 [n, C], each handed to `take` as soon as it is read; returns (channels, Hz).

    Raises:
        as `decoded`, which may be after `take` has had all.
    """
    samples, packets = _Samples(container, stream, take), _Packets(container, stream)
    for frame in packets:
        samples.add(frame, packets.fresh_damage())
    packets.tell()
    samples.flush()
    return samples.channels, samples.rate


class _Packets:
    """The frames of a track, past what is damaged."""

    def __init__(self, container: InputContainer, stream: av.AudioStream):
        self.container, self.stream = container, stream
        self.whole, self.damaged, self._fresh = 0, 0, False
        self.first_error: FFmpegError | None = None

    def __iter__(self) -> Iterator[av.AudioFrame]:
        from av.error import EOFError as EndOfFile
        from av.error import FFmpegError

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except IndexError:  # PyAV, of a packet whose track the file's head does not name: the one after it will do
                packets = self.container.demux(self.stream)
                continue
            except FFmpegError as error:  # the container itself ends here
                self._note(error)
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except EndOfFile:  # a flush after the decoder has ended
                continue
            except FFmpegError as error:
                self._note(error)
                continue
            self.whole += bool(frames)
            yield from frames

    def _note(self, error: FFmpegError) -> None:
        self.damaged, self.first_error, self._fresh = self.damaged + 1, self.first_error or error, True

    def fresh_damage(self) -> bool:
        """Whether something was left out since this was last asked."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def tell(self) -> None:
        """Logs damage; raises the first error where that is most of the track."""
        if self.first_error is None:
            return
        if self.damaged > self.whole:
            raise self.first_error
        log.warning("The audio track is damaged: %d of %d parts were left out, replaced by silence (%s)",
                    self.damaged, self.damaged + self.whole, self.first_error.strerror)


class _Samples:
    """Frames put together, in the first one's rate and channels, at the times they say."""

    def __init__(self, container: InputContainer, stream: av.AudioStream, take: Take):
        self.container, self.stream, self._take = container, stream, take
        self.left: int | None = None  # samples a channel that may still come; None: as many as there are
        self.kind: tuple[str, str, int] | None = None  # of the frames that the resampler takes
        self.resampler: av.AudioResampler | None = None
        self.layout, self.channels, self.rate = "", 1, stream.rate or 0
        self.begin: float | None = None  # s
        self.late, self.heard = 0, 0  # samples a channel: silence in front; since the first frame

    def add(self, frame: av.AudioFrame, damage_before: bool) -> None:
        """One more frame; `damage_before`: something in front of it was left out, so that a short gap is one too."""
        if not self.layout:
            self.layout, self.channels = frame.layout.name, frame.layout.nb_channels
            self.rate = self.rate or frame.sample_rate
            self.begin, self.late = frame.time, _late(frame, self.container.start_time, self.rate)
            self.left = self._length()
            self._silence(self.late)
        gap = _gap(frame, self.begin, self.heard, self.rate, damage_before)
        self._silence(gap)
        self._convert(frame)
        self.heard += gap + round(frame.samples * self.rate / (frame.sample_rate or self.rate))

    def _silence(self, samples: int) -> None:
        for start in range(0, samples, _SILENCE):
            self._give(np.zeros((min(_SILENCE, samples - start), self.channels), np.float32))

    def _convert(self, frame: av.AudioFrame) -> None:
        import av

        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self.kind:  # a damaged frame, or recordings put together
            self.flush()
            # Packed, not planar: PyAV 18's planes of eight and more channels point nowhere.
            self.kind, self.resampler = kind, av.AudioResampler(format="flt", layout=self.layout, rate=self.rate)
        assert self.resampler is not None
        for part in self.resampler.resample(frame):
            self._give(part.to_ndarray().reshape(-1, self.channels))

    def flush(self) -> None:
        """Hands on what is still under way."""
        for part in self.resampler.resample(None) if self.resampler is not None else ():
            self._give(part.to_ndarray().reshape(-1, self.channels))

    def _length(self) -> int | None:
        """Samples a channel, where an mp4 states them: what it holds behind (the rest of AAC's last block) is cut."""
        duration, base = self.stream.duration, self.stream.time_base
        if not duration or not base or "mp4" not in self.container.format.name:
            return None
        return max(1, self.late + round(duration * base * self.rate))

    def _give(self, block: np.ndarray) -> None:  # float32 [n, C]
        if self.left is not None:
            block = block[:self.left]
            self.left -= len(block)
        if len(block):
            self._take(block)


def _late(frame: av.AudioFrame, start: int | None, rate: int) -> int:
    """Samples by which a track's first frame comes after the file's start (us); below 10 ms it is codec delay: 0."""
    late = 0 if frame.time is None or start is None else round((frame.time - start / 1e6) * rate)
    return late if late > rate // 100 else 0


def _gap(frame: av.AudioFrame, begin: float | None, heard: int, rate: int, damage: bool) -> int:
    """Samples missing in front of a frame (a phone that dropped some): what follows must not come too early. Over a minute
    it is a wrong clock: 0. Under one video frame it is an imprecise one, unless there was damage."""
    gap = 0 if frame.time is None or begin is None else round((frame.time - begin) * rate) - heard
    return gap if (0 if damage else rate / _FILM_RATE) < gap < LONGEST_GAP * rate else 0
