"""Units of work on Ray: several workers at once, each in a process of its own (docs/scale.md#how-it-works)."""
from __future__ import annotations

import logging
import os
import platform
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..media_core.errors import Cancelled, TalkingHeadsError
from .executor import Again, Outcome, Unit, Watch, made_worker

if TYPE_CHECKING:
    import numpy as np

_PAUSE = 0.5  # s between two looks at what Ray does
_GRACE = 10.0  # s that a worker has to end its unit cleanly
_LOSSES = 3  # of workers over one unit; after that it is the unit
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_raylet_start_wait_time_s": "120"}  # read when Ray is imported
_STORE = 100 << 20  # bytes of Ray's object store: only JSON goes through it


class OnRay:
    """Several workers at once, each in a process of its own, on this machine or on a Ray cluster (docs/scale.md#how-it-works).

    Args:
        where: a number of workers here; "auto": this machine's cluster, or all of its processors; or a cluster's address.
    Raises:
        TalkingHeadsError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, where: str):
        self._where = where

    def run(self, worker: str, units: Sequence[Unit], *, watch: Watch, again: Again, retries: int = 0,
            ordered: bool = True) -> Iterator[Outcome]:
        """See `Executor`. A unit whose worker dies is given to another one, whatever `retries` says."""
        with _connected(self._where) as count:
            yield from _Pool(worker, units, min(count, len(units)), watch, again, retries).outcomes(ordered)


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


class _Pool:
    """Workers and their units: at most one unit each, and in order at most two each ahead of the outcome that comes next."""

    def __init__(self, worker: str, units: Sequence[Unit], count: int, watch: Watch, again: Again, retries: int):
        self._worker, self._units, self._count = worker, units, count
        self._watch, self._again, self._retries = watch, again, retries
        self._idle = [self._actor() for _ in range(count)]
        self._running: dict[Any, _Running] = {}
        self._attempts, self._losses = [0] * len(units), [0] * len(units)

    def _actor(self) -> Any:
        import ray

        share = min(1.0, ray.cluster_resources().get("GPU", 0.0) / self._count)
        return ray.remote(_Remote).options(num_cpus=1, num_gpus=share, max_concurrency=3).remote(self._worker)

    def outcomes(self, ordered: bool) -> Iterator[Outcome]:
        """See `Executor.run`."""
        waiting, ready, due = deque(range(len(self._units))), dict[int, Outcome](), 0
        try:
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

    def _begin(self, number: int) -> None:
        self._watch(number, 0, 0, {})
        actor = self._idle.pop()
        self._attempts[number] += 1
        self._running[actor.do.remote(dict(self._units[number]))] = _Running(number, actor, time.perf_counter())

    def _look(self, waiting: deque[int]) -> Iterator[Outcome]:
        """What has ended meanwhile; what is to be done again goes to the front of `waiting`."""
        import ray

        done, _ = ray.wait(list(self._running), num_returns=1, timeout=_PAUSE)
        if not done:
            self._show()
        for ref in done:
            one = self._running.pop(ref)
            outcome = self._ended(ref, one)
            if outcome is None:
                waiting.appendleft(one.number)
            else:
                yield outcome

    def _ended(self, ref: Any, one: _Running) -> Outcome | None:
        """How a unit ended; None: it is to be done again."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        number, seconds, where = one.number, time.perf_counter() - one.began, ""
        try:
            (told,) = ray.get([ref])
        except RayError as lost:
            if "creation task" in str(lost):  # nothing will work: neither this unit nor another
                raise TalkingHeadsError("Every machine must have this version of Talking Heads", "a worker could not start: "
                                        + _last_line(lost), "Install it there, with the packages that it needs") from lost
            self._idle.append(self._actor())
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

    def _show(self) -> None:
        """Tells how far the first unit in work is."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        one = min(self._running.values(), key=lambda one: one.number)
        try:
            done, total, info = ray.get(one.actor.at.remote(), timeout=_PAUSE)
        except (GetTimeoutError, RayError):
            done, total, info = 0, 0, {}  # it is starting, busy or lost: `_ended` will tell
        self._watch(one.number, done, total, info)

    def _end(self) -> None:
        """Ends all workers: those in work at their next step, or after some seconds wherever they are."""
        import ray

        for one in self._running.values():
            one.actor.stop.remote()
        if self._running:
            ray.wait(list(self._running), num_returns=len(self._running), timeout=_GRACE)
        for actor in (*self._idle, *(one.actor for one in self._running.values())):
            ray.kill(actor)
        self._idle, self._running = [], {}


def _lost(error: Exception, times: int) -> TalkingHeadsError:
    """Of a worker that died."""
    return TalkingHeadsError("A worker must live until its job is done", f"it was lost ({times} times so far): "
                             f"{_last_line(error)}", "If its memory was short, use fewer --workers")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


@contextmanager
def _connected(where: str) -> Iterator[int]:
    """Ray, for the time of the block; the number of workers."""
    os.environ.update({name: value for name, value in _RAY.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        raise TalkingHeadsError("Several workers need Ray", "it is not installed",
                                'Install it with pip install "talking-heads[cluster]", or leave --workers out') from error
    mine = not ray.is_initialized()
    if mine:
        _start(ray, where)
    try:
        there = ray.cluster_resources()
        yield int(where) if where.isdecimal() else max(1, int(there.get("GPU", 0) or there.get("CPU", 1)))
    finally:
        if mine:
            ray.shutdown()


def _start(ray: ModuleType, where: str) -> None:
    """Joins a cluster, or makes one of this machine alone; TalkingHeadsError: there is no such cluster."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if where.isdecimal():
            ray.init(address="local", num_cpus=int(where), include_dashboard=False, object_store_memory=_STORE, **quiet)
        else:
            ray.init(address=None if where == "auto" else where, **quiet)
    except Exception as error:  # Ray raises plain ones too
        raise TalkingHeadsError("Ray must start here, or be there", f"--workers {where}: {str(error).splitlines()[0]}",
                                "Check the address; ray status tells whether a cluster is there") from error
