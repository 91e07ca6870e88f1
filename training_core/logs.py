"""The log of a training: log.csv, and beside it the files of TensorBoard, where that is installed."""
from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..media_core.errors import TalkingHeadsError

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

log = logging.getLogger(__name__)
Metrics = Mapping[str, float | str]  # of a step, by name; texts name its phase


class TrainingLog:
    """Lines of metrics, means over `every` steps of one phase.

    Args:
        folder: made when absent.
        done: steps already done; lines of later ones, of a training that was cut off, are dropped.
        total: steps of the training. every: steps per line.
        columns: of the table, after the step; metrics of other names are not written.
    Raises:
        TalkingHeadsError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, done: int, total: int, every: int, columns: tuple[str, ...]):
        self.path, self.total, self.every, self.columns = folder / "log.csv", total, every, columns
        self._gathered: list[Metrics] = []
        self._last = done
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lines = _lines_until(self.path, done)
            self._file = self.path.open("w", newline="", encoding="utf8")
        self._lines = csv.DictWriter(self._file, ("step", *columns), restval="", extrasaction="ignore")
        with _writable(folder):
            self._lines.writeheader()
            self._lines.writerows(lines)
        self._board = _board(folder, done)

    def step(self, step: int, metrics: Metrics) -> None:
        """Takes in the metrics of `step`.

        Raises:
            TalkingHeadsError: the disk is full; so does `evaluated`.
        """
        if self._gathered and _texts(self._gathered[-1]) != _texts(metrics):
            self._flush()
        self._gathered.append(metrics)
        self._last = step
        if step % self.every == 0 or step == self.total:
            self._flush()

    def evaluated(self, step: int, metrics: Mapping[str, float], name: str, image: np.ndarray) -> None:
        """Takes in what validation found after `step`, and an image called `name`."""
        self._write(step, metrics)
        if self._board is not None:
            with _writable(self.path.parent):
                self._board.add_image(name, image, step, dataformats="HWC")
                self._board.flush()

    def finish(self) -> None:
        """Writes the line begun, of a training that ends early.

        Raises:
            TalkingHeadsError: the disk is full.
        """
        if self._gathered:
            self._flush()

    def _flush(self) -> None:
        found: dict[str, float | str] = {**_texts(self._gathered[-1])}
        for name in self.columns:
            values = [value for each in self._gathered if isinstance(value := each.get(name), (int, float))]
            if values:
                found[name] = float(np.mean(values))
        self._write(self._last, found)
        self._gathered = []

    def _write(self, step: int, metrics: Metrics) -> None:
        cells = {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in metrics.items()}
        with _writable(self.path.parent):
            self._lines.writerow({"step": step, **cells})
            self._file.flush()
            for name, value in metrics.items():
                if self._board is not None and not isinstance(value, str):
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Never raises: what ended the training matters more than the last lines of its log."""
        for part in (self._file, self._board):
            try:
                if part is not None:
                    part.close()
            except OSError as error:
                log.warning("The log of the training is incomplete: %s", error)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Raises:
        TalkingHeadsError: the block could not write into `folder`.
    """
    try:
        yield
    except OSError as error:
        raise TalkingHeadsError("The folder for a training's log must be writable, and its disk not full",
                                f"{folder}: {error.strerror or error}",
                                "Choose another folder, free some space, or change its permissions") from error


def _texts(metrics: Metrics) -> dict[str, str]:
    return {name: value for name, value in metrics.items() if isinstance(value, str)}


def _lines_until(path: Path, done: int) -> list[dict[str, str]]:
    """The lines of an earlier log up to step `done`."""
    if not done or not path.is_file():
        return []
    with path.open(newline="", encoding="utf8", errors="replace") as file:
        return [line for line in csv.DictReader(file) if _step_of(line) <= done]


def _step_of(line: Mapping[str, str]) -> float:
    """Infinity for a line that was cut off."""
    step = line.get("step") or ""
    return int(step) if step.isdecimal() else float("inf")


def _board(folder: Path, done: int) -> SummaryWriter | None:
    """A writer of TensorBoard's files, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)
