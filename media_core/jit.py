"""numba's compiler with the options every kernel here wants."""
from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numba import njit

log = logging.getLogger(__name__)


def compiled(function: Callable | None = None, *, built_from: Iterable[Path] = (), **options) -> Callable:
    """`numba.njit` for kernels: without the GIL, kept on disk where that is possible.

    numba refuses to decorate with `cache=True` when it finds no folder to write to (a read-only installation);
    the kernel is then compiled again in each process, which costs seconds and nothing else.

    The files that numba keeps are named after the function's `__qualname__`, so `cache_tag` goes into that.

    Args:
        built_from: files, besides the kernel's own, whose functions or constants are part of it.
    """
    if function is None:
        return functools.partial(compiled, built_from=built_from, **options)
    function.__qualname__ = f"{function.__name__}_{cache_tag(function.__module__, tuple(built_from))}"
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return _kept_where_possible(njit(cache=True, **options)(function))
    except RuntimeError as reason:
        if "cache" not in str(reason):
            raise
        say_uncached(str(reason))
        return njit(**options)(function)


def _kept_where_possible(kernel: Callable) -> Callable:
    """A kernel whose folder on disk may fail later (full, read-only by then, or its files cut short): it is compiled again."""
    cache = getattr(kernel, "_cache", None)  # numba's own name; absent where numba is switched off
    for name in ("load_overload", "save_overload") if cache is not None else ():
        setattr(cache, name, _excused(getattr(cache, name)))
    return kernel


def _excused(access: Callable) -> Callable:
    def run(*arguments):
        try:
            return access(*arguments)
        except (OSError, EOFError) as reason:
            say_uncached(str(reason))
            return None
    return run


def is_compiled(kernel: Any) -> bool:
    """Whether a kernel was compiled before, by this process or by an earlier one that kept it on disk.

    Args: kernel: numba's dispatcher (not annotated), or the function itself where its compiler is switched off.
    """
    if not hasattr(kernel, "signatures"):  # numba's compiler is switched off (NUMBA_DISABLE_JIT)
        return True
    folder = kernel.stats.cache_path
    return bool(kernel.signatures) or folder is not None and any(Path(folder).glob(f"*.{kernel.py_func.__qualname__}-*.nbi"))


@functools.lru_cache(maxsize=1)
def say_uncached(reason: str) -> None:
    """One log line a process."""
    log.warning("Compiled kernels cannot be kept on disk and are compiled again at each start: %s", reason)


@functools.lru_cache(maxsize=64)
def cache_tag(module: str, built_from: tuple[Path, ...] = ()) -> str:
    """Tells apart kernels on disk that numba would take for the same: it looks at the kernel's own file only.

    Two things more decide about a kernel: the files that it is built from, and the name under which the package is imported
    (numba stores it in the kernel; ComfyUI imports the folder under another name than `import talking_heads` does).
    """
    sources = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__), *built_from))
    return hashlib.sha256((module + sources).encode()).hexdigest()[:12]
