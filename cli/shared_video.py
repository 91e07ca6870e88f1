"""One video made in chunks, by several workers at once (docs/scale.md#one-video).

Each unit of work is a range of frames. Every worker makes the motion of the whole speech, so that a chunk knows what is said
before and after it, keeps it for its next chunk, and draws its own frames alone. Chunks are of a fixed length, whatever the
number of workers: so the video is the same with any number. They stand in a folder beside the video until it is whole; what is
there already is not made again.
"""
from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..media_core.claims import claim
from ..media_core.errors import TalkingHeadsError
from .batch_manifest import READ
from .executor import Outcome, Result, Unit, Watch, chosen_executor
from .progress_line import Info, ProgressLine, run_job
from .resumed import Parts, key_of
from .sending import files_in, sendable

if TYPE_CHECKING:
    from ..media_core.audio import Sound
    from ..media_core.chunks import Chunk
    from ..media_core.progress import Report  # imports NumPy
    from .loaded import Models

log = logging.getLogger(__name__)
WORKER = ".cli.shared_video:ChunkWorker"
FRAMES = 250  # of a chunk: often enough for workers to share, and no oftener than an encoder begins with a key frame anyway


@dataclass(frozen=True)
class Part:
    """Which frames of the video, and of which one."""

    index: int   # from 0
    count: int
    frames: int  # of the whole video
    key: str     # a hash of everything that decides what the video shows

    @property
    def chunk(self) -> Chunk:
        """The frames."""
        from ..media_core.chunks import Chunk

        return Chunk(self.index, self.count, self.frames)

    @property
    def tags(self) -> dict[str, str]:
        """What its file says of it."""
        return self.chunk.tags({"key": self.key})

    def within(self, made: int) -> tuple[int, int]:
        """(first frame, the one after the last), of a motion of `made` frames.

        Raises:
            TalkingHeadsError: it is a motion of another length.
        """
        if made != self.frames:
            raise TalkingHeadsError(f"The motion must have the {self.frames} frames that were counted beforehand", f"{made}",
                                    "Check that all machines have the same version of the audio and the models")
        return self.chunk.start, self.chunk.stop


class Maker(Protocol):
    """A command that makes one video: the modules avatar_jobs and video_work."""

    def frames_of(self, options: argparse.Namespace, sound: Sound) -> int:
        """How many frames the video will have."""
        ...

    def made(self, options: argparse.Namespace, out: Path, models: Models, report: Report, part: Part | None = None) -> object:
        """Makes the video, or a part of it without audio."""
        ...

    def note_of(self, done: Any) -> str:
        """What is to be said of what `made` returned."""
        ...


class ChunkWorker:
    """Makes chunks of videos; models and motion stay loaded from one to the next."""

    def __init__(self) -> None:
        from .loaded import Models

        self._models = Models()

    def __call__(self, unit: Unit, report: Report) -> Result:
        from .batch_work import check_here

        check_here(unit["reads"])
        maker, out = _maker(unit["command"]), Path(unit["output"])
        options = argparse.Namespace(**{**unit["options"], "out": str(out), "resume": False})
        part = None if unit["count"] == 1 else Part(unit["index"], unit["count"], unit["frames"], unit["key"])
        return {"note": maker.note_of(maker.made(options, out, self._models, report, part))}

    def forget(self) -> None:
        """Gives the memory of the models back."""
        self._models.clear()


def make(command: str, options: argparse.Namespace, sound: str) -> int:
    """Runs `talking-heads avatar` or `video` with --workers: exit code.

    Args:
        options: of that command, checked.
        sound: the audio file.
    """
    from ..media_core.video import probe
    from .jobs import writable_file

    out, started = Path(options.out), time.perf_counter()
    writable_file(out)
    executor = chosen_executor(options.workers)

    def work(report: Report) -> str:
        with claim(out):
            shared = Shared(command, options, sound, report)
            return shared.joined(lambda units, watch: executor.run(WORKER, units, watch=watch, again=_again, ordered=False))

    def tell(note: str) -> None:
        info = probe(out)
        print(f"{out}\n{info.frames} frames, {info.duration:.2f} s at {float(info.fps):g} fps, made in "
              f"{time.perf_counter() - started:.1f} s" + (f"\n{note}" if note else ""))

    return run_job(work, _show, tell)


