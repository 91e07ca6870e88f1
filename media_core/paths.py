"""What a user typed, as a path that cannot leave its folder."""
from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import TalkingHeadsError

_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}


def contained(folder: str | os.PathLike, name: str, *, links_may_leave: bool = False) -> Path:
    """`name` below `folder`, links resolved on both sides; `folder` itself for an empty name or ".".

    Args:
        folder: where the file or folder has to lie.
        name: relative path with / or \\, as a user or a workflow file gives it. It need not exist.
        links_may_leave: for folders the user fills (models on another disk): only the name itself must not lead out.

    Raises:
        TalkingHeadsError: the name is absolute, holds a NUL, or leads out of `folder` (by "..", by a drive, by a link).
    """
    resolved = os.path.abspath if links_may_leave else os.path.realpath
    base = Path(resolved(folder))
    parts = name.replace("\\", "/")
    if "\0" in parts or parts.startswith("/") or re.match(r"[A-Za-z]:", parts):
        raise _outside(base, name)
    target = Path(resolved(base / parts))
    if target != base and base not in target.parents:
        raise _outside(base, name)
    return target


def file_stem(name: str) -> str:
    """`name` when it serves as a file's name without its ending on every system.

    Raises:
        TalkingHeadsError: empty, over 100 characters, a leading or trailing dot or blank, a character files cannot carry, or a
            device's name.
    """
    bad = re.search(r'[\\/:*?"<>|\x00-\x1f]', name)
    if not 1 <= len(name) <= 100 or bad or name != name.strip(" .") or name.lower().split(".")[0] in _DEVICE_NAMES:
        raise TalkingHeadsError("The name must be 1 to 100 characters that a file name may hold", repr(name[:120]),
                                "Use letters, digits, - and _, without folders")
    return name


def _outside(base: Path, name: str) -> TalkingHeadsError:
    return TalkingHeadsError(f"The path must lie inside the folder '{base.name}'", repr(name),
                             "Give a path relative to that folder, without '..' and without links that lead out")
