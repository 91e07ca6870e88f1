"""The data set's tables: camera poses and action units, checked against each other (spec 2.12, 2.10)."""
from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

from ..media_core.errors import FileFormatError
from ..media_core.motion import AU_NAMES

LISTED = 10  # numbers named in an error


@dataclass(frozen=True)
class CameraTable:
    """Both transforms files together; F frames."""
    poses: np.ndarray   # [F, 4, 4] float32, camera to head, OpenGL axes, metres
    focal: float        # pixels, at the size of the stored frames
    train: np.ndarray   # [n] int64 frame numbers
    val: np.ndarray     # [m] int64 frame numbers, possibly none


def some(numbers: Sequence[int]) -> str:
    """Up to ten numbers, and how many more there are."""
    shown = ", ".join(str(n) for n in list(numbers)[:LISTED])
    return shown if len(numbers) <= LISTED else f"{shown} and {len(numbers) - LISTED} more"


def read_cameras(folder: Path) -> CameraTable:
    """Reads transforms_train.json and, when present, transforms_val.json.

    Raises:
        FileFormatError: a file is not the format, a matrix is not finite, or frame numbers are missing or repeated.
    """
    focal, train = _read_transforms(folder / "transforms_train.json")
    val_path = folder / "transforms_val.json"
    _, val = _read_transforms(val_path) if val_path.is_file() else (focal, [])
    numbers = [number for number, _ in train + val]
    missing = sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))
    if missing or not numbers:
        raise FileFormatError("Every frame from 0 on must have a pose in transforms_train.json or transforms_val.json",
                              f"no pose for frame {some(missing)}" if numbers else "no frame at all",
                              "Track the missing frames again, or cut the video before them and prepare it anew")
    if len(set(numbers)) < len(numbers):
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        raise FileFormatError("Every frame must have one pose", f"several for frame {some(twice)}",
                              "Write the transforms files again")
    poses = np.empty((len(numbers), 4, 4), np.float32)
    for number, matrix in train + val:
        poses[number] = matrix
    return CameraTable(poses, focal, *(np.array(sorted(n for n, _ in part), np.int64) for part in (train, val)))


def _read_transforms(path: Path) -> tuple[float, list[tuple[int, np.ndarray]]]:
    try:
        table = json.loads(path.read_text("utf-8"))
        frames = [(int(frame["img_id"]), np.asarray(frame["transform_matrix"], np.float64)) for frame in table["frames"]]
        focal = float(table["focal_len"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path.name} must list `focal_len` and `frames` with `img_id` and `transform_matrix`",
                              f"{path} is otherwise ({type(error).__name__}: {error})",
                              "Write it again with the tracker") from error
    bad = [number for number, matrix in frames if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or number < 0]
    if bad or not focal > 0:
        raise FileFormatError(f"{path.name} must hold finite 4 x 4 matrices, frame numbers from 0 and a positive focal length",
                              f"frame {some(bad)}" if bad else f"focal length {focal}", "Track the video again")
    return focal, frames


def read_action_units(path: Path, frames: int, fps: float) -> np.ndarray:  # -> [F, 17] float32, NaN where unknown
    """OpenFace's table: 17 intensities a frame, put in order by its `frame` (or `timestamp`) column.

    Columns that are absent and rows that OpenFace marks as failed become NaN. Names may carry blanks.

    Args:
        path: au.csv.
        frames: F, of the data set.
        fps: frames a second, for a table with time stamps only.
    Raises:
        FileFormatError: not a table, no action unit in it, not one row a frame, or a cell is not a number.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    header = [name.strip() for name in rows[0]] if rows else []
    found = [name for name in AU_NAMES if f"{name}_r" in header]
    if not found:
        raise FileFormatError("au.csv must have OpenFace's columns AU01_r ... AU45_r", f"columns {header[:6]} in {path}",
                              "Track the video again with action units")
    if len(rows) - 1 != frames:
        raise FileFormatError(f"au.csv must have one row for each of the {frames} frames", f"{len(rows) - 1} rows",
                              "Run the action-unit tracker on this very video, with one face a frame")
    cells = _numbers(rows[1:], header, path)
    unknown = np.full(frames, np.nan)
    au = np.stack([cells[:, header.index(f"{name}_r")] if name in found else unknown for name in AU_NAMES], axis=1)
    if "success" in header:
        au[cells[:, header.index("success")] == 0] = np.nan
    place = _places(cells, header, frames, fps)
    ordered = np.empty((frames, len(AU_NAMES)), np.float32)
    ordered[place] = au
    return ordered


def _numbers(rows: list[list[str]], header: list[str], path: Path) -> np.ndarray:  # -> [F, columns] float64
    result = np.full((len(rows), len(header)), np.nan)
    for i, row in enumerate(rows):
        try:
            result[i] = [float(cell) if cell.strip() else np.nan for cell in row]
        except ValueError as error:
            raise FileFormatError(f"Every row of au.csv must hold {len(header)} numbers",
                                  f"line {i + 2} of {path} does not ({error})", "Track the video again") from error
    return result


def _places(cells: np.ndarray, header: list[str], frames: int, fps: float) -> np.ndarray:  # -> [F] frame number of each row
    column: Optional[str] = next((name for name in ("frame", "timestamp") if name in header), None)
    if column is None:
        return np.arange(frames)
    values = cells[:, header.index(column)]
    numbers: Any = values if column == "frame" else np.rint(values * fps)
    if np.isfinite(numbers).all():
        place = numbers.astype(np.int64)
        place -= 1 if column == "frame" and place.min() == 1 else 0  # OpenFace counts frames from 1
        if np.array_equal(np.sort(place), np.arange(frames)):
            return place
    lost = sorted(set(range(frames)) - set(np.nan_to_num(numbers, nan=-1).astype(int) - (column == "frame")))
    raise FileFormatError(f"au.csv's column `{column}` must name each frame once", f"no row for frame {some(lost)}",
                          "Run the action-unit tracker on this very video, at its own frame rate")
