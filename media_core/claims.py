"""One writer at a time: two runs that write the same file or folder would overwrite each other's work, so the second is refused.

The claim is a lock of the operating system on a hidden file beside what is written. The system gives it back when the process
ends, however it ends: a killed run leaves a small file that stops nobody.
"""
from __future__ import annotations

import errno
import functools
import inspect
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from .errors import TalkingHeadsError
from .paths import name_size
from .temporary import shortened

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
_mine: ContextVar[frozenset[str]] = ContextVar("claims of this thread", default=frozenset())
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EDEADLK)  # what the system answers where another has the lock
_TRIES = 10  # to open a file in a folder that others remove
_FAR = 1 << 30  # the byte that is locked on Windows, behind the text, which stays readable
_ENDING = ".lock"
_ALWAYS_FITS = 80  # of a name, as `name_size` counts: every file system takes them


class Group(Protocol):
    """Processes that work on one job."""

    @property
    def main(self) -> bool: ...

    def any(self, said: bool) -> bool: ...


@contextmanager
def claim(target: str | os.PathLike) -> Iterator[None]:
    """Nobody else writes the file or folder `target` during the block. Within it the same thread may claim it again.

    Where no lock can be had (a folder that cannot be written, a file system without locks) the block runs without one: what it
    then writes fails in its own words, or works as it always did.

    Raises:
        TalkingHeadsError: somebody else has it.
    """
    key = os.path.realpath(target)
    if key in _mine.get():
        yield
        return
    path = lock_path(Path(key))
    absent: set[Path] = set()
    descriptor = _locked(path, absent)
    _mine.set(_mine.get() | {key})
    try:
        yield
    finally:
        _mine.set(_mine.get() - {key})
        if descriptor is not None:
            _release(descriptor, path)
        for folder in sorted(absent, reverse=True):  # those that were made for the lock alone go again; the others are not empty
            with suppress(OSError):
                folder.rmdir()


def claimed(argument: str, group: str | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function that claims the file or folder its argument `argument` names for as long as it runs.

    Args:
        group: name of the argument with the processes that do this together (see `Group`): the main one claims for all of them.
    """
    def around(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs).arguments
            with _for_all(given[argument], given.get(group) if group else None):
                return function(*args, **kwargs)
        return run
    return around


@contextmanager
def _for_all(target: str | os.PathLike, group: Group | None) -> Iterator[None]:
    """`claim` by the main process; when it is refused, every process is."""
    if group is None:
        with claim(target):
            yield
        return
    refused = None
    with ExitStack() as held:
        if group.main:
            try:
                held.enter_context(claim(target))
            except TalkingHeadsError as error:
                refused = error
        if group.any(refused is not None):
            raise refused or _taken(Path(target), "")
        yield


def lock_path(target: Path) -> Path:
    """The hidden file beside `target` that is locked."""
    room = max(name_size(target.name), _ALWAYS_FITS) - 1 - len(_ENDING)
    return target.with_name(f".{shortened(target.name, room)}{_ENDING}")


def _locked(path: Path, absent: set[Path]) -> int | None:
    """The file, open and locked; None where that cannot be.

    Args:
        absent: takes up the folders that had to be made for it.
    Raises:
        TalkingHeadsError: another process or thread has locked it.
    """
    while True:
        try:
            descriptor = _opened(path, absent)
        except OSError as reason:
            log.info("Written without a lock against a second run: %s", reason)
            return None
        try:
            _lock(descriptor)
        except OSError as reason:
            holder = b""
            try:
                with suppress(OSError):  # the text only helps people
                    holder = os.read(descriptor, 200)
            finally:
                os.close(descriptor)
            if _held(reason):
                raise _taken(path, holder.decode("utf8", "replace")) from reason
            log.info("Written without a lock against a second run: %s", reason)
            return None
        if _still_there(descriptor, path):
            with suppress(OSError):  # a full disk: the text only helps people
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
            return descriptor
        os.close(descriptor)  # its last holder removed it meanwhile


def _opened(path: Path, absent: set[Path]) -> int:
    """The file, made when absent, and its folder too: a run that has failed may remove the folder it had made just before we open
    the file in it. Then the folder is made again."""
    for left in reversed(range(_TRIES)):
        absent.update(folder for folder in path.parents if not os.path.exists(folder))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _held(reason: OSError) -> bool:
    """Whether another has the lock. EACCES says so on Windows; elsewhere it comes from a server that grants no locks."""
    return reason.errno in _HELD or sys.platform == "win32" and reason.errno == errno.EACCES


def _lock(descriptor: int) -> None:
    """Locks an open file without waiting.

    Raises:
        OSError: another has it, or the file system knows no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _still_there(descriptor: int, path: Path) -> bool:
    """Whether the file that was locked is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _release(descriptor: int, path: Path) -> None:
    """Removes the file while it is locked, so that nobody locks one that is on its way out; Windows removes closed files only."""
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                os.unlink(path)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":
        with suppress(OSError):
            os.unlink(path)


def _taken(path: Path, holder: str) -> TalkingHeadsError:
    name = path.name.removeprefix(".").removesuffix(_ENDING)
    return TalkingHeadsError(f"Only one run at a time can write {name}",
                             f"{holder or 'another run'} is writing it",
                             "Wait until it has finished, stop it, or choose another name")
