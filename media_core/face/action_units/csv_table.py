"""A CSV table by column names: what every action-unit file is read with. Blanks around names and cells do not count."""
from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import FileFormatError


@dataclass(frozen=True)
class CsvTable:
    """Rows of text under a header; blank lines are left out."""

    path: Path
    header: tuple[str, ...]  # names without blanks around them
    rows: tuple[list[str], ...]  # cells, as many as the header has names
    lines: tuple[int, ...]  # of every row, as an editor counts them

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: str) -> bool:
        return name in self.header

    def numbers(self, name: str) -> np.ndarray:  # -> float64 [N], NaN for an empty cell
        """One column.

        Raises:
            FileFormatError: a cell is neither a number nor empty.
        """
        column = self.header.index(name)
        out = np.full(len(self.rows), np.nan)
        for i, row in enumerate(self.rows):
            cell = row[column].strip()
            try:
                out[i] = float(cell) if cell else np.nan
            except ValueError as error:
                raise FileFormatError(f"Column `{name}` of {self.path.name} must hold numbers",
                                      f"'{cell}' on line {self.lines[i]}", "Write the table again with its tool") from error
        return out


def read_csv(path: str | os.PathLike) -> CsvTable:
    """Reads a table; any line ends, with or without a byte-order mark.

    Raises:
        FileFormatError: no such file, it is no text, or a row has more or fewer cells than the header has names.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            found = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, csv.Error) as error:
        raise FileFormatError("An action-unit table must be a readable CSV file", f"{path} is not ({error})",
                              "Check the name and the folder") from error
    header = tuple(name.strip() for name in found[0][1]) if found else ()
    for line, row in found[1:]:
        if len(row) != len(header):
            raise FileFormatError(f"Every row of {path.name} must hold {len(header)} numbers, as its header has names",
                                  f"{len(row)} on line {line}", "The file may be cut off: copy it or write it again")
    return CsvTable(path, header, tuple(row for _, row in found[1:]), tuple(line for line, _ in found[1:]))
