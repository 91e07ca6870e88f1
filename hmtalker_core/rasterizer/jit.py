"""The kernels' compiler with the files that kernels here share, and the threads that run the kernels."""
from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...media_core import jit
from ...media_core.jit import is_compiled

__all__ = ["compiled", "is_compiled", "run_all"]
SHARED = tuple(Path(__file__).parent / name for name in ("constants.py", "lanes.py", "rows.py"))  # parts of many kernels


def compiled(function: Callable | None = None, **options) -> Callable:
    """`media_core.jit.compiled` for kernels that may be built from the `SHARED` files."""
    return jit.compiled(function, built_from=SHARED, **options)


def run_all(function: Callable, jobs: Iterable[tuple], workers: int) -> None:
    """Call `function(*job)` for every job on `workers` threads; the first exception is raised again here.

    Own threads over nogil kernels, not numba's parallel=True: its default layer on macOS and in pip installations (workqueue)
    aborts the whole process when two Python threads meet in it, and ComfyUI runs nodes in threads.
    """
    jobs = list(jobs)
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            function(*job)
        return
    for future in [thread_pool(os.getpid(), workers).submit(function, *job) for job in jobs]:
        future.result()


@functools.lru_cache(maxsize=4)
def thread_pool(process: int, workers: int) -> ThreadPoolExecutor:
    """The threads, made at first use and kept (making them costs more than a frame). A forked child makes its own: `process`."""
    return ThreadPoolExecutor(workers, thread_name_prefix="rasterizer")
