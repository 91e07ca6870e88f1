"""Help for the compile that gsplat starts at its first use: ninja beside Python, and no more compilers than memory holds.

torch runs ninja by its bare name and reads the number of compilers from MAX_JOBS. Setting PATH and MAX_JOBS would be the plain
way, but shipped code leaves the environment alone (CONTRIBUTING.md), so what torch's builder calls for both is replaced while
gsplat is tried.
"""
from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ...training_core.memory import GB, free_memory

PER_COMPILER = 3 * GB  # bytes; what nvcc takes at most for one of gsplat's sources (an estimate, not measured)


def ninja_beside_python() -> str | None:
    """ninja where pip puts it: beside the interpreter, or in its Scripts folder (Windows). None: it is not there."""
    home = Path(sys.executable).parent
    return next((found for folder in (home, home / "Scripts") if (found := shutil.which("ninja", path=str(folder)))), None)


def compilers(asked: int | None, cores: int | None, free: int | None) -> int:
    """How many compilers run at once: what was asked for, but no more than cores and free memory (bytes) allow, at least one."""
    allowed = max(1, cores or 1)
    if free is not None:
        allowed = min(allowed, max(1, free // PER_COMPILER))
    return allowed if asked is None else max(1, min(asked, allowed))


class FindsNinja:
    """Python's module for processes as torch's builder knows it, but "ninja" is called by its full path."""

    def __init__(self, module: ModuleType, ninja: str):
        self._module, self._ninja = module, ninja

    def __getattr__(self, name: str) -> Any:  # whatever the module has
        return getattr(self._module, name)

    def _whole(self, command: list[str]) -> list[str]:
        return [self._ninja, *command[1:]] if list(command[:1]) == ["ninja"] else command

    def check_output(self, command: list[str], *more: Any, **options: Any) -> bytes:
        """As the module's."""
        return self._module.check_output(self._whole(command), *more, **options)

    def run(self, command: list[str], *more: Any, **options: Any) -> Any:
        """As the module's."""
        return self._module.run(self._whole(command), *more, **options)


@contextmanager
def helped_build() -> Iterator[None]:
    """While it lasts, torch's builder of extensions finds ninja beside Python and starts a fitting number of compilers.

    Nothing is changed where torch no longer has the functions in question, or ninja is on PATH.
    """
    from torch.utils import cpp_extension

    own, new = vars(cpp_extension), dict[str, Any]()
    asked, processes = own.get("_get_num_workers"), own.get("subprocess")
    if asked is not None:
        free = free_memory(torch.device("cpu"))
        new["_get_num_workers"] = lambda verbose: compilers(asked(verbose), os.cpu_count(), free)
    ninja = None if shutil.which("ninja") else ninja_beside_python()
    if ninja and processes is not None:
        new["subprocess"] = FindsNinja(processes, ninja)
    kept = {name: own[name] for name in new}
    try:
        _replace(cpp_extension, new)
        yield
    finally:
        _replace(cpp_extension, kept)


def _replace(module: ModuleType, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(module, name, value)
