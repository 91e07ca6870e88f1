"""Results that are numbered, name_00001 and so on: whole or absent, and never one in another's place."""
from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .temporary import part_name, remove_leftovers

# Of a link: what a plain file would meet as well. Anything else may come from a disk without links.
_FINAL = (errno.ENAMETOOLONG, errno.ENOSPC, errno.EACCES, errno.EROFS)


def save_numbered(path_of: Callable[[int], str | os.PathLike], first: int, write: Callable[[Path], object], *,
                  tidy: bool = True) -> tuple[Path, int]:
    """Writes a file under the first number from `first` on that nobody has taken by the time it is whole: however many do so at
    once, each keeps its own. Returns the file and its number.

    Args:
        path_of: the file of a number; all in one folder, which is made when absent.
        write: writes the file at the path it is given, a hidden one in that folder with the same ending; when it fails nothing
            is left.
        tidy: first look through the folder for what killed processes have left; once is enough for a batch.
    Raises:
        OSError: as the file system reports it.
    """
    wanted = Path(path_of(first))
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if tidy:
        remove_leftovers(wanted.parent)
    spare = wanted.with_name(part_name(wanted.name))
    os.close(os.open(spare, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the user's umask decides who reads it
    try:
        write(spare)
        number = first
        while not give_name(spare, Path(path_of(number))):
            number += 1
        return Path(path_of(number)), number
    finally:
        with suppress(OSError):  # a virus scanner may hold it (Windows): the result is saved, and a later run removes this one
            spare.unlink(missing_ok=True)


def give_name(source: Path, target: Path) -> bool:
    """Gives the file that name unless there is one already, which it says: False. `source` may stay, under its own name too."""
    try:
        if sys.platform == "win32":
            os.rename(source, target)  # replaces nothing there
        else:
            os.link(source, target)
    except FileExistsError:
        return False
    except OSError as reason:
        if sys.platform == "win32" or reason.errno in _FINAL:
            raise
        return _claimed(source, target)  # a disk without links
    return True


def _claimed(source: Path, target: Path) -> bool:
    """The same: first the name is taken, by an empty file, then the file put there. A kill in between leaves the empty one."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    try:
        os.replace(source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return True
