"""Action units out of other programs' tables: OpenFace, py-feat, LibreFace, PyAFAR (docs/capture.md#action-unit-tables).

Rows are put on the video's frames by their time. What a table does not say is NaN, never 0: a unit it has no column for, a frame
it has no row for, a row that its tool marks as failed.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...audio import frame_count
from ...dataset_folder import openface_table, write_bytes
from ...errors import FileFormatError, TalkingHeadsError
from ...motion import AU_MAX, AU_NAMES, ExpressionTrack
from .csv_table import CsvTable, read_csv

SAME_RATE = 0.005  # rates this close are one: rows are taken as they are, otherwise they are interpolated in time
LENGTH_SLACK = (0.5, 0.05)  # s and fraction of the video by which a table may be longer or shorter
MOST_FRAMES = (100_000, 100)  # of a track whose length no video tells: so many, or so many for each row
USUAL_RATES = (12.0, 12.5, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 100.0, 119.88, 120.0)


@dataclass(frozen=True)
class TableFormat:
    """How one tool writes its tables."""

    name: str  # as users know it
    column: str  # intensity of a unit: "{0:02d}" is its number
    factor: float  # brings intensities to 0..5
    frame: str  # column of frame numbers
    first: int  # number of the first frame
    time: str = ""  # column of the time at which a frame begins
    time_unit: float = 1.0  # s
    person: str = ""  # column that tells people apart
    size: tuple[str, ...] = ()  # columns whose product ranks faces of a frame where nothing tells people apart
    valid: str = ""  # column that is 0 where tracking failed
    other_names: tuple[tuple[str, int], ...] = ()  # (unit, number the tool gives it)
    sparse: bool = False  # frames without a face have no row

    def columns(self, header: tuple[str, ...]) -> dict[str, str]:
        """Unit -> column, of those the header has."""
        numbers = {name: int(name[2:]) for name in AU_NAMES} | dict(self.other_names)
        wanted = {name: self.column.format(number) for name, number in numbers.items()}
        return {name: column for name, column in wanted.items() if column in header}


FORMATS = {
    "openface": TableFormat(name="OpenFace", column="AU{0:02d}_r", factor=1.0, frame="frame", first=1, time="timestamp",
                            person="face_id", valid="success"),
    "libreface": TableFormat(name="LibreFace", column="au_{0}_intensity", factor=1.0, frame="frame_idx", first=0,
                             time="frame_time_in_ms", time_unit=1e-3),
    "pyafar": TableFormat(name="PyAFAR", column="Int_au_{0}", factor=1.0, frame="Frame", first=0, person="Person_ID",
                          sparse=True),
    "py-feat": TableFormat(name="py-feat", column="AU{0:02d}", factor=5.0, frame="frame", first=0,
                           size=("FaceRectWidth", "FaceRectHeight"), other_names=(("AU45", 43),)),
}


def write_action_units_file(track: ExpressionTrack, path: str | os.PathLike) -> Path:
    """Writes a track: OpenFace's table where the file ends in .csv (0.001 of intensity; unknown units stay empty), else exactly,
    as `ExpressionTrack.save` does."""
    path = Path(path)
    if path.suffix.lower() != ".csv":
        return track.save(path)
    known = ~track.au.isnan().all(dim=1)
    write_bytes(path, openface_table(track.au.numpy(), track.fps, success=known.tolist()).encode())
    return path


def read_action_units_file(path: str | os.PathLike, fps: float, frames: int | None = None, tool: str = "auto", *,
                           face_index: int = 0, source_fps: float | None = None) -> ExpressionTrack:
    """A table as an expression track at the video's rate.

    Args:
        path: the CSV file.
        fps: frames per second of the track.
        frames: its length; None takes the table's own.
        tool: "openface", "py-feat", "libreface", "pyafar", or "auto": whichever the header speaks of.
        face_index: with several people, which: 0 is who is in most frames (where the table names people) or who is largest.
        source_fps: frames per second of the video that the tool saw, for tables without times; None finds it from `frames`.
    Returns:
        [frames, 17] intensities 0..5, NaN where the table knows nothing.
    Raises:
        FileFormatError: absent, an unknown header, cut-off rows, no rows, a cell that is no number.
        TalkingHeadsError: no such tool or face, or times that do not fit the video's length.
    """
    table = read_csv(path)
    layout = _layout(table, tool)
    if not len(table):
        raise FileFormatError("An action-unit table must have at least one row", f"none in {table.path.name}",
                              f"Run {layout.name} on the video again")
    middle, period = _times(table, layout, fps, frames, source_fps)
    count = _count(middle, period, fps, frames, table, layout)
    rows = _one_person(table, layout, face_index)
    rows = rows[np.argsort(middle[rows], kind="stable")]
    aligned = _aligned(middle[rows], _intensities(table, layout)[rows], period, fps, count)
    return ExpressionTrack(torch.from_numpy(aligned.astype(np.float32)), float(fps), f"{layout.name} table")


def _intensities(table: CsvTable, layout: TableFormat) -> np.ndarray:  # -> [N, 17] 0..5, NaN where unknown
    au = np.full((len(table), len(AU_NAMES)), np.nan)
    for name, column in layout.columns(table.header).items():
        au[:, AU_NAMES.index(name)] = np.clip(table.numbers(column) * layout.factor, 0, AU_MAX)
    if layout.valid in table:
        au[table.numbers(layout.valid) == 0] = np.nan
    return au


def _layout(table: CsvTable, tool: str) -> TableFormat:
    if tool != "auto" and tool not in FORMATS:
        raise TalkingHeadsError(f"The table's tool must be one of auto, {', '.join(FORMATS)}", f"'{tool}'",
                                "Choose one of those")
    if "AU03_r" in table:
        raise FileFormatError("An OpenFace table must name units by their numbers, as OpenFace 2 does",
                              f"{table.path.name} has a column AU03_r: OpenFace 3 counts its columns instead",
                              "Track the video with OpenFace 2.2")
    fitting = [layout for name, layout in FORMATS.items() if tool in ("auto", name) and layout.columns(table.header)]
    if not fitting:
        wanted = "; ".join(f"{f.name}: {f.column.format(12)}" for name, f in FORMATS.items() if tool in ("auto", name))
        raise FileFormatError(f"An action-unit table must have columns such as {wanted}",
                              f"columns {', '.join(table.header[:8]) or 'none'} in {table.path.name}",
                              "Choose the tool's own CSV output, with intensities")
    return fitting[0]


def _one_person(table: CsvTable, layout: TableFormat, face_index: int) -> np.ndarray:  # -> int64 [n]
    """The rows of one face, by number: by the column that names people, else by size or order within each frame."""
    rows = np.arange(len(table))
    if layout.person in table:
        person = table.numbers(layout.person)
        seen = table.numbers(layout.valid) != 0 if layout.valid in table else np.ones(len(table), bool)
        people = sorted(set(person[np.isfinite(person)]), key=lambda one: (-int((seen & (person == one)).sum()), one))
        _check_face(face_index, len(people), table)
        return rows[person == people[face_index]]
    if layout.frame in table:
        frame = table.numbers(layout.frame)
        ranked = all(name in table for name in layout.size) and layout.size
        size = np.prod([table.numbers(name) for name in layout.size], axis=0) if ranked else np.zeros(len(table))
        by_frame: dict[float, list[int]] = {}
        for i in np.lexsort((rows, -size)):
            by_frame.setdefault(float(frame[i]), []).append(int(i))
        _check_face(face_index, max(len(faces) for faces in by_frame.values()), table)
        return np.sort([faces[face_index] for faces in by_frame.values() if len(faces) > face_index])
    _check_face(face_index, 1, table)
    return rows


def _check_face(index: int, count: int, table: CsvTable) -> None:
    if not 0 <= index < count:
        raise TalkingHeadsError(f"The face must be one of the {count} in {table.path.name}, counted from 0", f"face {index}",
                                "Choose another face")


def _times(table: CsvTable, layout: TableFormat, fps: float, frames: int | None,
           source_fps: float | None) -> tuple[np.ndarray, float]:  # -> [N] s, s
    """The middle of each row's frame, and how long a frame of the tool's video lasts."""
    if layout.time in table:
        begin = _finite(table, layout.time) * layout.time_unit
        steps = np.diff(np.unique(begin))
        if layout.frame in table and len(steps):
            number = _finite(table, layout.frame)
            span = np.ptp(number)
            period = float(np.ptp(begin) / span) if span > 0 else float(np.median(steps))
        else:
            period = float(np.median(steps)) if len(steps) else 1 / fps
        return begin + period / 2, max(period, 1e-6)
    number = np.arange(len(table), dtype=float) if layout.frame not in table else _finite(table, layout.frame) - layout.first
    rate = source_fps or _guessed_rate(int(number.max()) + 1, fps, None if layout.sparse else frames, table)
    return (number + 0.5) / rate, 1 / rate


def _finite(table: CsvTable, name: str) -> np.ndarray:
    values = table.numbers(name)
    if not np.isfinite(values).all():
        line = table.lines[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise FileFormatError(f"Every row of {table.path.name} must have a value for `{name}`", f"none on line {line}",
                              "Write the table again with its tool")
    return values


def _guessed_rate(count: int, fps: float, frames: int | None, table: CsvTable) -> float:
    """The video's rate of a table that only counts frames: the track's own, or the usual rate that fits the video's length."""
    rate = fps if frames is None else count * fps / frames
    nearest = min((fps, *USUAL_RATES), key=lambda usual: abs(usual - rate))
    off = abs(nearest - rate) / rate
    close = frames is None or abs(count - frames) <= max(LENGTH_SLACK[0] * fps, LENGTH_SLACK[1] * frames)
    if off > 0.02 and not close and frames is not None:
        raise TalkingHeadsError(f"The table's frames must fit the video's {frames / fps:.2f} s",
                                f"{count} frames in {table.path.name}, which would be {rate:.2f} frames per second",
                                "Choose the table made from this video, or give the frame rate of the video the tool was run on")
    return fps if close and off > 0.005 else nearest


