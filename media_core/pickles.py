"""Checkpoints of other programs: pickles, read with torch's restricted reader, which builds tensors, numbers, texts and
containers, nothing else. Importers alone read them; what they write is safetensors."""
from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from .errors import FileFormatError, TalkingHeadsError

_SAFE_TORCH = (2, 6)


def give_again(called: str, of: str = "MoDiTalker") -> str:
    """What to do about a checkpoint that cannot be read, for messages; `called`: the official file's name; `of`: whose it is."""
    return f"Give {of}'s {called}, whole, or copy it again"


def unpickled(path: Path, called: str, of: str) -> object:
    """What torch's restricted reader finds in a file, on the CPU, memory-mapped where the file allows it.

    Args:
        called: the official file's name; of: whose it is; for messages.
    Raises:
        FileFormatError: absent, truncated, or no pickle of plain tensors.
        TalkingHeadsError: a torch whose reader is not safe.
    """
    if not path.is_file():
        raise FileFormatError("The checkpoint must exist", f"no file at {path}", "Check the name and the folder")
    _check_reader(torch.__version__)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(path):
        raise FileFormatError("The checkpoint must be whole", f"{path.name} breaks off", "Copy or download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # whatever an unpickler meets in foreign bytes: there is no narrower class for it
        first = str(error).strip().partition("\n")[0][:200]
        raise FileFormatError("The checkpoint must be a file of torch.save that holds tensors and plain values only",
                              f"{path.name} cannot be read so ({type(error).__name__}: {first})",
                              f"Give {of}'s {called} itself: not a saved module, and not another format") from error


def _check_reader(version: str) -> None:
    """Before torch 2.6 even the restricted reader could be made to run code that a file holds (CVE-2025-32434).

    Raises:
        TalkingHeadsError: such a torch.
    """
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _SAFE_TORCH:
        raise TalkingHeadsError("Official checkpoints are read with torch 2.6 or newer: an older one may run code that a file "
                                "holds (CVE-2025-32434)", f"torch {version}",
                                "Update torch, or import on another machine: the imported file is safe anywhere")
