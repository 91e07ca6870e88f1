"""One line on stderr that follows a job, and the stop button (Ctrl-C) behind it."""
from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, TextIO

_PAUSE = 0.1  # s between two drawings
_WIDTH = 100  # characters; the end of a longer line is cut


class ProgressLine:
    """Redraws one line on a terminal; elsewhere (a log file) prints a line only when the label changes."""

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
            self._stream.write("\r" + f"{label}{figures}  {note}"[:_WIDTH].ljust(_WIDTH))
            self._stream.flush()

    def close(self) -> None:
        """Leaves the terminal on a clean line."""
        if self._live and self._label:
            self._stream.write("\r" + " " * _WIDTH + "\r")
            self._stream.flush()
        self._label = ""


@contextmanager
def stoppable(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, or a polite end from outside (SIGTERM), calls `stop` once, so that the job ends within one step and cleans up; a
    second one ends the program."""

    def pressed(number: int, frame: Any) -> None:
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
