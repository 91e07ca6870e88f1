"""Results of core nodes: whole or absent, and never one in another's place, where ComfyUI itself may leave half a file."""
from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary name that becomes `path` when the block ends well and is removed when it does not.

    Raises:
        TalkingHeadsError: the folder is full or cannot be written.
    """
    from ...media_core.files import atomic_path

    with _room_for(path), atomic_path(path) as temporary:
        yield str(temporary)


def numbered_file(folder: str, name_of: Callable[[int], str], first: int, write: Callable[[str], object], *,
                  tidy: bool = True) -> tuple[str, int]:
    """Writes a file of `folder` under the first free number from `first` on; returns its name and number.

    Args:
        name_of: the file's name by its number.
        write: writes it at the path it is given.
        tidy: first remove what killed runs have left in the folder; once is enough for a batch.
    Raises:
        TalkingHeadsError: the folder is full or cannot be written; the name is too long, which is checked before any work.
    """
    from ...media_core.numbered import save_numbered
    from ...media_core.paths import check_length

    def path_of(number: int) -> str:
        return os.path.join(folder, name_of(number))

    check_length(folder, name_of(first))
    with _room_for(path_of(first)):
        path, number = save_numbered(path_of, first, lambda temporary: write(str(temporary)), tidy=tidy)
        return path.name, number


@contextmanager
def _room_for(path: str) -> Iterator[None]:
    """Tells what to do when the file cannot be written."""
    from ...media_core.errors import TalkingHeadsError

    try:
        yield
    except OSError as error:  # FFmpeg's report of a full disk is one too
        too_long = error.errno == errno.ENAMETOOLONG  # some file systems allow less than 255
        raise TalkingHeadsError("The output folder must have room and be writable", f"writing {path} failed ({error.strerror})",
                                "Choose a shorter name" if too_long else "Free some space, or choose another folder") from error
