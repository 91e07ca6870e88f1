"""A command's options as a unit of work: plain JSON that means the same in another folder or on another machine."""
from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .encoders import JOIN

HERE = ("command", "what", "debug", "workers")  # options that only count where the command is given


def sendable(options: argparse.Namespace, files: Collection[str], without: Collection[str] = ()) -> dict[str, Any]:
    """The options by name.

    Args:
        files: the options that name files or folders, or may do; where there is one it is named from the root on.
        without: options that are left out.
    """
    return {name: _absolute(name, value) if name in files else list(value) if isinstance(value, tuple) else value
            for name, value in vars(options).items() if name not in HERE and name not in without}


def files_in(sent: Mapping[str, Any], files: Collection[str]) -> list[str]:
    """The files and folders that a machine must have for such options."""
    named = [part for name in files if isinstance(value := sent.get(name), str)
             for part in ([value] if name != "encoder" or Path(value).exists() else value.split(JOIN))]
    return [name for name in named if Path(name).exists()]


def _absolute(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = value.split(JOIN) if name == "encoder" and not Path(value).exists() else [value]
    return JOIN.join(str(Path(part).resolve()) if Path(part).exists() else part for part in parts)
