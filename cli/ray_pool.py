"""The workers of Ray and their units (docs/scale.md#how-it-works)."""
from __future__ import annotations

import logging
import platform
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..media_core.errors import Cancelled, TalkingHeadsError
from ..media_core.remaining import duration
from .executor import Again, Outcome, Unit, Watch, made_worker

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)
_PAUSE = 0.5  # s between two looks at what Ray does
_GRACE = 10.0  # s that a worker has to end its unit cleanly
_START = 600.0  # s that a worker has to start: a machine that is fetched for it, and a cold disk, take minutes
_LOSSES = 3  # of workers over one unit; after that it is the unit


class _Remote:
    """A worker in a process of its own. Its other methods answer while it works."""

    def __init__(self, worker: str):
        self._worker = made_worker(worker)
        self._at: tuple[int, int, Mapping[str, Any]] = 0, 0, {}
        self._stopped = False

    def do(self, unit: Unit) -> dict[str, Any]:
        """Does a unit: its result or its error, as they can be sent."""

        def report(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
            if self._stopped:
                raise Cancelled("stopped")
            self._at = done, total, {key: value for key, value in info.items() if isinstance(value, (str, int, float))}

        began, ended = time.perf_counter(), dict[str, Any](where=platform.node())
        try:
            ended["result"] = dict(self._worker(unit, report))
        except TalkingHeadsError as error:
            ended["error"] = error
        except Exception as error:  # of any library, perhaps of one that the other side lacks: told in words
            ended["error"] = RuntimeError(f"{type(error).__name__}: {error}")
        self._at = 0, 0, {}
        if "error" in ended:
            self._worker.forget()
        return {**ended, "seconds": time.perf_counter() - began}

    def at(self) -> tuple[int, int, Mapping[str, Any]]:
        """(done, total, figures) of the unit in work."""
        return self._at

    def stop(self) -> None:
        """Ends the unit in work at its next step; it cleans up."""
        self._stopped = True


@dataclass
class _Running:
    """A unit in work."""

    number: int
    actor: Any  # of Ray
    began: float


@dataclass
class _Starting:
    """A worker that has not answered yet."""

    actor: Any
    until: float  # of time.monotonic


class Pool:
    """Workers and their units: at most one unit each, and in order at most two each ahead of the outcome that comes next. Only
    workers that have started get units: one that does not holds nothing up."""

    def __init__(self, worker: str, units: Sequence[Unit], count: int, watch: Watch, again: Again, retries: int):
        self._worker, self._units, self._count = worker, units, count
        self._watch, self._again, self._retries = watch, again, retries
        self._idle: list[Any] = []
        self._running: dict[Any, _Running] = {}
        self._starting: dict[Any, _Starting] = {}
        self._attempts, self._losses = [0] * len(units), [0] * len(units)
        self._fallen = 0  # workers that died while they were starting

    def outcomes(self, ordered: bool) -> Iterator[Outcome]:
        """See `Executor.run`."""
        waiting, ready, due = deque(range(len(self._units))), dict[int, Outcome](), 0
        try:
            for _ in range(self._count):
                self._start()
            while waiting or self._running or ready:
                while waiting and self._idle and (not ordered or waiting[0] < due + 2 * self._count):
                    self._begin(waiting.popleft())
                for outcome in self._look(waiting):
                    ready[outcome.number] = outcome
                for number in sorted(ready):
                    if not ordered or number == due:
                        due += 1
                        yield ready.pop(number)
        finally:
            self._end()

    def _start(self) -> None:
        """Has Ray make a worker, which is idle once it answers."""
        import ray

        share = min(1.0, ray.cluster_resources().get("GPU", 0.0) / self._count)
        try:
            actor: Any = ray.remote(_Remote).options(num_cpus=1, num_gpus=share, max_concurrency=3).remote(self._worker)
        except ImportError as error:  # of the first machine of a cluster that is reached by ray://
            raise _foreign(error) from error
        self._starting[actor.at.remote()] = _Starting(actor, time.monotonic() + _START)

    def _begin(self, number: int) -> None:
        self._watch(number, 0, 0, {})
        actor = self._idle.pop()
        self._attempts[number] += 1
        self._running[actor.do.remote(dict(self._units[number]))] = _Running(number, actor, time.perf_counter())

    def _look(self, waiting: deque[int]) -> Iterator[Outcome]:
        """What has ended meanwhile; what is to be done again goes to the front of `waiting`."""
        import ray

        self._give_up()
        asked = [*self._running, *self._starting]
        done, _ = ray.wait(asked, num_returns=1, timeout=_PAUSE) if asked else ([], [])
        if not done:
            self._show(waiting)
        for ref in done:
            if ref in self._starting:
                self._started(ref, self._starting.pop(ref))
                continue
            one = self._running.pop(ref)
            outcome = self._ended(ref, one)
            if outcome is None:
                waiting.appendleft(one.number)
            else:
                yield outcome

    def _started(self, ref: Any, one: _Starting) -> None:
        """A worker answers, or has failed to start."""
        import ray
        from ray.exceptions import RayError

        try:
            ray.get([ref])
        except RayError as lost:
            self._fallen += 1
            if _not_made(lost) or self._fallen > _LOSSES * self._count:  # nothing will work: neither this unit nor another
                raise _foreign(lost) from lost
            self._start()
        else:
            self._idle.append(one.actor)

    def _give_up(self) -> None:
        """Lets go of workers that take too long to start.

        Raises:
            TalkingHeadsError: there is no other one.
        """
        import ray

        late = [ref for ref, one in self._starting.items() if one.until < time.monotonic()]
        for ref in late:
            ray.kill(self._starting.pop(ref).actor)
        if not late:
            return
        if not (self._idle or self._running or self._starting):
            raise TalkingHeadsError(f"A worker must start within {duration(_START)}", f"none of {self._count} has",
                                    "Look at `ray status` (each worker takes a processor, and where there are GPUs a share of "
                                    "them) and at the disk that the pack is read from, or use fewer --workers")
        log.warning("%d of %d workers have not started within %s; the others go on without them", len(late), self._count,
                    duration(_START))

    def _ended(self, ref: Any, one: _Running) -> Outcome | None:
        """How a unit ended; None: it is to be done again."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        number, seconds, where = one.number, time.perf_counter() - one.began, ""
        try:
            (told,) = ray.get([ref])
        except RayError as lost:
            self._start()
            self._losses[number] += 1
            self._attempts[number] -= 1
            error: Exception | None = _lost(lost, self._losses[number])
            over = self._losses[number] > _LOSSES or isinstance(lost, RayTaskError)
        else:
            self._idle.append(one.actor)
            error, seconds, where = told.get("error"), told["seconds"], told["where"]
            over = self._attempts[number] > self._retries
            if error is None:
                return Outcome(number, told["result"], None, seconds, self._attempts[number], where)
        assert error is not None
        if over:
            return Outcome(number, None, error, seconds, max(1, self._attempts[number]), where)
        self._again(number, error)
        return None

    def _show(self, waiting: deque[int]) -> None:
        """Tells how far the first unit in work is; while workers start, that the first one waits."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        if not self._running:
            for number in list(waiting)[:1]:
                self._watch(number, 0, 0, {})
            return
        one = min(self._running.values(), key=lambda one: one.number)
        try:
            done, total, info = ray.get(one.actor.at.remote(), timeout=_PAUSE)
        except (GetTimeoutError, RayError):
            done, total, info = 0, 0, {}  # it is busy or lost: `_ended` will tell
        self._watch(one.number, done, total, info)

    def _end(self) -> None:
        """Ends all workers: those in work at their next step, or after some seconds wherever they are."""
        import ray

        for one in self._running.values():
            one.actor.stop.remote()
        if self._running:
            ray.wait(list(self._running), num_returns=len(self._running), timeout=_GRACE)
        for actor in (*self._idle, *(one.actor for one in (*self._running.values(), *self._starting.values()))):
            ray.kill(actor)
        self._idle, self._running, self._starting = [], {}, {}


def _not_made(error: Exception) -> bool:
    """Whether a worker's own constructor failed, which it will anywhere else too."""
    return "creation task" in str(error)


def _foreign(error: Exception) -> TalkingHeadsError:
    """Of a worker that cannot start."""
    came = f"a worker could not start: {_last_line(error)}"
    return TalkingHeadsError("Every machine must have this version of Talking Heads", came,
                             "Install it there, with the packages that it needs")


def _lost(error: Exception, times: int) -> TalkingHeadsError:
    """Of a worker that died."""
    return TalkingHeadsError("A worker must live until its job is done", f"it was lost ({times} times so far): "
                             f"{_last_line(error)}", "If its memory was short, use fewer --workers")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
