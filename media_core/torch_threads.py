"""How many threads torch computes with."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_MOST = 4  # networks side by side


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes in the calling thread alone: for small networks beside other threads that work.

    Torch's own threads wait for one another by spinning: where other threads or programs keep the cores busy, small networks take
    many times as long with two of them as with one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def beside() -> int:
    """How many networks should run side by side: one where torch divides each among its own threads."""
    import torch

    return min(os.cpu_count() or 1, _MOST) if torch.get_num_threads() == 1 else 1


def side_by_side(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of every item, each by a thread of its own; the first by the calling thread."""
    if len(items) < 2:
        return [function(item) for item in items]
    others = [_helpers().submit(function, item) for item in items[1:]]
    try:
        first = function(items[0])
    finally:
        wait(others)
    return [first, *(other.result() for other in others)]


@lru_cache(maxsize=1)
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST - 1, thread_name_prefix="beside")
