"""MATLAB files before scipy reads them: it believes what a tag says of its numbers' kind; one of no kind ends the interpreter.

The layout of level 5 (MathWorks, "MAT-File Format", chapter 1): a header of 128 bytes, then elements, each with a tag of kind and
size, a variable being one that holds its flags, sides, name and numbers as elements of their own, often compressed as a whole.
"""
from __future__ import annotations

import struct
import zlib
from collections.abc import Collection

_HEADER = 128
_NUMBERS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # kind of numbers -> bytes of one
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_NUMERIC = range(6, 16)  # classes of arrays: double, single, and whole numbers of 8 to 64 bits
_COMPLEX = 0x800
_HEAD = 1 << 16  # bytes of a variable that hold everything in front of its numbers


def check_numeric(content: bytes, names: Collection[str]) -> None:
    """Looks at the variables `names` of a file of level 5; files of other levels are left to scipy.

    Raises:
        ValueError: one of them is no array of numbers, or breaks off.
    """
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:_HEADER]))
    at = _HEADER
    while order and at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        head = bytes(content[at + 8:at + 8 + min(size, _HEAD)])
        at += 8 + size
        if kind == _COMPRESSED:
            whole = zlib.decompressobj().decompress(head, _HEAD)
            kind, head = struct.unpack_from(f"{order}I", whole)[0] if len(whole) >= 8 else 0, whole[8:]
        if kind == _MATRIX:
            _check_variable(head, order, names)


def _check_variable(head: bytes, order: str, names: Collection[str]) -> None:
    try:
        _, start, _, at = _element(head, 0, order)
        (flags,) = struct.unpack_from(f"{order}I", head, start)
        _, _, _, at = _element(head, at, order)  # its sides
        _, start, size, at = _element(head, at, order)
        name = head[start:start + size].decode("latin-1")
        if name not in names:
            return
        kind, _, size, _ = _element(head, at, order)
    except struct.error as error:
        raise ValueError("a variable breaks off") from error
    if flags & 0xFF not in _NUMERIC or flags & _COMPLEX or kind not in _NUMBERS or size % _NUMBERS[kind]:
        raise ValueError(f"'{name}' is no array of real numbers")


def _element(head: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """(kind, where its bytes begin, how many they are, where the next one begins)."""
    (word,) = struct.unpack_from(f"{order}I", head, at)
    if word >> 16:  # up to four bytes lie in the tag itself
        return word & 0xFFFF, at + 4, word >> 16, at + 8
    (size,) = struct.unpack_from(f"{order}I", head, at + 4)
    return word, at + 8, size, at + 8 + -(-size // 8) * 8
