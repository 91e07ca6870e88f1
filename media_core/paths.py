"""What a user typed, as a path that cannot leave its folder; which names are none of a user's files."""
from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import TalkingHeadsError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes
_LONGEST_STEM = 220  # bytes; leaves room for "_landmarks.training.safetensors"
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}


def contained(folder: str | os.PathLike, name: str, *, links_may_leave: bool = False) -> Path:
    """`name` below `folder`, links resolved on both sides; `folder` itself for an empty name or ".".

    Args:
        folder: where the file or folder has to lie.
        name: relative path with / or \\, as a user or a workflow file gives it. It need not exist.
        links_may_leave: for folders the user fills (models on another disk): only the name itself must not lead out.

    Raises:
        TalkingHeadsError: the name is absolute, holds a NUL, leads out of `folder` (by "..", by a drive, by a link), is longer
            than file systems allow, or holds half a character (a lone surrogate).
    """
    resolved = os.path.abspath if links_may_leave else os.path.realpath
    base = Path(resolved(folder))
    parts = name.replace("\\", "/")
    if "\0" in parts or parts.startswith("/") or re.match(r"[A-Za-z]:", parts):
        raise _outside(base, name)
    check_length(base, parts)
    target = Path(resolved(base / parts))
    if target != base and base not in target.parents:
        raise _outside(base, name)
    return target


def file_stem(name: str) -> str:
    """`name` when it serves as a file's name without its ending on every system.

    Raises:
        TalkingHeadsError: empty, over 100 characters or 220 bytes, a leading or trailing dot or blank, a character files cannot
            carry, or a device's name.
    """
    bad = re.search(r'[\\/:*?"<>|\x00-\x1f]', name)
    if not 1 <= len(name) <= 100 or bad or name != name.strip(" .") or name.lower().split(".")[0] in _DEVICE_NAMES:
        raise TalkingHeadsError("The name must be 1 to 100 characters that a file name may hold", repr(name[:120]),
                                "Use letters, digits, - and _, without folders")
    if (size := _bytes(name)) > _LONGEST_STEM:
        raise TalkingHeadsError(f"The name must take at most {_LONGEST_STEM} bytes", f"{size}, beginning {name[:40]!r}",
                                "Choose a shorter name; a letter beyond a-z takes 2 to 4")
    return name


def is_temporary(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or still being written: never something to offer to a user."""
    return name.startswith(".") or ".part." in name or name.endswith(".part")


def check_length(folder: str | os.PathLike, path: str) -> None:
    """Looks at a path below `folder`, with / between its parts.

    Raises:
        TalkingHeadsError: a part of the path, or all of it, is longer than file systems allow; or it has no form in UTF-8.
    """
    longest = max(path.split("/"), key=_bytes)
    if _bytes(longest) > _LONGEST_NAME or len(os.fsencode(folder)) + _bytes(path) + 1 > _LONGEST_PATH:
        raise TalkingHeadsError(f"A name must take at most {_LONGEST_NAME} bytes, a whole path {_LONGEST_PATH}",
                                f"a name of {_bytes(longest)} in a path of {_bytes(path)}: it begins {longest[:40]!r}",
                                "Choose shorter names; a letter beyond a-z takes 2 to 4")


def _bytes(name: str) -> int:
    """How many bytes the name takes.

    Raises:
        TalkingHeadsError: it holds half a character, which no file name can.
    """
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError as error:
        raise TalkingHeadsError("A name must be whole characters", f"{name[:60]!r}",
                                "Type it anew; it may come from a damaged workflow") from error


def _outside(base: Path, name: str) -> TalkingHeadsError:
    return TalkingHeadsError(f"The path must lie inside the folder '{base.name}'", repr(name),
                             "Give a path relative to that folder, without '..' and without links that lead out")
