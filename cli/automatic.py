"""Number options that also take "auto", the word that the nodes' fields show."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def or_auto(kind: Callable[[str], Number]) -> Callable[[str], Number | None]:
    """An option's type: `kind`, or None for "auto", as if the option were left out."""
    def read(text: str) -> Number | None:
        return None if text.strip().lower() == "auto" else kind(text)

    read.__name__ = getattr(kind, "__name__", "number")  # argparse names it in its error
    return read
