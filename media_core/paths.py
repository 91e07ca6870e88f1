"""User input as a path that cannot leave its folder; which names do not belong to user files."""
from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from .errors import TalkingHeadsError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # as `name_size` counts
_LONGEST_STEM = _LONGEST_NAME - len("_landmarks.training.safetensors")  # the most that the pack adds to a name
_LONGEST_SAFE = 200  # leaves room for a number and an ending
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
        TalkingHeadsError: empty, over 100 characters or (but on Windows) 224 bytes, a leading or trailing dot or blank, a
            character files cannot carry, or a device's name.
    """
    bad = re.search(r'[\\/:*?"<>|\x00-\x1f]', name)
    if not 1 <= len(name) <= 100 or bad or name != name.strip(" .") or _is_device(name):
        raise TalkingHeadsError("The name must be 1 to 100 characters that a file name may hold", repr(name[:120]),
                                "Use letters, digits, - and _, without folders")
    if (size := _size(name)) > _LONGEST_STEM:
        raise TalkingHeadsError(f"The name must take at most {_LONGEST_STEM} {_units()}", f"{size}, beginning {name[:40]!r}",
                                f"Choose a shorter name{_hint()}")
    return name


def safe_stem(name: str) -> str:
    """The nearest to `name` that serves as the beginning of a file's name on every system, and as a prefix in ComfyUI, which
    replaces words between % signs: what it cannot hold becomes _."""
    safe = re.sub(r'[\\/:*?"<>|%\x00-\x1f\ud800-\udfff]', "_", name).strip(" .")
    while _size(safe) > _LONGEST_SAFE:
        safe = safe[:-1].rstrip(" .")
    return f"_{safe}" if not safe or _is_device(safe) else safe


def _is_device(name: str) -> bool:
    """Whether Windows takes a file of that name for a device, whatever its ending."""
    return name.lower().split(".")[0].rstrip() in _DEVICE_NAMES


def is_temporary(name: str) -> bool:
    """Whether a file or folder of that name is hidden, as everything is that any version of this pack is still writing: never
    something to offer to a user. A dot at the beginning decides alone; ".part." in the middle may be a word of the user's."""
    return name.startswith(".")


def check_length(folder: str | os.PathLike, path: str) -> None:
    """Looks at a path below `folder`, with / between its parts.

    Raises:
        TalkingHeadsError: a part of the path, or all of it, is longer than file systems allow; or it has no form in UTF-8.
    """
    longest = max(path.split("/"), key=_size)
    if _size(longest) > _LONGEST_NAME or _size(os.fspath(folder)) + _size(path) + 1 > _LONGEST_PATH:
        raise TalkingHeadsError(f"A name must take at most {_LONGEST_NAME} {_units()}, a whole path {_LONGEST_PATH}",
                                f"a name of {_size(longest)} in a path of {_size(path)}: it begins {longest[:40]!r}",
                                f"Choose shorter names{_hint()}")


def name_size(name: str) -> int:
    """What a name counts towards the 255 that file systems allow: UTF-16 units on Windows, bytes elsewhere.

    Raises:
        UnicodeEncodeError: it holds half a character, which no file name of ours may.
    """
    return len(name.encode("utf-16-le")) // 2 if sys.platform == "win32" else len(os.fsencode(name))


def _units() -> str:
    return "characters" if sys.platform == "win32" else "bytes"


def _hint() -> str:
    return "" if sys.platform == "win32" else "; a letter beyond a-z takes 2 to 4"


def _size(name: str) -> int:
    """`name_size`.

    Raises:
        TalkingHeadsError: it holds half a character.
    """
    try:
        return name_size(name)
    except UnicodeEncodeError as error:
        raise TalkingHeadsError("A name must be whole characters", f"{name[:60]!r}",
                                "Type it again; it may come from a damaged workflow") from error


def _outside(base: Path, name: str) -> TalkingHeadsError:
    return TalkingHeadsError(f"The path must lie inside the folder '{base.name}'", repr(name),
                             "Give a path relative to that folder, without '..' and without links that lead out")
