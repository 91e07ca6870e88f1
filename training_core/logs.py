"""What a training writes down: log.csv, and beside it what TensorBoard shows, where that is installed."""
from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..media_core.errors import TalkingHeadsError


class TrainingLog:
    """Lines of figures, means over `every` steps.

    Args:
        folder: made when absent.
        done: steps behind the run; lines of later ones, of a run that was cut off, are dropped.
        total: steps of the run. every: steps a line.
        columns: of the table, behind the step; figures of other names are not written.
    Raises:
        TalkingHeadsError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, done: int, total: int, every: int, columns: tuple[str, ...]):
        self.path, self.total, self.every, self.columns = folder / "log.csv", total, every, columns
        self._gathered: list[Mapping[str, float]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = _lines_until(self.path, done)
            self._file = self.path.open("w", newline="", encoding="utf8")
        except OSError as error:
            raise TalkingHeadsError("The folder for a training's log must be writable", f"{folder}: {error.strerror}",
                                    "Choose another folder, or change its permissions") from error
        self._lines = csv.DictWriter(self._file, ("step", *columns), restval="", extrasaction="ignore")
        self._lines.writeheader()
        self._lines.writerows(lines)
        self._board = _board(folder, done)

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """Takes in the figures after `step`."""
        self._gathered.append(figures)
        if step % self.every == 0 or step == self.total:
            names = [name for name in self.columns if any(name in each for each in self._gathered)]
            self._write(step, {name: float(np.mean([each[name] for each in self._gathered if name in each]))
                               for name in names})
            self._gathered = []

    def verdict(self, step: int, figures: Mapping[str, float], name: str, picture: np.ndarray) -> None:
        """Takes in what validation found after `step`, and a picture called `name`."""
        self._write(step, figures)
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")
            self._board.flush()

    def _write(self, step: int, figures: Mapping[str, float]) -> None:
        self._lines.writerow({"step": step, **{name: f"{value:.6g}" for name, value in figures.items()}})
        self._file.flush()
        for name, value in figures.items():
            if self._board is not None:
                self._board.add_scalar(name.replace(" ", "_"), value, step)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, done: int) -> list[dict[str, str]]:
    """The lines of an earlier log up to step `done`."""
    if not done or not path.is_file():
        return []
    with path.open(newline="", encoding="utf8") as file:
        return [line for line in csv.DictReader(file) if _step_of(line) <= done]


def _step_of(line: Mapping[str, str]) -> float:
    """Infinity for a line that was cut off."""
    step = line.get("step") or ""
    return int(step) if step.isdecimal() else float("inf")


def _board(folder: Path, done: int) -> Any:
    """A writer of TensorBoard's files, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)
