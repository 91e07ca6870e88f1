"""Temporary names that identify the process that made them, so that leftovers of killed processes can be found and removed.

A name carries a mark, `<place>-<process number>-<random>`. The place stands for the machine and, on Linux, its last start and the
container: a number counts within one place only. (On Windows and macOS, where a start does not count, a number that is given
again may let a leftover stay for a while.) There, what belongs to a process that no longer runs is removed; what comes from
another place, or from an older version that set no mark, is removed once nobody has written to it for long: a file for a day, a
folder, which a job may use for days without writing, for a week.
"""
from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from .paths import name_size

_DAY, _WEEK = 86400.0, 7 * 86400.0  # s
_ALWAYS_FITS = 80  # of a name, as `name_size` counts: every file system takes them
_LONGEST_ENDING = 16  # of the same; a longer one is no file type
_MARK = r"(?P<place>[0-9a-f]{8})-(?P<process>\d{1,10})-[0-9a-f]{6}"
_PART = re.compile(rf"\..*\.(?:{_MARK}|[0-9a-f]{{12}})\.part(?:\.[^.]*)?", re.DOTALL)  # without a mark: of an older version
_WINDOWS_SYNCHRONIZE, _WINDOWS_TIMEOUT = 0x00100000, 0x102  # of OpenProcess and WaitForSingleObject


def part_name(name: str) -> str:
    """A new temporary name for a file called `name`: hidden, with the same ending, and no longer than the file system allows."""
    stem, ending = os.path.splitext(name)
    ending = ending if name_size(ending) <= _LONGEST_ENDING else ""
    tail = f".{_new_mark()}.part{ending}"
    return "." + shortened(stem, max(name_size(name), _ALWAYS_FITS) - 1 - name_size(tail)) + tail


def shortened(text: str, size: int) -> str:
    """The beginning of a name that takes at most `size` of what `name_size` counts; no letter is cut in two."""
    text = text[:size]
    while name_size(text) > size:
        text = text[:-1]
    return text


def remove_leftovers(folder: str | os.PathLike, *, below: bool = False) -> None:
    """Removes temporary files of killed processes from `folder`; with `below` also from the folders in it.

    What cannot be removed (it belongs to somebody else, the disk is read-only) stays.
    """
    for place, folders, files in os.walk(folder):
        if not below:
            folders.clear()
        for name in files:
            found = _PART.fullmatch(name)
            if found and _left_behind(Path(place, name), found["place"], found["process"], _DAY):
                with suppress(OSError):
                    os.unlink(os.path.join(place, name))


@contextmanager
def temporary_folder(prefix: str) -> Iterator[str]:
    """A folder for the time of the block, among the system's temporary files; those of killed processes are removed first.

    Args:
        prefix: what its name begins with, such as "talking_heads_".
    """
    named = re.compile(re.escape(prefix) + rf"(?:{_MARK}_)?[a-z0-9_]{{8}}")
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        found = named.fullmatch(path.name)
        if found and path.is_dir() and _left_behind(path, found["place"], found["process"], _WEEK):
            shutil.rmtree(path, ignore_errors=True)  # another user's stay
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{_new_mark()}_") as folder:
        yield folder


def _new_mark() -> str:
    return f"{place_of_processes()}-{os.getpid()}-{secrets.token_hex(3)}"


@lru_cache(maxsize=1)
def place_of_processes() -> str:
    """Where this process's number counts, as eight letters."""
    facts = [platform.node()]
    with suppress(OSError):  # Linux alone has them; elsewhere a machine numbers its processes once
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("\n".join(facts).encode("utf8", "replace")).hexdigest()[:8]


def _left_behind(path: Path, place: str | None, process: str | None, after: float) -> bool:
    """Whether nobody uses it any more: its process has ended or, where that cannot be asked, it is older than `after` s."""
    if place == place_of_processes():
        return not runs(int(process or 0))
    with suppress(OSError):
        times = [path.stat().st_mtime, *(one.stat().st_mtime for one in (path.rglob("*") if path.is_dir() else ()))]
        return time.time() - max(times) > after
    return False


def runs(process: int) -> bool:
    """Whether a process of this number runs here. One that was killed and not yet collected does not."""
    if sys.platform == "win32":
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)  # signal 0 only asks
    except PermissionError:  # there, and somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    with suppress(OSError):  # Linux alone has it
        return Path(f"/proc/{process}/stat").read_text("utf8", "replace").rpartition(")")[2].split()[:1] != ["Z"]
    return True


def _runs_on_windows(process: int) -> bool:
    """There os.kill would end the process."""
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]  # in the stubs on Windows only
    handle = kernel.OpenProcess(_WINDOWS_SYNCHRONIZE, False, process)
    if not handle:
        return ctypes.get_last_error() == 5  # type: ignore[attr-defined]  # (likewise) access denied: it runs, as somebody else's
    try:
        return kernel.WaitForSingleObject(handle, 0) == _WINDOWS_TIMEOUT
    finally:
        kernel.CloseHandle(handle)
