"""Jobs in several processes, where threads would wait for one another. They are spawned, as Windows and macOS do anyway.

A job leaves its result on disk; so it does not matter which process did it, or whether it was done before.
"""
from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import Cancelled, TalkingHeadsError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import SynchronizedArray
    from multiprocessing.synchronize import Event

    import numpy as np

    from .progress import Report

Job = TypeVar("Job")
Unit = Mapping[str, Any]  # a job as JSON holds it
Elsewhere = Callable[[Sequence[Unit], Callable[[Sequence[int]], object]], object]
# Does all of them, in other processes or on other machines that share the folders. The second argument is called a few times a
# second with what is done of each, and may raise. Raises what a job raised first.
log = logging.getLogger(__name__)
_PATIENCE = 0.2  # s between two reports
_MOST = 61       # processes that Windows can wait for at once
_shared: list[Any] = []  # of a process: the event that stops it, and the progress of all jobs


def in_processes(work: Callable[[Job, Report], object], jobs: Sequence[Job], workers: int,
                 report: Callable[[Sequence[int]], object]) -> None:
    """`work(job, report)` for every job, in `workers` processes.

    Args:
        work: a function of a module; its report may be called with what is done of its job, and raises when all is to stop.
        jobs: what it is called with; they go to the processes by pickle.
        report: called a few times a second with what is done of each job; what it raises stops all and is passed on.
    Raises:
        TalkingHeadsError: a process was ended from outside. Whatever `work` raises first; the others are stopped.
    """
    context = multiprocessing.get_context("spawn")
    stop, progress = context.Event(), context.Array("q", max(len(jobs), 1))
    with ProcessPoolExecutor(min(workers, len(jobs), _MOST), context, _begin, (stop, progress)) as pool:
        pending: set[Future[None]] = {pool.submit(_run, work, job, number) for number, job in enumerate(jobs)}
        try:
            while pending:
                done, pending = wait(pending, _PATIENCE, FIRST_COMPLETED)
                report(progress[:len(jobs)])
                for future in done:
                    future.result()
        except BrokenProcessPool as error:
            raise TalkingHeadsError("The processes that work side by side must run to their end", "one was ended from outside",
                                    "It may have lacked memory: use fewer (--workers), and run it again: it continues") from error
        finally:
            stop.set()
            for future in pending:
                future.cancel()


def _begin(stop: Event, progress: SynchronizedArray[int]) -> None:
    """In each process first."""
    _shared[:] = stop, progress


def _run(work: Callable[[Job, Report], object], job: Job, number: int) -> None:
    stop, progress = _shared

    def report(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        progress[number] = done
        if stop.is_set():
            raise Cancelled("another process ended the work")

    work(job, report)
