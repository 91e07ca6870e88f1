"""The one place where JSON is read: with bounds, and with one error for everything that Python's parser may raise.

What is refused beside broken JSON: more bytes, deeper nesting or longer whole numbers than any file of ours has, texts that no
encoding can hold, and, unless they are allowed, NaN and infinity.
"""
from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from .errors import FileFormatError

LONGEST = 1 << 26  # bytes of a file
LONGEST_TABLE = 1 << 28  # of one with a row per frame or a clip: five hours of poses
DEEPEST = 64       # lists and objects within each other
DIGITS = 20        # of a whole number: every 64-bit seed has fewer
_AGAIN = "It may be truncated or of another kind: copy or make it again"
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_file(path: str | os.PathLike, *, finite: bool = True, longest: int = LONGEST, do: str = _AGAIN) -> Any:
    """The JSON value in a file: UTF-8 with or without a byte-order mark, or UTF-16 or 32, as editors save it.

    Args:
        path: the file.
        finite: refuse NaN, infinity, and numbers that overflow to it.
        longest: most bytes that are read.
        do: the way out, for errors.
    Raises:
        FileFormatError: absent, unreadable, longer than `longest`, or no JSON within the bounds of this module.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(longest + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileFormatError(f"{path.name} must be a readable file", f"{path} is not ({error})", do) from error
    return parse_json(content, path, finite=finite, longest=longest, do=do)


def read_json_object(path: str | os.PathLike, *, absent: Mapping[str, Any] | None = None, longest: int = LONGEST,
                     do: str = _AGAIN) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        absent: what to return when there is no such file; None: an error.
        longest, do: as in `read_json_file`.
    Raises:
        FileFormatError: as in `read_json_file`, or another JSON value.
    """
    if absent is not None and not Path(path).is_file():
        return dict(absent)
    return json_object(read_json_file(path, longest=longest, do=do), path, do)


def parse_json(content: bytes | str, name: str | os.PathLike, *, finite: bool = True, longest: int = LONGEST,
               do: str = _AGAIN) -> Any:
    """The JSON value in some text.

    Args:
        content: the text, or its bytes in UTF-8 (a byte-order mark is passed over), UTF-16 or UTF-32.
        name: what it is of, for errors.
        finite, longest, do: as in `read_json_file`.
    Raises:
        FileFormatError: no JSON within the bounds of this module.
    """
    if len(content) > longest:
        raise FileFormatError(f"{_base(name)} must hold at most {longest} bytes of JSON", f"{name} is longer", do)
    try:
        text = content.decode(json.detect_encoding(content)) if isinstance(content, bytes) else content
        if _depth(text) > DEEPEST:
            raise ValueError(f"lists or objects more than {DEEPEST} deep")
        value = json.loads(text, parse_int=_whole, parse_float=_finite if finite else float,
                           parse_constant=_no_constant if finite else None)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be printed or stored
    except (ValueError, RecursionError, OverflowError) as error:  # ValueError: JSONDecodeError and UnicodeError too
        raise FileFormatError(f"{_base(name)} must be readable JSON", f"{name} is not ({error})", do) from error
    return value


def parse_json_object(content: bytes | str, name: str | os.PathLike, *, do: str = _AGAIN) -> dict[str, Any]:
    """As `parse_json`, of an object.

    Raises:
        FileFormatError: another JSON value too.
    """
    return json_object(parse_json(content, name, do=do), name, do)


def json_object(value: object, name: str | os.PathLike, do: str = _AGAIN) -> dict[str, Any]:
    """`value`, which must be an object.

    Raises:
        FileFormatError: it is something else.
    """
    if not isinstance(value, dict):
        raise FileFormatError(f"{_base(name)} must hold a JSON object", f"{name} holds a {type(value).__name__}", do)
    return value


def as_json(value: Any) -> Any:
    """`value` after a round trip through JSON: tuples are lists, keys are strings."""
    return json.loads(json.dumps(value))


def _base(name: str | os.PathLike) -> str:
    return name.name if isinstance(name, Path) else str(name)


def _depth(text: str) -> int:
    """How many lists and objects stand within each other at most; reading stops one beyond the bound."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0
    depth = deepest = 0
    for found in _STRUCTURE.finditer(text):
        sign = found.group()[0]
        if sign != '"':
            depth += 1 if sign in "[{" else -1
            deepest = max(deepest, depth)
            if deepest > DEEPEST:
                break
    return deepest


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no finite number")
