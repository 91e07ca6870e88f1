"""What a file's tensors must look like; see `schema.py`, of which this is the half that needs torch."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import FileFormatError
from .schema import listed

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Numbers:
    """What one tensor must be."""

    shape: tuple[int | str, ...]  # a letter stands for the same length everywhere in the file; "" for any length
    kinds: tuple[torch.dtype, ...] = FLOATS
    nan: bool = False  # NaN may stand for "not known"; infinity may not
    absent: bool = False  # it may be left out


def fitting(tensors: Mapping[str, Tensor], wanted: Mapping[str, Numbers], name: str, do: str,
            sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """The lengths that the letters in the shapes stand for.

    Args:
        tensors: of a file.
        wanted: what must be among them.
        name: of the file; do: the way out; for errors.
        sizes: lengths that are known already.
    Raises:
        FileFormatError: one is missing, of another kind or shape, or not finite, or lengths contradict each other.
    """
    known = dict(sizes or {})
    for key, numbers in wanted.items():
        if key not in tensors:
            if numbers.absent:
                continue
            raise FileFormatError(f"The file must hold '{key}'", f"{name} lacks it", do)
        value = tensors[key]
        shape = tuple(length if isinstance(length, int) else known.get(length, length) for length in numbers.shape)
        fits = value.ndim == len(shape) and all(not isinstance(w, int) or w == n for w, n in zip(shape, value.shape))
        if not fits or value.dtype not in numbers.kinds:
            kinds = " or ".join(str(kind).removeprefix("torch.") for kind in numbers.kinds)
            raise FileFormatError(f"'{key}' must be {kinds} [{', '.join(str(n) or '?' for n in shape)}]",
                                  f"{name} holds {str(value.dtype).removeprefix('torch.')} {list(value.shape)}", do)
        known |= {letter: length for letter, length in zip(numbers.shape, value.shape) if isinstance(letter, str) and letter}
        if value.is_floating_point() and not finite(value, nan=numbers.nan):
            came = "inf" if numbers.nan else "NaN or inf"
            raise FileFormatError(f"'{key}' must hold finite numbers", f"{name} holds {came}", do)
    return known


def finite(value: Tensor, *, nan: bool = False) -> bool:
    """Whether every number is finite, or NaN where `nan` allows it."""
    return not bool(torch.isinf(value).any()) if nan else bool(torch.isfinite(value).all())


def all_finite(tensors: Mapping[str, Tensor], name: str, do: str) -> None:
    """Raises:
        FileFormatError: a tensor of floating-point numbers holds NaN or infinity.
    """
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not finite(value)]
    if bad:
        raise FileFormatError("Every weight must be a finite number", f"in {name}, {listed(bad)} hold NaN or inf", do)
