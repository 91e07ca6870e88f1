"""What an evaluation found: rows of figures, as a text table and as JSON."""
from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TalkingHeadsError
from ..files import atomic_path

VERSION = 1
_PART = "; "  # between the parts of a note
_SHORT = 20  # characters of a part that may stand in several rows
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
        head = [self.made + (f" against {self.truth}" if self.truth else ""), *self.notes, ""]
        repeated = _repeated(measured)
        lines = _aligned([("metric", "made", "truth" if self.truth else "", "unit", "better", "frames", ""),
                          *(_cells(row, bool(self.truth), repeated) for row in measured)])
        below = [f"[{number}] {note}" for number, note in enumerate(repeated, start=1)]
        return "\n".join([*head, *lines, *below, *self._missing()])

    def _missing(self) -> list[str]:
        """What was not measured, by reasons."""
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            if math.isnan(row.value):
                reasons.setdefault(row.note, []).append(row.name)
        return ["", "Not measured:", *(f"  {', '.join(names)}: {why}" for why, names in reasons.items())] if reasons else []

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; a figure that was not measured, or is infinite, is null and has a note."""
        rows = [{"key": row.key, "name": row.name, "value": _number(row.value), "unit": row.unit, "better": row.better,
                 "frames": row.frames, "note": row.note, "truth": None if row.truth is None else _number(row.truth)}
                for row in self.rows]
        return {"version": VERSION, "made": self.made, "truth": self.truth, "notes": list(self.notes), "rows": rows}

    def json(self) -> str:
        """The same for programs."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Table:
        """The table of such a dict; infinite figures are lost."""
        read = lambda value: math.nan if value is None else float(value)
        rows = (Row(**{**row, "value": read(row["value"])}) for row in told["rows"])
        return cls(told["made"], told["truth"], tuple(told["notes"]), tuple(rows))

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the JSON, atomically.

        Raises:
            TalkingHeadsError: it cannot be written there.
        """
        return _saved(self.json(), path)


def together(tables: Sequence[Table]) -> str:
    """Several videos in one table for people: a row for each figure, a column for each video, and their mean."""
    names = list(dict.fromkeys((row.key, row.name, row.unit, row.better) for table in tables for row in table.rows))
    values = {key: [_found(table, key) for table in tables] for key, *_ in names}
    measured = [name for name in names if not all(map(math.isnan, values[name[0]]))]
    lines = _aligned([("metric", "unit", "better", *(f"({number})" for number in range(1, len(tables) + 1)), "mean"),
                      *((name, unit, better, *map(figure, values[key]), figure(_mean(values[key])))
                        for key, name, unit, better in measured)], range(3, len(tables) + 4))
    heads = [f"({number}) {table.made}" + (f" against {table.truth}" if table.truth else "")
             for number, table in enumerate(tables, 1)]
    absent_everywhere = [name for name in names if name not in measured]
    below = ["", "Not measured in any: " + ", ".join(name for _, name, *_ in absent_everywhere)] if absent_everywhere else []
    return "\n".join([*heads, "", *lines, *below])


def save_together(tables: Sequence[Table], path: str | os.PathLike) -> Path:
    """Writes several tables as one JSON file, atomically: {"version", "videos": [each as `Table.json`]}.

    Raises:
        TalkingHeadsError: it cannot be written there.
    """
    whole = {"version": VERSION, "videos": [table.to_dict() for table in tables]}
    return _saved(json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False), path)


def _found(table: Table, key: str) -> float:
    """A figure; NaN: not measured."""
    return next((row.value for row in table.rows if row.key == key), math.nan)


def _mean(values: Sequence[float]) -> float:
    """Of those that were measured."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def _saved(text: str, path: str | os.PathLike) -> Path:
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", "utf8")
    except OSError as error:
        raise TalkingHeadsError("The JSON file must fit where it is written", f"writing {path} failed ({error})",
                                "Free some space or choose another folder") from error
    return Path(path)


def absent(key: str, name: str, why: str, unit: str = "", better: str = "") -> Row:
    """A figure that could not be measured."""
    return Row(key, name, math.nan, unit, better, note=why)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _repeated(rows: Iterable[Row]) -> list[str]:
    """Parts of notes that several rows have: they are written once, below."""
    count = Counter(part for row in rows for part in row.note.split(_PART) if part)
    return [part for part, times in count.items() if times > 1 and len(part) > _SHORT]


def _cells(row: Row, with_truth: bool, repeated: list[str]) -> tuple[str, ...]:
    truth = figure(row.truth) if with_truth and row.truth is not None else ""
    parts = row.note.split(_PART)
    own = _PART.join(part for part in parts if part not in repeated)
    note = " ".join([own, *(f"[{repeated.index(part) + 1}]" for part in parts if part in repeated)]).strip()
    return row.name, figure(row.value), truth, row.unit, row.better, str(row.frames or ""), note


def figure(value: float) -> str:
    """Four digits that count; no exponent in the usual range."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else f"{value:g}"
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        digits = 3 - math.floor(math.log10(abs(value))) if value else 0
        return f"{value:.{min(max(digits, 0), 4)}f}"
    return f"{value:.3g}"


def _aligned(rows: Iterable[tuple[str, ...]], right: Collection[int] = (1, 2, 5)) -> list[str]:
    """Columns, those in `right` (figures) to the right; a column that is empty throughout is left out."""
    rows = list(rows)
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows)]
    width = {column: max(len(row[column]) for row in rows) for column in used}
    return ["  ".join(row[column].rjust(width[column]) if column in right else row[column].ljust(width[column])
                      for column in used).rstrip() for row in rows]
