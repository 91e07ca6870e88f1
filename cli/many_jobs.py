"""Many jobs of one command: one after the other in this process, or several at once (docs/scale.md#many-jobs)."""
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media_core.errors import Cancelled, TalkingHeadsError
from ..media_core.remaining import duration
from .executor import Outcome, Result, Unit, chosen_executor
from .progress_line import INTERRUPTED, OK, Info, PrefixedLine, ProgressLine, stoppable
from .sending import files_in, sendable

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

WORKER = ".cli.many_jobs:JobWorker"
FAILED = 1
MANY = ("videos", "datasets", "more")  # options that name all jobs' inputs: a job has its own
DOES = {"capture": "capture_jobs", "evaluate": "evaluate_jobs", "train avatar": "avatar_training_jobs"}  # each has `done`


class JobWorker:
    """Does jobs as their commands do."""

    def __call__(self, unit: Unit, report: Report) -> Result:
        from .batch_work import check_here

        check_here(unit["reads"])
        module = import_module(f".{DOES[unit['does']]}", __package__)
        return module.done(argparse.Namespace(**unit["options"]), report)

    def forget(self) -> None:
        """Jobs of these kinds keep nothing."""


def unit_of(does: str, options: argparse.Namespace, files: Sequence[str], **changed: Any) -> Unit:
    """A job as it is sent to a worker.

    Args:
        does: a key of DOES.
        options: of the command.
        files: its options that name what is read.
        changed: options of this job alone; paths as they are.
    """
    sent = sendable(argparse.Namespace(**{**vars(options), **changed}), files, without=MANY)
    return {"does": does, "options": sent, "reads": files_in(sent, files)}


class Jobs:
    """The jobs of one call.

    Args:
        names: what each is called. units: of `unit_of`.
        workers: what --workers says.
        show: draws the progress of one.
        note: told of each that has ended well, with its number and result.
        target: the file or folder that a job leaves, by its number; None: it leaves none.
    """

    def __init__(self, names: Sequence[str], units: Sequence[Unit], workers: str | None,
                 show: Callable[[ProgressLine, int, int, Info], None], note: Callable[[int, Result], None],
                 target: Callable[[int], Path] | None = None):
        self._names, self._units, self._executor = names, units, chosen_executor(workers)
        self._show, self._note, self._target = show, note, target
        self._line, self._stopped, self._began = ProgressLine(), False, time.perf_counter()
        self._ended = self._failed = 0

    def run(self) -> int:
        """Does them: exit code. One that fails does not stop the others."""
        interrupted = False
        try:
            with stoppable(self._stop):
                for outcome in self._executor.run(WORKER, self._units, watch=self._watch, again=self._again):
                    self._take(outcome)
        except Cancelled:
            interrupted = True
        finally:
            self._line.close()
        if interrupted:
            print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
        print(f"{self._ended - self._failed} of {len(self._units)} are finished"
              + (f", {self._failed} failed" if self._failed else "")
              + f", in {duration(time.perf_counter() - self._began)}", file=sys.stderr)
        return INTERRUPTED if interrupted else FAILED if self._failed else OK

    def _stop(self) -> None:
        self._stopped = True

    def _watch(self, number: int, done: int, total: int, info: Mapping[str, Any]) -> None:
        if self._stopped:
            raise Cancelled("stopped by Ctrl-C")
        if info:
            self._show(PrefixedLine(self._line, f"{self._ended + 1}/{len(self._units)} {self._names[number]}"), done, total, info)

    def _again(self, number: int, error: Exception) -> None:
        self._say(f"{self._names[number]}: trying again: {error}")

    def _take(self, outcome: Outcome) -> None:
        from .main import plain

        self._ended += 1
        error, name = outcome.error, self._names[outcome.number]
        if error is None and self._target is not None and not self._target(outcome.number).exists():
            error = TalkingHeadsError("All machines must share the folder that results are written to",
                                      f"{outcome.where} wrote {self._target(outcome.number)}, which is not here",
                                      "Write to a shared folder")
        if error is not None:
            self._failed += 1
            self._say(f"{name}: {plain(error)}")
            return
        self._line.close()
        self._note(outcome.number, outcome.result or {})

    def _say(self, text: str) -> None:
        self._line.close()
        print(text, file=sys.stderr, flush=True)


def named_apart(targets: Sequence[Path], what: str) -> None:
    """Raises:
        TalkingHeadsError: two jobs would write the same file or folder.
    """
    twice = [str(path) for number, path in enumerate(targets) if path in targets[:number]]
    if twice:
        raise TalkingHeadsError(f"Each {what} must have a name of its own", f"two would be written to {twice[0]}",
                                "Rename one, or do them one after the other")
