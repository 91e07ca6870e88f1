"""How much longer a job takes, from how fast it has been going lately."""
from __future__ import annotations

from collections import deque

_WINDOW = 30.0  # s over which the speed is measured: the stages of a training differ
_APART = 0.5  # s between two measurements
_MEASURED = 3.0  # s before anything is said
_SHORT = 10.0  # s; less is not worth a word


class Remaining:
    """Told of every step, knows the seconds that are left."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()  # (time in s, steps done), oldest first

    def restart(self) -> None:
        """Forgets what was measured: something else took the time."""
        self._marks.clear()

    def seconds(self, done: float, total: float, now: float) -> float | None:
        """Seconds left of a job that has done so many of `total` steps at the time `now` (s); None while that is not known."""
        marks = self._marks
        if marks and done < marks[-1][1]:  # another job, or another pass over the same frames
            marks.clear()
        if len(marks) == 1 and done == marks[0][1]:  # what comes before the first step is not measured
            marks.clear()
        if not marks or done > marks[-1][1] and now - marks[-1][0] >= _APART:
            marks.append((now, done))
        while len(marks) > 2 and now - marks[1][0] >= _WINDOW:
            marks.popleft()
        began, before = marks[0]
        return (total - done) * (now - began) / (done - before) if done > before and now - began >= _MEASURED else None


def left(seconds: float | None) -> str:
    """"about 4 min left"; empty while it is not known, and where it is hardly any time."""
    return f"about {duration(seconds)} left" if seconds is not None and seconds >= _SHORT else ""


def duration(seconds: float) -> str:
    """A time as it is said: "8 s", "40 s", "4 min", "2 h 10 min"."""
    if seconds < 57.5:
        return f"{round(seconds)} s" if seconds < 10 else f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(seconds / 600), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
