"""What a batch has done so far: a report of one JSON object a line, written while it runs (docs/batch.md#the-report)."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.json_files import parse_json_object
from ..media_core.temporary import part_name
from .batch_manifest import Job
from .digests import digest_of

VERSION = 1  # of the key: another one does everything again


class Report:
    """The report file: an entry is added when a line ends, and the whole is put in the manifest's order at the end.

    Raises:
        TalkingHeadsError: it cannot be written.
    """

    def __init__(self, path: Path, jobs: Iterable[Job]):
        self.path, self.jobs = path, list(jobs)
        self._digests: dict[Path, str] = {}
        self._keys: dict[int, str] = {}
        self.entries: dict[int, dict[str, Any]] = {}  # line -> how it ended

    def key(self, job: Job) -> str:
        """A hash of everything that decides what the job makes: its settings and the contents of the files it reads."""
        if job.line not in self._keys:
            files = {str(path): self._digest(path) for path in job.reads if path.exists()}
            told = [_with_digest(text, files) for text in job.arguments
                    if text != str(job.output) and not text.startswith("--device=")]
            said = json.dumps([VERSION, job.command, told, job.output.suffix.lower()])
            self._keys[job.line] = hashlib.sha256(said.encode()).hexdigest()
        return self._keys[job.line]

    def resume(self, again: bool) -> list[Job]:
        """The jobs that are still to be done; the finished ones keep their entries.

        Args:
            again: do all of them.
        """
        before = {} if again else self._read()
        left = []
        for job in self.jobs:
            entry = before.get(str(job.output))
            if entry is not None and entry.get("status") == "ok" and job.output.is_file() \
                    and entry.get("bytes") == job.output.stat().st_size and entry.get("key") == self.key(job):
                self.entries[job.line] = {**entry, "line": job.line, "id": job.id}
            else:
                left.append(job)
        return left

    def add(self, job: Job, entry: Mapping[str, Any]) -> None:
        """Notes how a job ended, on disk too."""
        told = {"line": job.line, "id": job.id, **entry, "output": str(job.output)}
        if entry["status"] == "ok":
            told.update(bytes=job.output.stat().st_size, key=self.key(job))
        self.entries[job.line] = told
        with self._writing(), self.path.open("a", encoding="utf8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Writes the whole report: one entry a line, in the manifest's order; whole or as it was."""
        rows = [self.entries.get(job.line) or {"line": job.line, "id": job.id, "status": "waiting", "output": str(job.output)}
                for job in self.jobs]
        temporary = self.path.with_name(part_name(self.path.name))
        with self._writing():
            try:
                temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf8")
                os.replace(temporary, self.path)
            finally:
                temporary.unlink(missing_ok=True)

    def _writing(self) -> _Writing:
        return _Writing(self.path)

    def _read(self) -> dict[str, dict[str, Any]]:
        """Output -> its last entry. A line that a killed run left unfinished is passed over."""
        entries: dict[str, dict[str, Any]] = {}
        lines = self.path.read_bytes().split(b"\n") if self.path.is_file() else []
        for line in lines:
            try:
                entry = parse_json_object(line, self.path.name)
            except FileFormatError:
                continue  # cut off by a killed run
            entries[str(entry.get("output"))] = entry
        return entries

    def _digest(self, path: Path) -> str:
        """`digest_of`, each file once."""
        if path not in self._digests:
            self._digests[path] = digest_of(path)
        return self._digests[path]


def _with_digest(text: str, files: Mapping[str, str]) -> str:
    """An argument, or an option, that names a file, with its content in place of its name."""
    if text in files:
        return files[text]
    option, equals, value = text.partition("=")
    return f"{option}={files[value]}" if equals and value in files else text


class _Writing:
    """Turns a report that cannot be written into an error with a remedy."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise TalkingHeadsError("The batch's report must be writable", f"{self._path} ({error.strerror})",
                                    "Free some space, or choose another place with --report") from error
