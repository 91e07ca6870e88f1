"""A video made in parts, by machines that know nothing of each other, and joined (docs/scale.md#chunks).

Every part carries in its metadata which one it is, of how many, and of what. Joining copies the encoded frames: what was made is
what is seen.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asked import whole
from .audio import Sound, fitted
from .chunk_sound import EDGES, edges, joined, pieces
from .errors import FileFormatError, TalkingHeadsError
from .json_files import parse_json
from .schema import COUNT, Unfit, record, text
from .schema import whole as whole_number
from .video import VideoWriter, film_samples, load_film_sound, probe
from .video_formats import LAYOUTS, format_of

if TYPE_CHECKING:
    import av

TAG = "talking_heads_chunk"
MOST = 10_000  # chunks
_AGAIN = "Make that chunk again with the same settings, or put the chunks of other videos elsewhere"
_CHECK = record({"index": whole_number(0, MOST), "count": whole_number(1, MOST), "frames": whole_number(1, COUNT),
                 "settings": text(64)})


@dataclass(frozen=True)
class Chunk:
    """Which part of a video.

    Raises:
        TalkingHeadsError: no such part.
    """

    index: int   # from 0
    count: int
    frames: int  # of the whole video

    def __post_init__(self) -> None:
        whole("The number of chunks", self.count, 1, MOST)
        if self.count > self.frames:
            raise TalkingHeadsError("A chunk must have a frame at least", f"{self.count} chunks of {self.frames} frames",
                                    "Lower chunk_count")
        if not 0 <= self.index < self.count:
            raise TalkingHeadsError("chunk_index must be at least 0 and below chunk_count", f"{self.index} of {self.count}",
                                    "Chunks are counted from 0")

    @property
    def start(self) -> int:
        """Its first frame."""
        return self.frames * self.index // self.count

    @property
    def stop(self) -> int:
        """The frame after its last one."""
        return self.frames * (self.index + 1) // self.count

    def sound(self, sound: Sound | None, fps: float | Fraction, ending: str = ".mp4") -> Sound | None:
        """Its part of the audio, to the sample: the parts joined are the audio of the whole video, as the encoder is given it.

        Args:
            ending: of the chunk's file.
        """
        if sound is None or self.count == 1:
            return sound
        sound = sound.within(format_of(f"chunk{ending}").rates, tuple(LAYOUTS))  # the whole: a part would be resampled otherwise
        first, last = (film_samples(frame, Fraction(fps).limit_denominator(1001), sound.sample_rate)
                       for frame in (self.start, self.stop))
        return Sound(fitted(sound.waveform[:, first:last], last - first), sound.sample_rate)

    def tags(self, settings: Mapping[str, Any], sound: Sound | None = None, ending: str = ".mp4") -> dict[str, str]:
        """What its file says of it; nothing of a whole video.

        Args:
            settings: what must be equal in all chunks.
            sound: of the chunk, as `sound` gives it.
            ending: of the chunk's file.
        """
        if self.count == 1:
            return {}
        tag = {TAG: json.dumps({"index": self.index, "count": self.count, "frames": self.frames, "settings": digest(settings)})}
        if sound is None or format_of(f"chunk{ending}").lossless_voice:
            return tag
        return {**tag, EDGES: edges(sound, self.index == 0, self.index == self.count - 1)}


def digest(settings: Mapping[str, Any]) -> str:
    """The settings as a chunk's file names them (`ChunkFile.settings`)."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ChunkFile:
    """A file with a chunk."""

    path: Path
    chunk: Chunk
    settings: str
    edges: str = ""  # of its audio, see `chunk_sound`


def read_chunk(path: str | os.PathLike) -> ChunkFile | None:
    """What a video file says of its part; None: it is no chunk.

    Raises:
        FileFormatError: no video, or a damaged note.
    """
    from .av_files import open_media, unreadable

    path = Path(path)
    try:
        with open_media(path) as container:
            told = {name.lower(): value for name, value in container.metadata.items()}
    except unreadable() as error:
        raise FileFormatError("A chunk must be a readable video", f"{path.name} ({error})", _AGAIN) from error
    if TAG not in told:
        return None
    try:
        note = _CHECK(parse_json(told[TAG], path.name), "")
    except Unfit as error:
        raise FileFormatError(f"'{error.where}' of the chunk {path.name} must be {error.must}", repr(error.value),
                              _AGAIN) from error
    return ChunkFile(path, Chunk(note["index"], note["count"], note["frames"]), note["settings"], told.get(EDGES, ""))


def complete(files: Sequence[ChunkFile]) -> list[ChunkFile]:
    """The chunks in order; of a chunk that is there twice the newest file.

    Raises:
        TalkingHeadsError: chunks of different videos, or one is missing.
    """
    if not files:
        raise TalkingHeadsError("There must be chunks to join", "none", "Make them with chunk_count above 1, and save them there")
    kinds = {(one.settings, one.chunk.count, one.chunk.frames): one.path.name for one in files}
    if len(kinds) > 1:
        (one, name), (other, another) = list(kinds.items())[:2]
        told = f"{one[1]} chunks and {one[2]} frames, {another} of {other[1]} and {other[2]}"
        raise TalkingHeadsError("All chunks must be of one video, made with the same settings", f"{name} is of {told}"
                                + (", with other settings" if one[1:] == other[1:] else ""), _AGAIN)
    newest: dict[int, ChunkFile] = {}
    for one in sorted(files, key=lambda one: one.path.stat().st_mtime_ns):
        newest[one.chunk.index] = one
    count = files[0].chunk.count
    missing = [str(index) for index in range(count) if index not in newest]
    if missing:
        raise TalkingHeadsError(f"All {count} chunks must be there", f"missing: chunk_index {', '.join(missing[:20])}",
                                "Make those, and join again")
    return [newest[index] for index in range(count)]


