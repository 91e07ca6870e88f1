"""Kills, played within one process: at its n-th change of the file system a job stops, and nothing it does afterwards counts."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEAD = 2_000_000_000  # a number that no process has
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_watchers: list[Callable[[str, tuple], None]] = []


class Killed(BaseException):
    """The process is no more."""


def _hook(event: str, arguments: tuple) -> None:
    for watcher in _watchers:
        watcher(event, arguments)


sys.addaudithook(_hook)  # cannot be taken back: it is added once and asks who watches


@contextmanager
def killed_at(folder: Path, event: int) -> Iterator[list[str]]:
    """Stops the block at the `event`-th change (from 1) below `folder`; yields the list of changes, which is complete where the
    block is not stopped. Clean-up that follows the stop changes nothing, as after a real kill."""
    below, seen = os.path.realpath(folder) + os.sep, []

    def watch(name: str, arguments: tuple) -> None:
        path = arguments[0] if arguments else None
        changes = name in _CHANGES or name == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
        if not changes or not isinstance(path, (str, os.PathLike)) or not os.path.abspath(path).startswith(below):
            return
        seen.append(f"{name} {os.path.relpath(path, folder)}")
        if len(seen) >= event:
            raise Killed

    _watchers.append(watch)
    try:
        yield seen
    except Killed:
        pass
    finally:
        _watchers.remove(watch)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_kills(make: Callable[[Path], object], base: Path, monkeypatch, first: int = 8, further: int = 3) -> None:
    """Kills `make(folder)` at each of its first changes and at a few of the later ones; the same call must then end as one that
    was never stopped, with nothing left over."""
    (base / "whole").mkdir(parents=True)
    with killed_at(base / "whole", sys.maxsize) as changes:
        make(base / "whole" / "set")
    wanted, count = contents(base / "whole"), len(changes)
    assert wanted and not [name for name in wanted if ".part" in name or name.endswith(".lock")]
    later = [first + (count - first) * (i + 1) // (further + 1) for i in range(further)]
    for event in (*range(1, first + 1), *later):
        place = base / str(event)
        place.mkdir()
        with monkeypatch.context() as patch, killed_at(place, event) as seen:
            patch.setattr(os, "getpid", lambda: DEAD)
            make(place / "set")
        assert len(seen) >= event, "it was killed"
        make(place / "set")
        assert contents(place) == wanted, seen[event - 1]
