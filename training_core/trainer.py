"""Runs the steps of a training, of AToM or of MToV, and does what is to be done between them.

The state of a run stands beside the file it will make, `<name>.training.safetensors`: written at the beginning, every
`save_every` steps, when the report stops the run, and at the end until the file itself is saved.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..media_core.asked import whole
from ..media_core.captions import SHOWS
from ..media_core.errors import Cancelled, TalkingHeadsError
from ..media_core.json_files import as_json
from ..media_core.progress import Report
from .logs import TrainingLog
from .team import Alone

log = logging.getLogger(__name__)


class Lengths(Protocol):
    """What a training's settings must tell."""

    steps: int
    save_every: int
    val_every: int
    log_every: int


class Steps(Protocol):
    """A training between two steps."""

    config: Lengths
    team: Alone
    done: int

    def step(self) -> dict[str, float]: ...

    def save(self, path: Path, identity: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Verdict:
    """How far a training is, on what it has not learnt from."""

    figures: Mapping[str, float]  # for the log
    told: tuple[str, ...]  # which of them go with every later step's report
    picture: np.ndarray  # uint8 [H, W, 3]
    name: str  # of the picture
    shows: str = ""  # what the picture shows, for its caption


class Driver:
    """A whole training.

    Args:
        run: its steps.
        judge: looks at the run's weights; it is given what to call now and then, which may raise. None: nothing to look at.
        state: where the unfinished run is kept. identity: what must be equal for it to go on.
        report: once a step. folder: of the log. columns: of its table.
    """

    def __init__(self, run: Steps, judge: Callable[[Callable[[], None]], Verdict] | None, state: Path, identity: dict[str, Any],
                 report: Report, folder: Path, columns: tuple[str, ...]):
        self.run, self.judge, self.state, self.identity, self.report = run, judge, state, identity, report
        self.folder, self.columns, self.told, self.shows = folder, columns, {}, ""

    def drive(self) -> None:
        """Until the last step.

        Raises:
            TalkingHeadsError: what `run.step` and `run.save` raise, and a log that cannot be written.
            Whatever the report raises; the run's state is saved first.
        """
        run, lines = self.run, None
        if run.team.main:
            run.save(self.state, self.identity)  # a folder that is full or read-only shows before the work, not after it
            lines = TrainingLog(self.folder, run.done, run.config.steps, run.config.log_every, self.columns)
        try:
            while run.done < run.config.steps:
                self._step(lines)
            self._save()  # saving the file may fail too: only that is then done again
        finally:
            if lines is not None:
                lines.close()

    def _step(self, lines: TrainingLog | None) -> None:
        run = self.run
        try:
            figures = run.step()
        except TalkingHeadsError:  # refused before anything moved: what was learnt since the last saving is kept
            self._kept()
            raise
        try:
            if lines is not None:
                lines.step(run.done, figures)
            picture = self._judged(lines) if run.done % run.config.val_every == 0 or run.done == run.config.steps else None
            shows = {SHOWS: self.shows} if picture is not None and self.shows else {}
            self.report(run.done, run.config.steps, {**figures, **self.told, **shows}, picture)
        except BaseException:  # whatever stops the run (cancelling included) passes on; the work done so far is kept
            run.team.any(True)
            self._save()
            raise
        if run.team.any(False):
            self._save()
            raise Cancelled("another process of the training was stopped")
        if run.done % run.config.save_every == 0:
            self._save()

    def _save(self) -> None:
        """The main process alone saves."""
        if self.run.team.main:
            self.run.save(self.state, self.identity)

    def _kept(self) -> None:
        """Saves the state while something worse is being told."""
        try:
            self._save()
        except TalkingHeadsError as error:
            log.warning("The state of the training was not saved: %s", error)

    def _judged(self, lines: TrainingLog | None) -> np.ndarray | None:
        """The main process alone looks."""
        if self.judge is None or lines is None:
            return None
        run = self.run
        verdict = self.judge(lambda: self.report(run.done, run.config.steps, self.told, None))
        self.told, self.shows = {name: verdict.figures[name] for name in verdict.told}, verdict.shows
        lines.verdict(run.done, verdict.figures, verdict.name, verdict.picture)
        log.info("Step %d: %s", run.done, ", ".join(f"{name} {value:.4g}" for name, value in verdict.figures.items()))
        return verdict.picture


def unfinished_path(out: str | os.PathLike) -> Path:
    """Where the state of an unfinished run of `out` stands."""
    return Path(out).with_suffix(".training.safetensors")


def log_folder(out: str | os.PathLike, folder: str | os.PathLike | None) -> Path:
    """Where the log of a run of `out` goes, unless it is told."""
    return Path(folder) if folder is not None else Path(out).with_name(f"{Path(out).stem}_log")


def same_run(identity: Mapping[str, Any], came: Mapping[str, Any], path: Path) -> None:
    """Raises:
        TalkingHeadsError: the unfinished run at `path` is another one.
    """
    plain, came = as_json(identity), came if isinstance(came, dict) else {}
    differing = [k for k in plain if k != "config" and plain[k] != came.get(k)]
    theirs = came["config"] if isinstance(came.get("config"), dict) else {}
    differing += [k for k in plain["config"] if plain["config"][k] != theirs.get(k)]
    if differing:
        raise TalkingHeadsError("An unfinished training can only be continued with the same data set and settings",
                                f"another {', '.join(differing)} in {path.name}",
                                "Restore the settings, choose another name, or begin anew (resume off)")


def checked_seed(seed: int) -> int:
    """Raises:
        TalkingHeadsError: no whole number, or below 0.
    """
    return whole("A seed", seed)
