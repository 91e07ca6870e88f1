"""Two workers at once without holding a film: read ahead of who consumes, and map in order with a few results in the air.

What runs at the same time only changes when something is done, never what comes out.
"""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4        # items read ahead
MOST = 8         # threads that map
_PATIENCE = 0.1  # s between two looks whether the consumer has gone
_END = object()


def ahead(items: Iterable[Item], depth: int = AHEAD) -> Generator[Item, None, None]:
    """`items`, drawn by a thread of its own, at most `depth` before they are wanted. Its errors are raised where they come up.

    The thread ends with the generator, also when that is closed early.
    """
    queue: Queue[tuple[Any, BaseException | None]] = Queue(depth)
    gone = Event()
    thread = Thread(target=_draw, args=(iter(items), queue, gone), daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        gone.set()
        thread.join()


def _draw(items: Iterator[Any], queue: Queue, gone: Event) -> None:
    """The thread: puts items until they end, fail, or nobody wants more; closes a generator where it was made to run."""
    try:
        for item in items:
            if not _put(queue, (item, None), gone):
                break
        else:
            _put(queue, (_END, None), gone)
    except BaseException as error:  # carried over to whoever consumes
        if not _put(queue, (None, error), gone):
            raise
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _put(queue: Queue, entry: Any, gone: Event) -> bool:
    while not gone.is_set():
        try:
            queue.put(entry, timeout=_PATIENCE)
            return True
        except Full:
            continue
    return False


def mapped(function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None) -> Iterator[Result]:
    """`function` of every item, in order, by `workers` threads (None: as many as there are cores, 2 to 8); a few are begun before
    the first is wanted.

    When the generator is closed, or one of them fails, those already begun are finished and no other is started.
    """
    workers = min(max(os.cpu_count() or 2, 2), MOST) if workers is None else workers
    depth, pending = workers + 2, deque[Future]()
    with ThreadPoolExecutor(workers) as pool:
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
