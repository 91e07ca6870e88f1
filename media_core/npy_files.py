"""Arrays from .npy files: never a pickle, and never more memory than the file's own size."""
from __future__ import annotations

import math
import os
import struct
import tokenize
from pathlib import Path

import numpy as np

from .errors import FileFormatError

# What numpy raises over foreign bytes: its header is Python source, which the interpreter's own parser reads.
UNREADABLE = (OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, OverflowError,
              tokenize.TokenError, struct.error)


def load_npy(path: str | os.PathLike, must: str, do: str) -> np.ndarray:
    """The array in a .npy file.

    Args:
        path: the file.
        must: what it has to be ("A teeth mask must be a readable .npy file"); do: the way out; for errors.
    Raises:
        FileFormatError: absent, truncated, another format, or objects (pickles) in it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_size(file)
            file.seek(0)
            return np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise FileFormatError(must, f"{path} is not ({type(error).__name__}: {error})", do) from error


def _check_size(file) -> None:
    """Raises:
        ValueError: the header speaks of another number of bytes than follow it, or of objects.
    """
    version = np.lib.format.read_magic(file)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if reader is None:
        raise ValueError(f"version {version} of the format is not read")
    shape, _, kind = reader(file)
    if kind.hasobject:
        raise ValueError("it holds Python objects")
    rest = os.fstat(file.fileno()).st_size - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > rest:
        raise ValueError(f"an array {list(shape)} of {kind} does not fit into {rest} bytes")
