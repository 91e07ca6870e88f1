"""Results that are numbered, name_00001 and so on: whole or absent, and never one in another's place."""
from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Callable

from .files import atomic_path


def save_numbered(path_of: Callable[[int], str | os.PathLike], first: int, write: Callable[[Path], object]) -> tuple[Path, int]:
    """Writes a file under the first number from `first` on that nobody has taken by the time it is whole: however many do so at
    once, each keeps its own. Returns the file and its number.

    Args:
        path_of: the file of a number; all in one folder, which is made when absent.
        write: writes the file at the path it is given, a hidden one in that folder with the same ending; when it fails nothing
            is left.
    Raises:
        OSError: as the file system reports it.
    """
    wanted = Path(path_of(first))
    spare = wanted.with_name(f".{uuid.uuid4().hex[:12]}{wanted.suffix}")
    try:
        with atomic_path(spare) as temporary:
            write(temporary)
        number = first
        while not _moved(spare, Path(path_of(number))):
            number += 1
        return Path(path_of(number)), number
    finally:
        spare.unlink(missing_ok=True)


def _moved(source: Path, target: Path) -> bool:
    """Gives the file that name unless there is one already."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without links
        return _claimed(source, target)
    return True


def _claimed(source: Path, target: Path) -> bool:
    """The same: first the name is taken, by an empty file, then the file put there."""
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
