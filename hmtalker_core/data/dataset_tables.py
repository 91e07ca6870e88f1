"""The dataset's tables: camera poses and action units, checked against each other (docs/hmtalker.md)."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...media_core.errors import FileFormatError
from ...media_core.face.action_units.csv_table import CsvTable, read_csv
from ...media_core.json_files import LONGEST_TABLE, read_json_file
from ...media_core.motion import AU_NAMES
from ...media_core.schema import COUNT, FOCAL, Unfit, many, real, record, whole

LISTED = 10  # numbers named in an error
_NUMBER = whole(0, COUNT)
_ROW = many(real(-1e9, 1e9), count=4)
_FRAMES = record({"focal_len": FOCAL, "frames": many(record(
    {"img_id": _NUMBER, "transform_matrix": many(_ROW, count=4)}, {"aud_id": _NUMBER}, others=True))}, others=True)


@dataclass(frozen=True)
class CameraTable:
    """Both transforms files together, F frames."""
    poses: np.ndarray   # [F, 4, 4] float32, camera to head, OpenGL axes, metres
    focal: float        # pixels, at the size of the stored frames
    train: np.ndarray   # [n] int64 frame numbers
    val: np.ndarray     # [m] int64 frame numbers, possibly none
    sound: np.ndarray   # [F] int64 frame of the audio that belongs to each image


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
    numbers = [number for number, _, _ in train + val]
    upto = min(max(numbers, default=-1) + 1, len(numbers) + LISTED + 1)  # however high a number is: these are enough to name
    missing = sorted(set(range(upto)) - set(numbers))
    if missing or not numbers:
        raise FileFormatError("Every frame from 0 on must have a pose in transforms_train.json or transforms_val.json",
                              f"no pose for frame {some(missing)}" if numbers else "no frame at all",
                              "Track the missing frames again, or cut the video before them and prepare it again")
    if len(set(numbers)) < len(numbers):
        twice = sorted(number for number, times in Counter(numbers).items() if times > 1)
        raise FileFormatError("Every frame must have one pose", f"several for frame {some(twice)}",
                              "Write the transforms files again")
    poses, sound = np.empty((len(numbers), 4, 4), np.float32), np.empty(len(numbers), np.int64)
    for number, heard, matrix in train + val:
        poses[number], sound[number] = matrix, heard
    late = [number for number in range(1, len(sound)) if sound[number] <= sound[number - 1]]
    if late or sound[0] < 0:
        raise FileFormatError("The frames of the audio, `aud_id`, must count up with `img_id`",
                              f"they do not at frame {some(late or [0])}", "Write the transforms files again")
    parts = [np.array(sorted(number for number, _, _ in part), np.int64) for part in (train, val)]
    return CameraTable(poses=poses, focal=focal, train=parts[0], val=parts[1], sound=sound)


def _read_transforms(path: Path) -> tuple[float, list[tuple[int, int, np.ndarray]]]:
    """The focal length, and (`img_id`, `aud_id`, matrix) of each frame; a frame without `aud_id` has its own number."""
    try:
        table = _FRAMES(read_json_file(path, longest=LONGEST_TABLE), "")
    except (FileFormatError, Unfit) as error:
        came = error.came if isinstance(error, FileFormatError) else f"{path} is otherwise ({error})"
        raise FileFormatError(f"{path.name} must list `focal_len` and `frames` with `img_id` and a finite 4 x 4 "
                              "`transform_matrix`", came, "Run the tracker again") from error
    frames = [(frame["img_id"], frame.get("aud_id", frame["img_id"]), np.asarray(frame["transform_matrix"], np.float64))
              for frame in table["frames"]]
    return float(table["focal_len"]), frames


def read_action_units(path: Path, frames: int, fps: float) -> np.ndarray:  # -> [F, 17] float32, NaN where unknown
    """OpenFace's table: 17 intensities per frame, put in order by its `frame` (or `timestamp`) column.

    Columns that are absent and rows that OpenFace marks as failed become NaN. Names may carry blanks.

    Args:
        path: au.csv.
        frames: F, of the dataset.
        fps: frames per second, for a table with time stamps only.
    Raises:
        FileFormatError: not a table, no action unit in it, not one row per frame, or a cell is not a number.
    """
    table = read_csv(path)
    found = [name for name in AU_NAMES if f"{name}_r" in table]
    if not found:
        raise FileFormatError("au.csv must have OpenFace's columns AU01_r ... AU45_r", f"columns {table.header[:6]} in {path}",
                              "Track the video again with action units")
    if len(table) != frames:
        raise FileFormatError(f"au.csv must have one row for each of the {frames} frames", f"{len(table)} rows",
                              "Run the action-unit tracker on this very video, with one face per frame")
    unknown = np.full(frames, np.nan)
    au = np.stack([table.numbers(f"{name}_r") if name in found else unknown for name in AU_NAMES], axis=1)
    if "success" in table:
        au[table.numbers("success") == 0] = np.nan
    place = _places(table, frames, fps)
    ordered = np.empty((frames, len(AU_NAMES)), np.float32)
    ordered[place] = au
    return ordered


def _places(table: CsvTable, frames: int, fps: float) -> np.ndarray:  # -> [F] frame number of each row
    column = next((name for name in ("frame", "timestamp") if name in table), None)
    if column is None:
        return np.arange(frames)
    values = table.numbers(column)
    numbers = values if column == "frame" else np.rint(values * fps)
    if np.isfinite(numbers).all():
        place = numbers.astype(np.int64)
        place -= 1 if column == "frame" and place.min() == 1 else 0  # OpenFace counts frames from 1
        if np.array_equal(np.sort(place), np.arange(frames)):
            return place
    lost = sorted(set(range(frames)) - set(np.nan_to_num(numbers, nan=-1).astype(int) - (column == "frame")))
    raise FileFormatError(f"au.csv's column `{column}` must name each frame once", f"no row for frame {some(lost)}",
                          "Run the action-unit tracker on this very video, at its own frame rate")
