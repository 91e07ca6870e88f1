"""Units of work: one after the other in this process, or several at once on Ray (docs/scale.md).

A unit is described by plain JSON, so that it can be sent anywhere, and done by a worker: an object that is made once, keeps its
models, and is called with one unit after the other.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ..media_core.errors import Cancelled, TalkingHeadsError

if TYPE_CHECKING:
    import numpy as np

    from ..media_core.progress import Report  # imports NumPy

Unit = Mapping[str, Any]  # what is to be done, as JSON holds it
Result = Mapping[str, Any]  # likewise
Watch = Callable[[int, int, int, Mapping[str, Any]], None]  # number of the unit, done, total, figures (none yet: it begins); may
# raise Cancelled
Again = Callable[[int, Exception], None]  # number of the unit that will be tried again, and why
SERVER = "server"  # among the figures: a server does it
_MOST = 1000  # workers
PACKAGE = __name__.rpartition(".cli.")[0]


class Worker(Protocol):
    """Does units of one kind."""

    def __call__(self, unit: Unit, report: Report) -> Result: ...  # `report` is called at every step and may raise Cancelled

    def forget(self) -> None: ...  # gives the memory of its models back


@dataclass(frozen=True)
class Outcome:
    """How a unit ended."""

    number: int  # of the unit, from 0
    result: Result | None  # None: it failed
    error: Exception | None
    seconds: float  # of the last attempt
    attempts: int
    where: str = ""  # the machine, where it is not this one


class Executor(Protocol):
    """Does many units."""

    def run(self, worker: str, units: Sequence[Unit], *, watch: Watch, again: Again, retries: int = 0,
            ordered: bool = True) -> Generator[Outcome, None, None]:
        """Every unit's outcome; a unit that fails does not end the others.

        Args:
            worker: of which kind, see `made_worker`.
            watch: told of progress; what it raises ends all work.
            again: told of every failed attempt that is followed by another.
            retries: further attempts at a unit that fails.
            ordered: outcomes come in the units' order; else as they are ready.
        """
        ...


def made_worker(name: str) -> Worker:
    """A new worker. `name`: "module:Class"; a module that begins with a dot is one of this package."""
    module, _, kind = name.partition(":")
    return getattr(import_module(module, PACKAGE), kind)()


class InProcess:
    """One unit after the other, here."""

    def run(self, worker: str, units: Sequence[Unit], *, watch: Watch, again: Again, retries: int = 0,
            ordered: bool = True) -> Generator[Outcome, None, None]:
        """See `Executor`."""
        does = made_worker(worker)
        try:
            for number, unit in enumerate(units):
                yield self._done(does, number, unit, watch, again, retries)
        finally:
            does.forget()

    @staticmethod
    def _done(does: Worker, number: int, unit: Unit, watch: Watch, again: Again, retries: int) -> Outcome:
        def report(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
            watch(number, done, total, info)

        for attempt in range(1, retries + 2):
            watch(number, 0, 0, {})
            began = time.perf_counter()
            try:
                result = does(unit, report)
            except Cancelled:
                raise
            except Exception as error:  # whatever it is, the other units are done all the same; it is reported with its unit
                seconds = time.perf_counter() - began
                does.forget()
                if attempt > retries:
                    return Outcome(number, None, error, seconds, attempt)
                again(number, error)
            else:
                return Outcome(number, result, None, time.perf_counter() - began, attempt)
        raise AssertionError("the last attempt returns")


def is_address(workers: str) -> bool:
    """Whether --workers names a Ray cluster."""
    return ":" in workers


def chosen_executor(workers: str | None) -> Executor:
    """What --workers says; TalkingHeadsError: neither a number, "auto" nor an address."""
    if workers in (None, "1"):
        return InProcess()
    if not (workers == "auto" or workers.isdecimal() and 0 < int(workers) <= _MOST or is_address(workers)):
        raise TalkingHeadsError(f"--workers must be a number of 1 to {_MOST}, auto, or a Ray cluster's address", repr(workers),
                                "Write for example --workers 4, or --workers ray://10.0.0.5:10001")
    from .ray_executor import OnRay

    return OnRay(workers)


def add_chunk_workers(add: Callable[..., argparse.Action]) -> None:
    """The option, of commands that make one video. `add`: of a parser."""
    add("--workers", metavar="N|auto|ADDRESS", help="make the video in chunks of 250 frames, in N processes; auto: on a Ray "
        "cluster, or all of this machine; or at a cluster's address, ray://HOST:10001 (all but 1 need the extra cluster). Any "
        "number makes the same video, and finished chunks stay for the next run (default: in one piece)")


def add_workers(add: Callable[..., argparse.Action]) -> None:
    """The option, the same for every command that can share its work out. `add`: of a parser."""
    add("--workers", metavar="N|auto|ADDRESS", help="how many at once, each in a process of its own with its own models; auto: a "
        "Ray cluster, or all of this machine; or a cluster's address, ray://HOST:10001 (default: 1, in this process; others need "
        "the extra cluster)")
