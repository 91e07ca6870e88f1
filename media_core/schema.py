"""What a file's description must look like, said once for each kind of file and checked before anything is built. Its tensors:
`tensor_schema.py`.

    SETTINGS = record({"fps": RATE, "image_size": SIZE}, {"cuts": many(whole(0, 10**7))})
    described(config, SETTINGS, path.name, "Track the video again")
    sizes = fitting(tensors, {"points": Numbers(("T", 68, 2), nan=True)}, path.name, "Track the video again")

A check is a function of (value, where it stands) that returns the value or raises `Unfit`. Sizes and counts that a file states
are never believed: every number has an upper bound, and letters in shapes must be equal in all tensors of a file.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from .errors import FileFormatError, ShortName

Check = Callable[[Any, str], Any]
WIDEST = 1 << 16     # of a network: no width, length or count of ours is near it
SIDE = 1 << 14       # px of an image
COUNT = 10 ** 8      # frames, steps, rows
_SHOWN = 60          # characters of a value in an error


class Unfit(ShortName, ValueError):
    """A value does not pass its check."""

    def __init__(self, where: str, must: str, value: object):
        self.where, self.must, self.value = where, must, value
        super().__init__(f"{where} must be {must}, not {shown(value)}")

    def _arguments(self) -> tuple:
        return self.where, self.must, self.value


# checks of values ---------------------------------------------------------------------------------------------------------------

def _check(fits: Callable[[object], bool], must: str) -> Check:
    def checked(value: Any, where: str) -> Any:
        if not fits(value):
            raise Unfit(where, must, value)
        return value

    return checked


def is_whole(value: object) -> TypeGuard[int]:
    """Whether `value` is a whole number: no bool, no 3.0, but any kind of integer (NumPy's too)."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: object) -> TypeGuard[float]:
    """Whether `value` is a real number, NaN and infinity included: no bool, but any kind of number (NumPy's, fractions)."""
    return isinstance(value, Real) and not isinstance(value, bool)


def whole(least: int, most: int) -> Check:
    """A whole number (`is_whole`)."""
    return _check(lambda value: is_whole(value) and least <= value <= most, f"a whole number in {least}..{most}")


def real(least: float, most: float, *, nan: bool = False) -> Check:
    """A number (`is_real`); `nan`: or NaN."""
    def fits(value: object) -> bool:
        return is_real(value) and (least <= value <= most or nan and math.isnan(value))

    return _check(fits, f"a number in {least:g}..{most:g}" + (" or NaN" if nan else ""))


def text(longest: int = 10_000, choices: Sequence[str] = ()) -> Check:
    """A text, or one of `choices`."""
    must = f"one of {', '.join(choices)}" if choices else f"a text of at most {longest} characters"
    return _check(lambda value: isinstance(value, str) and len(value) <= longest and (not choices or value in choices), must)


def flag() -> Check:
    """A boolean."""
    return _check(lambda value: isinstance(value, bool), "true or false")


def plain_name() -> Check:
    """The name of a file beside the one that names it: no folders, no drive, nothing hidden, and short."""
    return _check(is_plain_name, "a file's name without folders")


def note() -> Check:
    """Any object: its content is only stored or shown."""
    return _check(lambda value: isinstance(value, Mapping), "an object")


def optional(check: Check) -> Check:
    """That, or null."""
    return lambda value, where: None if value is None else check(value, where)


def many(check: Check, *, count: int | None = None, most: int = COUNT) -> Check:
    """A list of `count`, or at most `most`, of them."""
    def checked(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) > most or count not in (None, len(value)):
            raise Unfit(where, f"a list of {count if count is not None else f'at most {most}'}", value)
        for number, item in enumerate(value):
            check(item, f"{where}[{number}]")
        return value

    return checked


def each(check: Check, key: Check | None = None) -> Check:
    """An object whose values are all such, and its names too where `key` is given."""
    def checked(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit(where, "an object", value)
        for name, item in value.items():
            if key is not None:
                key(name, f"a name in {where}")
            check(item, f"{where}.{name}")
        return value

    return checked


def record(required: Mapping[str, Check], more: Mapping[str, Check] | None = None, *, others: bool = False) -> Check:
    """An object with these entries, and perhaps `more`; `others`: and any besides."""
    known = {**required, **(more or {})}

    def checked(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit(where, "an object", value)
        lacking = [name for name in required if name not in value]
        strange = [] if others else [str(name) for name in value if name not in known]
        if lacking or strange:
            wanted = f"an object with {', '.join(known)}" + (" and no more" if strange else "")
            raise Unfit(where, wanted, f"one without {', '.join(lacking)}" if lacking else f"one with {', '.join(strange[:3])}")
        for name, check in known.items():
            if name in value:
                check(value[name], f"{where}.{name}" if where else name)
        return value

    return checked


RATES = (1.0, 1000.0)
RATE = real(*RATES)               # frames per second
FOCAL = real(1e-3, 1e9)           # px
SIZE = many(whole(1, SIDE), count=2)  # (H, W) px


def described(value: Any, check: Check, name: str, do: str) -> Any:
    """`value`, when it passes `check`.

    Args:
        value: the description in a file's header, or what a JSON file holds.
        check: what it must be.
        name: of the file; do: the way out; for errors.
    Raises:
        FileFormatError: it is something else.
    """
    try:
        return check(value, "")
    except Unfit as error:
        where = f"'{error.where}'" if error.where else "The description"
        raise FileFormatError(f"{where} in {name} must be {error.must}", shown(error.value), do) from error


def is_plain_name(value: object) -> TypeGuard[str]:
    """Whether `value` can be the name of a file in a folder, and nothing else."""
    return (isinstance(value, str) and 0 < len(value) <= 200 and not set(value) & set('/\\:\0') and not value.startswith(".")
            and value.isprintable())


def is_json_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether `value` is an object with texts for names."""
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def shown(value: object) -> str:
    """A value in an error: never long."""
    if isinstance(value, (list, tuple, Mapping)) and len(value) > 8:
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    told = value if isinstance(value, str) and value.startswith("one with") else repr(value)
    return told if len(told) <= _SHOWN else told[:_SHOWN] + "..."


def listed(names: Iterable[str], most: int = 3, between: str = ", ") -> str:
    """The first few names; the others counted."""
    names = list(names)
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