def _count(middle: np.ndarray, period: float, fps: float, frames: int | None, table: CsvTable, layout: TableFormat) -> int:
    end = float(middle.max()) + period / 2
    if frames is None:
        return _counted(end, fps, table)
    film = frames / fps
    slack = max(LENGTH_SLACK[0], LENGTH_SLACK[1] * film)
    if end > film + slack or end < film - slack and not layout.sparse:
        raise TalkingHeadsError(f"The table must cover the video's {film:.2f} s",
                                f"{table.path.name} runs from {float(middle.min()) - period / 2:.2f} to {end:.2f} s",
                                "Choose the table made from this video, from its first frame to its last")
    return frames


def _counted(end: float, fps: float, table: CsvTable) -> int:
    """Frames up to `end` s; times are not believed without rows to go with them (a clock's time, a damaged number)."""
    most = max(MOST_FRAMES[0], MOST_FRAMES[1] * len(table))
    if not end * fps < most:
        raise FileFormatError(f"A table of {len(table)} rows must end within its video, in {most / fps:.0f} s at most",
                              f"{table.path.name} runs to {end:.4g} s",
                              "Count times from the start of the video, or give its length")
    return frame_count(end, fps)


def _aligned(time: np.ndarray, au: np.ndarray, period: float, fps: float, count: int) -> np.ndarray:  # -> [count, 17]
    """Values at the middles of the video's frames: the nearest row at an equal rate, otherwise between the two rows around it;
    NaN where a needed row is missing or unknown."""
    wanted = (np.arange(count) + 0.5) / fps
    after = np.searchsorted(time, wanted).clip(0, len(time) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(np.abs(time[after] - wanted) < np.abs(time[before] - wanted), after, before)
    reach = 0.75 * max(period, 1 / fps)
    out = au[nearest].copy()
    out[np.abs(time[nearest] - wanted) > reach] = np.nan
    if abs(period * fps - 1) > SAME_RATE:
        gap = time[after] - time[before]
        inside = (gap > 0) & (gap < 1.6 * period) & (time[before] <= wanted) & (wanted <= time[after])
        share = np.where(inside, (wanted - time[before]) / np.where(gap > 0, gap, 1), 0)[:, None]
        mixed = au[before] * (1 - share) + au[after] * share
        out = np.where(inside[:, None] & np.isfinite(mixed), mixed, out)
    return out
