"""Numbers, texts, lists and arrays out of pickles of others, without running them.

Python's own reader calls whatever a pickle names. This one knows no call: `pickletools` takes the bytes apart, and a small stack
machine puts together plain values and NumPy arrays of numbers. Whatever else a pickle makes stands there as `Unread`.
"""
from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import FileFormatError

MOST = 1 << 20  # opcodes
_UNREADABLE = (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error, UnicodeError, OverflowError, EOFError)
_LITERALS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8"}
_FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_ARRAYS = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFERS = ("numpy.core.numeric", "numpy._core.numeric")


class _Mark:
    """Where a group on the stack begins."""


@dataclass
class _Named:
    """What a pickle would import."""

    module: str
    name: str


@dataclass
class Unread:
    """Something that is not plain; nothing was made of it."""

    name: str


@dataclass
class _Kind:
    """A number format; little-endian, until the pickle says otherwise."""

    text: str
    order: str = "<"

    def numpy(self) -> np.dtype:
        kind = np.dtype(self.text)
        if kind.kind not in "fiub":
            raise ValueError(f"numbers of kind {self.text}")
        return kind.newbyteorder(">" if self.order == ">" else "<")


@dataclass
class _Array:
    """An array that its state has yet to fill."""

    value: Any = None

    def fill(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns, data = state
        if kind.text == "O8" and isinstance(data, list):
            self.value = data[0] if shape == () else data
            return
        self.value = _numbers(data, kind, shape, "F" if columns else "C")


def plain_pickle(blob: bytes, name: str) -> Any:
    """The value in a pickle.

    Args:
        blob: the pickle. name: of it, for errors.
    Raises:
        FileFormatError: it is truncated or garbled, or has more than 2^20 parts.
    """
    try:
        return _resolved(_Machine().run(blob))
    except _UNREADABLE as error:
        raise FileFormatError("A pickle of plain values and arrays must be whole", f"{name} is not ({error})",
                              "It may be truncated, or something else: copy it again") from error


class _Machine:
    """The stack of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, blob: bytes) -> Any:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(blob))):
            if number > MOST:
                raise ValueError(f"more than {MOST} parts")
            if opcode.name == "STOP":
                return self.stack.pop()
            self._take(opcode.name, argument)
        raise ValueError("it has no end")

    def _take(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _FIXED:
            stack.append(_FIXED[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            stack.append(_Mark)
        elif name not in ("PROTO", "FRAME"):
            getattr(self, f"_{name.lower()}")(argument) if hasattr(self, f"_{name.lower()}") else self._unknown(name)

    def _unknown(self, name: str) -> None:
        raise ValueError(f"a part '{name}', which plain values do not need")

    def _group(self) -> list[Any]:
        """What stands behind the last mark."""
        at = max(i for i, value in enumerate(self.stack) if value is _Mark)
        found = self.stack[at + 1:]
        del self.stack[at:]
        return found

    def _pop(self, argument: Any) -> None:
        self.stack.pop()

    def _tuple(self, argument: Any) -> None:
        self.stack.append(tuple(self._group()))

    def _list(self, argument: Any) -> None:
        self.stack.append(self._group())

    def _frozenset(self, argument: Any) -> None:
        self._list(argument)

    def _dict(self, argument: Any) -> None:
        self.stack.append({})
        self._put(self._group_before())

    def _group_before(self) -> list[Any]:
        made = self.stack.pop()
        found = self._group()
        self.stack.append(made)
        return found

    def _tuple1(self, argument: Any) -> None:
        self._last(1)

    def _tuple2(self, argument: Any) -> None:
        self._last(2)

    def _tuple3(self, argument: Any) -> None:
        self._last(3)

    def _last(self, count: int) -> None:
        found = tuple(self.stack[-count:])
        if len(found) < count:
            raise ValueError("an empty stack")
        self.stack[-count:] = [found]

    def _append(self, argument: Any) -> None:
        value = self.stack.pop()
        self._add([value])

    def _appends(self, argument: Any) -> None:
        self._add(self._group())

    def _additems(self, argument: Any) -> None:
        self._add(self._group())

    def _add(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _setitem(self, argument: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key, value])

    def _setitems(self, argument: Any) -> None:
        self._put(self._group())

    def _put(self, pairs: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update({key: value for key, value in zip(pairs[::2], pairs[1::2]) if isinstance(key, Hashable)})

    def _global(self, argument: str) -> None:
        self.stack.append(_Named(*argument.split(" ", 1)))

    def _stack_global(self, argument: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_Named(str(module), str(name)))

    def _reduce(self, argument: Any) -> None:
        given, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(called, given))

    def _newobj(self, argument: Any) -> None:
        self._reduce(argument)

    def _build(self, argument: Any) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, _Array):
            made.fill(state)
        elif isinstance(made, _Kind):
            made.order = state[1]


def _made(called: Any, given: Any) -> Any:
    """What a call would give, where it is one of the few that arrays and numbers need."""
    if not isinstance(called, _Named):
        return Unread(type(called).__name__)
    module, name = called.module, called.name
    if module in _ARRAYS and name == "_reconstruct":
        return _Array()
    if module in _ARRAYS and name == "scalar":
        return _numbers(given[1], given[0], (), "C")[()]
    if module in _BUFFERS and name == "_frombuffer":
        return _numbers(given[0], given[1], given[2], given[3])
    if (module, name) == ("numpy", "dtype"):
        return _Kind(str(given[0]))
    if (module, name) == ("_codecs", "encode"):
        return given[0].encode("latin1")
    if (module, name) in (("__builtin__", "bytes"), ("builtins", "bytes")) and given == ():
        return b""
    return {} if (module, name) == ("collections", "OrderedDict") else Unread(f"{module}.{name}")


def _numbers(data: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    """An array of its own over the bytes."""
    if not isinstance(kind, _Kind) or not isinstance(data, (bytes, bytearray)) or order not in ("C", "F"):
        raise ValueError("an array that is none")
    return np.frombuffer(bytes(data), kind.numpy()).reshape(shape, order="F" if order == "F" else "C").astype(
        kind.numpy().newbyteorder("="))


def _resolved(value: Any, depth: int = 0, known: dict[int, Any] | None = None) -> Any:
    """Arrays in place of what waited for their state; what stands in several places is made once."""
    if depth > 50:
        raise ValueError("values within values within values")
    known = {} if known is None else known
    if isinstance(value, (_Array, dict, list, tuple)):
        if id(value) not in known:
            known[id(value)] = _opened(value, depth + 1, known)
        return known[id(value)]
    return Unread(f"{value.module}.{value.name}") if isinstance(value, _Named) else value


def _opened(value: Any, depth: int, known: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        return _resolved(value.value, depth, known)
    if isinstance(value, dict):
        return {key: _resolved(one, depth, known) for key, one in value.items()}
    return type(value)(_resolved(one, depth, known) for one in value)
