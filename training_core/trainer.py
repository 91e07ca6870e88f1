"""The one loop of every training: it runs the steps of a `TrainState` and does what is due between them.

The state of a training stands beside the file it will make, `<name>.training.safetensors`: written at the start, every
`save_every` steps, when anything stops the training, and at the end until the file itself is saved.
"""
from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..media_core.asked import whole
from ..media_core.captions import SHOWS
from ..media_core.errors import Cancelled, TalkingHeadsError, out_of_memory
from ..media_core.json_files import as_json
from ..media_core.progress import Enough, Report, never
from .logs import Metrics, TrainingLog
from .process_group import SingleProcess

log = logging.getLogger(__name__)


class Intervals(Protocol):
    """How often something is due, in steps."""

    @property
    def save_every(self) -> int: ...

    @property
    def val_every(self) -> int: ...

    @property
    def log_every(self) -> int: ...


@dataclass(frozen=True)
class Shown:
    """What a report shows of a step."""

    info: Metrics
    image: np.ndarray | None = None  # uint8 [H, W, 3]
    caption: str = ""  # what the image shows


@dataclass(frozen=True)
class EvalResult:
    """How good a model is on data it was not trained on."""

    metrics: Mapping[str, float]  # for the log
    reported: tuple[str, ...]  # which of them go with every later step's report
    image: np.ndarray  # uint8 [H, W, 3]
    name: str  # of the image, in TensorBoard
    caption: str = ""  # what the image shows


Validate = Callable[[Callable[[], None]], EvalResult | None]  # given what to call now and then, which may raise to stop


