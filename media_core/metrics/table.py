"""What an evaluation found: rows of figures, as a text table and as JSON."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import TalkingHeadsError
from ..files import atomic_path

VERSION = 1
BETTER = ("higher", "lower", "zero", "truth", "")  # which values are good; "truth": those like the truth's


@dataclass(frozen=True)
class Row:
    """One figure."""

    key: str  # in JSON, for ever
    name: str
    value: float  # NaN: not measured, see `note`
    unit: str = ""
    better: str = ""  # of BETTER
    frames: int = 0  # it was measured on
    note: str = ""
    truth: float | None = None  # the same figure of the truth, where it compares nothing


@dataclass(frozen=True)
class Table:
    """Every figure of one evaluation."""

    made: str  # what was measured
    truth: str  # what it was compared with; empty: nothing
    notes: tuple[str, ...]  # on the comparison: what was resampled or cut
    rows: tuple[Row, ...]

    def value(self, key: str) -> float:
        """A figure by its key.

        Raises:
            KeyError: no such row.
        """
        return {row.key: row.value for row in self.rows}[key]

    def text(self) -> str:
        """The table for people: figures first, then what was not measured and why."""
        measured = [row for row in self.rows if not math.isnan(row.value)]
        absent = [row for row in self.rows if math.isnan(row.value)]
        head = [self.made + (f" against {self.truth}" if self.truth else ""), *self.notes, ""]
        lines = _aligned([("metric", "made", "truth" if self.truth else "", "unit", "better", "frames", ""),
                          *(_cells(row, bool(self.truth)) for row in measured)])
        missing = ["", "Not measured:", *(f"  {row.name}: {row.note}" for row in absent)] if absent else []
        return "\n".join([*head, *lines, *missing])

    def json(self) -> str:
        """The same for programs; a figure that was not measured, or is infinite, is null and has a note."""
        rows = [{"key": row.key, "name": row.name, "value": _number(row.value), "unit": row.unit, "better": row.better,
                 "frames": row.frames, "note": row.note, "truth": None if row.truth is None else _number(row.truth)}
                for row in self.rows]
        whole: Mapping[str, object] = {"version": VERSION, "made": self.made, "truth": self.truth, "notes": list(self.notes),
                                       "rows": rows}
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the JSON, atomically.

        Raises:
            TalkingHeadsError: it cannot be written there.
        """
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(self.json() + "\n", "utf8")
        except OSError as error:
            raise TalkingHeadsError("The JSON file must fit where it is written", f"writing {path} failed ({error})",
                                    "Free some space or choose another folder") from error
        return Path(path)


def absent(key: str, name: str, why: str, unit: str = "", better: str = "") -> Row:
    """A figure that could not be measured."""
    return Row(key, name, math.nan, unit, better, note=why)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cells(row: Row, with_truth: bool) -> tuple[str, ...]:
    truth = figure(row.truth) if with_truth and row.truth is not None else ""
    return row.name, figure(row.value), truth, row.unit, row.better, str(row.frames or ""), row.note


def figure(value: float) -> str:
    """Four digits that count; no exponent in the usual range."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else f"{value:g}"
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        digits = 3 - math.floor(math.log10(abs(value))) if value else 0
        return f"{value:.{min(max(digits, 0), 4)}f}"
    return f"{value:.3g}"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Columns, figures to the right; a column that is empty throughout is left out."""
    rows = list(rows)
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows)]
    width = {column: max(len(row[column]) for row in rows) for column in used}
    return ["  ".join(row[column].rjust(width[column]) if column in (1, 2, 5) else row[column].ljust(width[column])
                      for column in used).rstrip() for row in rows]
