"""`--resume`: a long video is made in chunks of a minute, which lie beside it until it is whole.

However a run ends, it loses the chunk in work; the same command goes on with the first one that is missing. A resumed video is
the one that an uninterrupted run makes, byte by byte (docs/command_line.md#long-videos).
"""
from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..media_core.claims import lock_path
from ..media_core.errors import FileFormatError
from ..media_core.temporary import remove_leftovers
from .digests import digest_of

if TYPE_CHECKING:
    import numpy as np

    from ..media_core.audio import Sound
    from ..media_core.chunks import Chunk, ChunkFile
    from ..media_core.motion import LandmarkTrack
    from ..media_core.progress import Report  # imports NumPy

SECONDS = 60.0  # of a chunk
VERSION = 1  # of the key: another one makes all chunks again
_FREE = ("out", "device", "resume", "help")  # options that change no frame
_OURS = re.compile(r"\d{5}\.[a-z0-9]+|motion_[0-9a-f]{16}\.safetensors")


class WriteChunk(Protocol):
    """Makes the video file of the motion's frames first..stop, with that audio; whole or absent."""

    def __call__(self, path: Path, first: int, stop: int, sound: Sound | None, tags: Mapping[str, str],
                 report: Report) -> object: ...


def add_resume(add: Callable[..., argparse.Action]) -> None:
    """The option, the same for every command that makes a long video. `add`: of a parser."""
    add("--resume", action="store_true",
        help="make the video in chunks of a minute, kept in OUT.parts until it is whole: after a crash the same command goes on "
             "where it ended")


def key_of(options: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None]) -> str:
    """A hash of everything that decides what the video shows: the command's options, of files and folders their content."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    names = sorted({action.dest for action in parser._actions if action.dest not in _FREE and hasattr(options, action.dest)})
    told = {name: _told(getattr(options, name)) for name in names}
    return hashlib.sha256(json.dumps([VERSION, told], default=str).encode()).hexdigest()


def _told(value: Any) -> Any:
    path = Path(value) if isinstance(value, str) and value else None
    with suppress(OSError):  # no name of a file: too long a label, say
        return value if path is None or not path.exists() else digest_of(path)
    return value


class Parts:
    """The chunks of one video, in a folder beside it.

    Args:
        out: the video.
        key: see `key_of`; chunks of another one are made again.
    """

    def __init__(self, out: Path, key: str):
        self.out, self.key, self._settings = out, key, {"key": key}
        self.folder = out.with_name(f"{out.name}.parts")

    def motion(self, make: Callable[[], LandmarkTrack]) -> LandmarkTrack:
        """A motion that is made once: a later run reads it."""
        from ..media_core.motion import LandmarkTrack

        path = self.folder / f"motion_{self.key[:16]}.safetensors"
        with suppress(FileFormatError):  # absent or damaged
            return LandmarkTrack.load(path)
        motion = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        motion.save(path)
        return motion

    def made(self, frames: int, fps: float, sound: Sound | None, write: WriteChunk, report: Report) -> int:
        """Makes the chunks that are missing, then of all of them the video; how many frames an earlier run had made.

        Args:
            frames: of the video.
            sound: its audio, encoded once.
            report: of all frames.
        Raises:
            TalkingHeadsError: what `write` and `join` refuse; whatever `report` raises.
        """
        from ..media_core.chunks import Chunk, join

        count = math.ceil(frames / max(1, round(SECONDS * fps)))
        if count == 1:
            write(self.out, 0, frames, sound, {}, report)
            self.clear()
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        files: list[ChunkFile] = []
        kept = 0
        for chunk in (Chunk(index, count, frames) for index in range(count)):
            found = self.there(chunk)
            if found is None:
                write(self.path(chunk), chunk.start, chunk.stop, None, chunk.tags(self._settings), _onwards(report, chunk))
                found = self.there(chunk)
                assert found is not None  # just written
            else:
                kept += chunk.stop - chunk.start
                report(chunk.stop, frames, {"phase": "render", "frame": chunk.stop, "frames": frames}, None)
            files.append(found)
        join(files, self.out, sound)
        self.clear()
        return kept

    def path(self, chunk: Chunk) -> Path:
        """Where a chunk stands."""
        return self.folder / f"{chunk.index:05}{self.out.suffix}"

    def there(self, chunk: Chunk) -> ChunkFile | None:
        """The chunk's file, if it is there and of this video."""
        from ..media_core.chunks import digest, read_chunk

        path = self.path(chunk)
        if not path.is_file():
            return None
        try:
            found = read_chunk(path)
        except FileFormatError:
            return None  # made again
        return found if found is not None and (found.chunk, found.settings) == (chunk, digest(self._settings)) else None

    def clear(self) -> None:
        """Removes what was kept; files of others stay, and the folder with them."""
        remove_leftovers(self.folder)
        for path in list(self.folder.glob("*")):
            if _OURS.fullmatch(path.name):
                path.unlink()
                lock_path(path).unlink(missing_ok=True)  # left by a killed run
        with suppress(OSError):
            self.folder.rmdir()


def _onwards(report: Report, chunk: Chunk) -> Report:
    """A chunk's report as one of the whole video."""
    def told(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        if "frame" in info and total == chunk.stop - chunk.start:
            done, total = chunk.start + done, chunk.frames
            info = {**info, "frame": done, "frames": total}
        report(done, total, info, preview)

    return told