class TrainState(ABC):
    """A training between two steps: what a method brings to the `Trainer`.

    Args:
        config: how often to save, validate and log.
        steps: how many there are.
        group: the processes that train together.
    Attributes:
        step: steps done.
        whole: whether the last step is complete, or changed nothing: only then may the state be saved.
    """

    def __init__(self, config: Intervals, steps: int, group: SingleProcess):
        self.intervals, self.steps, self.group = config, steps, group
        self.step, self.whole = 0, True

    @abstractmethod
    def train_step(self) -> Metrics:
        """One optimisation step: its metrics, for the log.

        Raises:
            TalkingHeadsError: the loss or a gradient is not finite; weights and moments are those before the step.
            What an allocator raises when memory runs out.
        """

    @abstractmethod
    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Writes everything that continuing takes, whole or not at all.

        Raises:
            TalkingHeadsError: weights that are not finite (an earlier file stays), or no room.
        """

    def shown(self, metrics: Metrics) -> Shown:
        """What the report shows of the step just done."""
        return Shown(metrics)

    def less_memory(self) -> str:
        """What to do where memory ran out."""
        return "Choose a smaller preset or smaller images, or close other programs; then run it again: it continues"

    def notice(self) -> Metrics | None:
        """What to report before the next step, where it takes unusually long; None: nothing."""
        return None


@dataclass
class Trainer:
    """A whole training."""

    state: TrainState
    validate: Validate | None  # None: there is nothing to validate on
    path: Path  # of the state on disk
    identity: Mapping[str, Any]  # what must be equal for the training to be continued
    report: Report  # called once a step; may raise to stop
    folder: Path  # of the log
    columns: tuple[str, ...]  # of its table
    enough: Enough = never  # asked before each step but the first; by every process of a group, or by none
    reported: dict[str, float] = field(default_factory=dict, init=False)  # of the last validation
    _saved: int | None = field(default=None, init=False)  # the step the state on disk is of

    def run(self) -> None:
        """Until the last step, or until it is enough: the state then stays on disk, so that the training can go on later.

        Raises:
            TalkingHeadsError: what the state's `train_step` and `save` raise, and a log that cannot be written.
            TalkingHeadsError: memory ran out.
            Whatever the report raises; the state is saved first.
        """
        try:
            self._run()
        except Exception as error:
            if not out_of_memory(error) or isinstance(error, TalkingHeadsError):
                raise
            came = str(error).split(". ")[0] or type(error).__name__
            raise TalkingHeadsError("A training's step must fit into the memory of its device",
                                    f"out of memory in step {self.state.step + 1} of {self.state.steps} ({came}); the state "
                                    f"saved last is of step {self._saved or 0}", self.state.less_memory()) from error

    def _run(self) -> None:
        state, lines = self.state, None
        self._save()  # a folder that is full or read-only shows before the work, not after it
        if state.group.main:
            lines = TrainingLog(self.folder, state.step, state.steps, state.intervals.log_every, self.columns)
        try:
            while state.step < state.steps and not self._is_enough():
                self._notice()
                self._step(lines)
            if lines is not None:
                lines.finish()
            self._save()  # saving the file may fail too: only that is then done again
        finally:
            if lines is not None:
                lines.close()

    def _is_enough(self) -> bool:
        """What has learnt nothing at all is not worth keeping."""
        return self.enough is not never and self.state.step > 0 and self.state.group.any(self.enough())

    def _notice(self) -> None:
        """Several processes get no notice: one that stopped here would leave the others waiting."""
        state = self.state
        notice = state.notice() if state.group.size == 1 else None
        if notice is not None:
            try:
                self.report(state.step, state.steps, notice, None)
            except BaseException:  # passed on, as below
                self._save()
                raise

    def _step(self, lines: TrainingLog | None) -> None:
        state = self.state
        try:
            metrics = state.train_step()
        except Exception as error:  # refused before anything moved: what was learnt since the last saving is kept
            if isinstance(error, TalkingHeadsError) or out_of_memory(error):
                self._save_if_possible()
            raise
        try:
            if state.step % state.intervals.save_every == 0:
                self._save()
            if lines is not None:
                lines.step(state.step, metrics)
            self._report(state.shown(metrics), lines)
        except BaseException:  # whatever stops the training (cancelling included) passes on; the work done so far is kept
            state.group.any(True)
            self._save()
            raise
        if state.group.any(False):
            self._save()
            raise Cancelled("another process of the training was stopped")

    def _report(self, shown: Shown, lines: TrainingLog | None) -> None:
        state = self.state
        if state.step % state.intervals.val_every == 0 or state.step == state.steps:
            result = self._evaluated(shown.info, lines)
            shown = shown if result is None else Shown(shown.info, result.image, result.caption)
        caption = {SHOWS: shown.caption} if shown.image is not None and shown.caption else {}
        self.report(state.step, state.steps, {**shown.info, **self.reported, **caption}, shown.image)

    def _evaluated(self, info: Metrics, lines: TrainingLog | None) -> EvalResult | None:
        """The main process alone validates."""
        if self.validate is None or lines is None:
            return None
        state = self.state
        meanwhile = {name: value for name, value in info.items() if isinstance(value, str)}  # the phase, not the step's metrics
        result = self.validate(lambda: self.report(state.step, state.steps, {**meanwhile, **self.reported}, None))
        if result is not None:
            self.reported = {name: result.metrics[name] for name in result.reported}
            lines.evaluated(state.step, result.metrics, result.name, result.image)
            log.info("Step %d: %s", state.step, ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items()))
        return result

    def _save(self) -> None:
        """The main process alone saves, and no step twice."""
        if self.state.group.main and self._saved != self.state.step:
            self.state.save(self.path, self.identity)
            self._saved = self.state.step

    def _save_if_possible(self) -> None:
        """Saves the state while something worse is being reported."""
        if not self.state.whole:
            log.warning("The state of the training was not saved: it stopped in the middle of a step; the one saved before is "
                        "kept")
            return
        try:
            self._save()
        except TalkingHeadsError as error:
            log.warning("The state of the training was not saved: %s", error)


def finished(done: int, steps: int, *states: Path) -> None:
    """After the model is saved: removes the states on disk, unless the training ended early and may go on."""
    for path in states if done >= steps else ():
        path.unlink(missing_ok=True)


def ended_early(done: int, steps: int) -> dict[str, int]:
    """What a model's description says of a training that was ended before its last step: "stopped_at"."""
    return {"stopped_at": done} if done < steps else {}


def unfinished_path(out: str | os.PathLike[str]) -> Path:
    """Where the state of an unfinished training of `out` stands."""
    return Path(out).with_suffix(".training.safetensors")


def log_folder(out: str | os.PathLike[str], folder: str | os.PathLike[str] | None) -> Path:
    """Where the log of a training of `out` goes: `folder`, or `<name>_log` beside the file."""
    return Path(folder) if folder is not None else Path(out).with_name(f"{Path(out).stem}_log")


def same_run(identity: Mapping[str, Any], saved: Mapping[str, Any], path: Path) -> None:
    """Raises:
        TalkingHeadsError: the unfinished training at `path` is another one; which settings differ.
    """
    mine = as_json(identity)
    differing = [name for name in mine if name != "config" and mine[name] != saved.get(name)]
    theirs = saved["config"] if isinstance(saved.get("config"), dict) else {}
    differing += [name for name, value in mine.get("config", {}).items() if value != theirs.get(name)]
    if differing:
        named = [f"; its {name} is '{saved[name]}', not '{mine[name]}'" for name in differing
                 if isinstance(mine.get(name), str) and isinstance(saved.get(name), str)]
        raise TalkingHeadsError("An unfinished training can only be continued with the same dataset and settings",
                                f"another {', '.join(differing)} in {path.name}{''.join(named)}",
                                "Restore the settings, choose another name, or start over (resume off)")


def checked_seed(seed: int) -> int:
    """Raises:
        TalkingHeadsError: no whole number, or below 0.
    """
    return whole("A seed", seed)
