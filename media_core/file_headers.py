"""What a safetensors file says that it is, from its header alone; imports nothing heavy, since menus read it."""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import FileFormatError
from .json_files import parse_json_object

_LONGEST = 1 << 20  # bytes of a header that are read


def header(path: str | os.PathLike) -> Mapping[str, Any]:
    """The header of a safetensors file; empty where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return parse_json_object(file.read(min(length, _LONGEST)), path)
    except (OSError, FileFormatError):
        return {}


def stored_kind(path: str | os.PathLike) -> str | None:
    """The kind of a file of this pack (see files.py); None when it says nothing."""
    about = header(path).get("__metadata__")
    kind = about.get("talking_heads.kind") if isinstance(about, dict) else None
    return kind if isinstance(kind, str) else None


def is_ave(path: str | os.PathLike) -> bool:
    """Whether a file holds weights of the audio-visual encoder (speech/ave.py), to judge by a tensor's name."""
    return not {"0.conv_block.0.weight", "audio_encoder.0.conv_block.0.weight"}.isdisjoint(header(path))
