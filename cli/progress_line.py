"""One progress line on stderr, and the stop button (Ctrl-C) behind it."""
from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ..media_core.errors import Cancelled

if TYPE_CHECKING:
    import numpy as np

    from ..media_core.progress import Report  # imports NumPy

OK, INTERRUPTED = 0, 130  # exit codes
Info = Mapping[str, Any]  # a report's figures: numbers and words, different ones in each job
Result = TypeVar("Result")
_PAUSE = 0.1  # s between two drawings
_WIDTH = 100  # characters; the end of a longer line is cut, and sooner on a narrow terminal, which would wrap it


class ProgressLine:
    """Redraws one line on a terminal; elsewhere (in a log file) prints a line only when the label changes."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._drawn, self._label, self._began, self._first = 0.0, "", time.perf_counter(), 0.0

    def show(self, label: str, done: float = 0, total: float = 0, note: str = "") -> None:
        """label "Render Avatar Video", done and total in the node's own steps, a note such as "loss 0.03"."""
        now = time.perf_counter()
        fresh = label != self._label
        if fresh:
            self._label, self._began, self._first = label, now, done
            if not self._live:
                print(label, file=self._stream, flush=True)
        if self._live and (fresh or done >= total or now - self._drawn >= _PAUSE):
            self._drawn = now
            rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
            figures = f"  {done:g}/{total:g}  {100 * done / total:3.0f} %  {rate:.1f}/s" if total > 0 else ""
            width = _columns(self._stream)
            self._stream.write("\r" + f"{label}{figures}  {note}"[:width].ljust(width))
            self._stream.flush()

    def close(self) -> None:
        """Leaves the terminal on a clean line."""
        if self._live and self._label:
            self._stream.write("\r" + " " * _columns(self._stream) + "\r")
            self._stream.flush()
        self._label = ""


class PrefixedLine(ProgressLine):
    """A progress line that also says which job of how many, and how long the rest will take."""

    def __init__(self, line: ProgressLine, before: str, after: str = ""):
        self._shown, self._before, self._after = line, before, after

    def show(self, label: str, done: float = 0, total: float = 0, note: str = "") -> None:
        self._shown.show(f"{self._before}: {label}", done, total, "  ".join(part for part in (note, self._after) if part))


def _columns(terminal: TextIO) -> int:
    """How many characters fit into one line of it."""
    try:
        columns = os.get_terminal_size(terminal.fileno()).columns
    except (OSError, ValueError):  # it does not know its size
        columns = 0
    return min(_WIDTH, columns - 1) if columns > 1 else _WIDTH


@contextmanager
def stoppable(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, or SIGTERM from outside, calls `stop` once, so that the job ends within one step and cleans up; a second one ends
    the program."""

    def pressed(number: int, frame: FrameType | None) -> None:
        print("\nStopping after this step; Ctrl-C again ends at once.", file=sys.stderr, flush=True)
        for one in before:
            signal.signal(one, signal.default_int_handler)
        stop()

    before = {one: signal.signal(one, pressed) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def run_job(work: Callable[[Report], Result], show: Callable[[ProgressLine, int, int, Info], None],
            show_result: Callable[[Result], None], *, goes_on: bool = True, silent: bool = False) -> int:
    """A job with a progress line and the stop button; exit code.

    Args:
        work: the job; it calls the report it is given at every step.
        show: draws such a report (line, done, total, info).
        show_result: prints what the job returned, on a clean terminal.
        goes_on: the same command continues an interrupted job; printed on interruption.
        silent: print nothing, in the processes beside the main one.
    """
    line = ProgressLine()
    stopped: list[bool] = []

    def report(done: int, total: int, info: Info, preview: np.ndarray | None = None) -> None:
        if stopped:
            raise Cancelled("stopped by Ctrl-C")
        if not silent:
            show(line, done, total, info)

    try:
        with stoppable(lambda: stopped.append(True)):
            result = work(report)
    except Cancelled:
        line.close()
        if not silent:
            print("Interrupted." + " The same command continues where it stopped." * goes_on, file=sys.stderr)
        return INTERRUPTED
    finally:
        line.close()
    if not silent:
        show_result(result)
    return OK