def join(files: Sequence[ChunkFile], path: str | os.PathLike, sound: Sound | None = None) -> Path:
    """Joins the chunks of a video: its frames as they were encoded, its audio encoded again as one.

    Args:
        files: of `complete`.
        path: the video, with the ending that the chunks have.
        sound: the audio of the whole video; None: that of the chunks.
    Raises:
        TalkingHeadsError: a chunk is short, or of another kind.
    """
    first = probe(files[0].path)
    for one in files:
        info, wanted = probe(one.path), one.chunk.stop - one.chunk.start
        if (info.width, info.height, info.fps) != (first.width, first.height, first.fps) or info.frames != wanted:
            raise TalkingHeadsError(f"Chunk {one.chunk.index} must have {wanted} frames of {first.width} x {first.height} px at "
                                    f"{float(first.fps):g} fps", f"{one.path.name} has {info.frames} of {info.width} x "
                                    f"{info.height} px at {float(info.fps):g} fps", _AGAIN)
    if sound is None and first.has_sound:
        sound = _joined_sound(files, first.fps)
    late = max(_lateness(one.path, first.fps) for one in files)
    with _JoinedWriter(path, files[0].path, late, first.width, first.height, first.fps, sound) as writer:
        for one in files:
            writer.copy(one)
    return Path(path)


def _joined_sound(files: Sequence[ChunkFile], fps: Fraction) -> Sound:
    """The audio of the chunks behind each other, each as long as its frames."""
    parts = [load_film_sound(one.path) for one in files]
    ends = [film_samples(one.chunk.stop, fps, parts[0].sample_rate) for one in files]
    known = [piece for one in files if one.edges
             for piece in pieces(one.edges, one.path.name, (one.chunk.start, one.chunk.stop), fps)]
    return joined(parts, ends, known)


class _JoinedWriter(VideoWriter):
    """Writes frames that are encoded already, and the audio with them."""

    def __init__(self, path: str | os.PathLike, like: Path, late: int, width: int, height: int, fps: Fraction,
                 sound: Sound | None):
        super().__init__(path, width, height, fps, sound, source="recorded")
        self._like, self._late = like, late
        self._sources = ExitStack()

    def __enter__(self) -> _JoinedWriter:
        from .av_files import open_media

        with self._sources:
            self._model = self._sources.enter_context(open_media(self._like))
            self.metadata = {name: value for name, value in self._model.metadata.items()
                             if name.lower() not in (TAG, EDGES, "encoder", "major_brand", "minor_version", "compatible_brands")}
            super().__enter__()
        return self

    def _add_picture(self) -> av.VideoStream:
        self._extra = bytes(self._model.streams.video[0].codec_context.extradata or b"")
        return self._container.add_stream_from_template(self._model.streams.video[0])

    def _flushed(self) -> list[av.Packet]:
        return []

    def copy(self, one: ChunkFile) -> None:
        """Takes over the frames of a chunk."""
        from .av_files import open_media

        start = self.frames_written
        with open_media(one.path) as container:
            stream = container.streams.video[0]
            if bytes(stream.codec_context.extradata or b"") != self._extra:
                raise TalkingHeadsError("All chunks must be encoded alike", f"{one.path.name} is not", _AGAIN)
            for packet in _packets(container.demux(stream), stream, self.fps, start, self._late):
                packet.stream = self._picture
                self._mux(self._picture, [packet])
                self.frames_written += 1
                if self._voice is not None:
                    self._write_sound(self._voice, last=False)


def _packets(packets: Iterator[av.Packet], stream: av.VideoStream, fps: Fraction, start: int, late: int) -> Iterator[av.Packet]:
    """Packets at the frames' own clock, the first one shown at frame `start`.

    An encoder counts the decoder's clock from frames that a chunk of two or three may not have, so it counts differently in
    each: here every packet is decoded one frame after the one before it, all through the video.
    """
    for count, (packet, shown) in enumerate(_shown(packets, stream, fps)):
        packet.pts, packet.dts, packet.time_base = start + shown, start + count - late, 1 / fps
        yield packet


def _shown(packets: Iterator[av.Packet], stream: av.VideoStream, fps: Fraction) -> Iterator[tuple[av.Packet, int]]:
    """Each packet, as they are decoded, and which frame of the chunk it shows."""
    assert stream.time_base is not None
    first = None
    for packet in packets:
        if packet.pts is None or packet.size == 0:
            continue  # the end
        pts = round(packet.pts * stream.time_base * fps)
        first = pts if first is None else first  # the first packet is the first frame: a key frame
        yield packet, pts - first


def _lateness(path: Path, fps: Fraction) -> int:
    """How many frames after it could be decoded a frame is shown, at most: encoders change the order."""
    from .av_files import open_media

    with open_media(path) as container:
        stream = container.streams.video[0]
        shown = [frame for _, frame in _shown(container.demux(stream), stream, fps)]
    return max(count - frame for count, frame in enumerate(shown))
