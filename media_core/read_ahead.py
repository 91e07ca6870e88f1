"""Two kinds of parallel work that never hold a whole video: reading ahead of the consumer, and mapping in order with threads.

Parallel work changes when something is computed, never the result.
"""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4        # items read ahead
MOST = 8         # threads that map
_PATIENCE = 0.1  # s between two looks whether the consumer is gone


@dataclass(frozen=True)
class _Item(Generic[Item]):
    item: Item


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _End:
    """Stands in a queue behind the last item."""


def ahead(items: Iterable[Item], depth: int = AHEAD) -> Generator[Item, None, None]:
    """`items`, read by a thread of their own, at most `depth` ahead. Errors are raised where the item would have come.

    The thread ends with the generator, also when that is closed early.
    """
    queue: Queue[_Item[Item] | _Failed | _End] = Queue(depth)
    gone = Event()
    thread = Thread(target=_draw, args=(iter(items), queue, gone), daemon=True)
    thread.start()
    try:
        while True:
            entry = queue.get()
            if isinstance(entry, _Failed):
                raise entry.error
            if isinstance(entry, _End):
                return
            yield entry.item
    finally:
        gone.set()
        thread.join()


def _draw(items: Iterator[Item], queue: Queue[_Item[Item] | _Failed | _End], gone: Event) -> None:
    """The thread: puts items until they end, fail, or nobody wants more; closes a generator where it was made to run."""
    try:
        for item in items:
            if not _put(queue, _Item(item), gone):
                break
        else:
            _put(queue, _End(), gone)
    except BaseException as error:  # carried over to whoever consumes
        if not _put(queue, _Failed(error), gone):
            raise
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _put(queue: Queue[_Item[Item] | _Failed | _End], entry: _Item[Item] | _Failed | _End, gone: Event) -> bool:
    while not gone.is_set():
        try:
            queue.put(entry, timeout=_PATIENCE)
            return True
        except Full:
            continue
    return False


def mapped(function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, *, beyond: int = 2,
           prepare: Callable[[], object] | None = None) -> Generator[Result, None, None]:
    """`function` of every item, in order, by `workers` threads (None: one per core, 2 to 8); a few are started before
    the first is wanted.

    When the generator is closed, or one of them fails, those already started are finished and no other is started.

    Args:
        beyond: at most workers + `beyond` items are started and not yet taken. prepare: called in every thread first.
    """
    workers = min(max(os.cpu_count() or 2, 2), MOST) if workers is None else workers
    depth, pending = workers + beyond, deque[Future[Result]]()
    with ThreadPoolExecutor(workers, thread_name_prefix="mapped", initializer=prepare) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def for_all(function: Callable[[Item], object], items: Iterable[Item]) -> None:
    """`function` of every item, by threads: for what writes its own results."""
    with closing(mapped(function, items)) as done:
        for _ in done:
            pass
