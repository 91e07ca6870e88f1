"""Number inputs that can be left to the pack: a text field that shows "auto" and also takes a number.

They used to be number fields in which -1, or 0 where no number may be 0, stood for auto. Saved workflows hold those for ever, so
every number below the range is read as auto.

The type is STRING,INT or STRING,FLOAT,INT: one type alone would refuse the links of saved workflows. ComfyUI checks no range of
such a type, and a wrong value is reported at every input that validate_inputs names. The page's old Primitive node keeps its
value, but shows no widget after a reload (frontends 1.49 and 1.58); Int, Float and subgraph inputs do.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError

AUTO = "auto"
Value: TypeAlias = "str | float | None"  # of the widget or of a link; None: a link whose source has not run yet


@dataclass(frozen=True)
class Automatic:
    """One such input."""

    name: str  # its id
    least: float  # smallest number; whatever is below it means auto
    most: float  # largest number
    whole: bool = False  # takes whole numbers only
    label: str | None = None  # what the page shows, where it is not the id

    def input(self, tooltip: str, auto: str, *, optional: bool = False, advanced: bool | None = None) -> io.MultiType.Input:
        """The input: text on the widget, and numbers by a link.

        Args:
            tooltip: what the number is, in which unit.
            auto: what auto means.
        """
        field = io.String.Input(self.name, display_name=self.label, default=AUTO, optional=optional, advanced=advanced,
                                tooltip=f"{tooltip} A {self._range()}, or {AUTO}: {auto}.")
        return io.MultiType.Input(field, types=[io.Int] if self.whole else [io.Float, io.Int])

    def read(self, value: Value) -> float | None:
        """The number, None for auto.

        Raises:
            TalkingHeadsError: the value is neither.
        """
        if value is None or isinstance(value, str) and value.strip().lower() in ("", AUTO):
            return None
        number = _number(value)
        if number is None or number > self.most or self.whole and number != int(number):
            raise self._refusal(value)
        return None if number < self.least else number

    def read_whole(self, value: Value) -> int | None:
        """The same for whole numbers."""
        number = self.read(value)
        return None if number is None else int(number)

    def _range(self) -> str:
        return f"{'whole ' * self.whole}number from {self.least:.10g} to {self.most:.10g}"

    def _refusal(self, value: Value) -> TalkingHeadsError:
        from ..media_core.schema import shown

        label = self.label or self.name
        comma = isinstance(value, str) and not self.whole and "," in value and _number(value.replace(",", ".")) is not None
        return TalkingHeadsError(f"{label[0].upper()}{label[1:]} must be {AUTO} or a {self._range()}", shown(value),
                                 "Write a decimal point instead of the comma" if comma else f"Type {AUTO} or such a number")


def _number(value: Value) -> float | None:
    """A finite number, given as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def check(inputs: tuple[Automatic, ...], *values: Value) -> bool | str:
    """The answer of a node's validate_inputs: True, or what is wrong with the first of the values, which stand in this order."""
    for kind, value in zip(inputs, values, strict=True):
        try:
            kind.read(value)
        except TalkingHeadsError as error:
            return str(error)
    return True