class Shared:
    """A video in the making."""

    def __init__(self, command: str, options: argparse.Namespace, sound: str, report: Report):
        from ..media_core.audio import load_sound
        from . import avatar_jobs, video_jobs

        self._command, self._out, self._report = command, Path(options.out), report
        self._given = sendable(options, READ, without=("base_dir", "out", "resume"))
        self._sound = load_sound(sound)
        self._frames = _maker(command).frames_of(options, self._sound)
        self._count = max(1, -(-self._frames // FRAMES))
        self._parts = Parts(self._out, key_of(options, (avatar_jobs if command == "avatar" else video_jobs).add_options))
        self.folder = self._parts.folder

    def joined(self, run: Callable[[list[Unit], Watch], Generator[Outcome, None, None]]) -> str:
        """Makes what is missing, and the video of it; a note on it."""
        from ..media_core.chunks import complete, join, read_chunk

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            note = self._make(run)
        except BaseException:
            with suppress(OSError):  # there are chunks in it, which stay
                self.folder.rmdir()
            raise
        if self._count == 1:
            self._path(0).replace(self._out)
        else:
            found = [read_chunk(self._path(index)) for index in range(self._count)]
            join(complete([one for one in found if one is not None]), self._out, self._sound)
        self._parts.clear()
        return note

    def _make(self, run: Callable[[list[Unit], Watch], Generator[Outcome, None, None]]) -> str:
        """The chunks that are missing; a note on the video."""
        units = [self._unit(index) for index in range(self._count) if not self._stands(index)]
        before, ended, note = self._count - len(units), 0, ""
        if not units:
            return note

        def watch(number: int, done: int, total: int, info: Mapping[str, Any]) -> None:
            part = min(done / total, 1.0) if total else 0.0
            self._report(round(100 * (before + ended + part)), 100 * self._count, {"begun": bool(info) or ended > 0}, None)

        with closing(run(units, watch)) as outcomes:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                note, ended = self._checked(units[outcome.number], outcome), ended + 1
        return note

    def _checked(self, unit: Unit, outcome: Outcome) -> str:
        """The note of a chunk that was made.

        Raises:
            TalkingHeadsError: it is not here.
        """
        if not Path(unit["output"]).is_file():
            raise TalkingHeadsError("All machines must share the folder that the video is written to",
                                    f"{outcome.where} wrote {unit['output']}, which is not here", "Write it to a shared folder")
        return str((outcome.result or {}).get("note", ""))

    def _unit(self, index: int) -> Unit:
        return {"command": self._command, "options": self._given, "output": str(self._path(index)), "index": index,
                "count": self._count, "frames": self._frames, "key": self._parts.key, "reads": files_in(self._given, READ)}

    def _path(self, index: int) -> Path:
        return self._parts.path(self._part(index).chunk).resolve()

    def _part(self, index: int) -> Part:
        return Part(index, self._count, self._frames, self._parts.key)

    def _stands(self, index: int) -> bool:
        """Whether an earlier run has made that chunk of the same video."""
        return self._count > 1 and self._parts.there(self._part(index).chunk) is not None


def _maker(command: str) -> Maker:
    from . import avatar_jobs, video_work

    return avatar_jobs if command == "avatar" else video_work


def _again(number: int, error: Exception) -> None:
    """A lost worker's chunk is made by another."""
    log.warning("a chunk is made again: %s", error)


def _show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    line.show("Chunks of the video" if info["begun"] else "Starting", done / 100, total / 100)
