"""The pack's errors: every message says what must hold, what was given instead, and what to do."""
from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

SHOWN_MODULE = "builtins"  # which ComfyUI and Python leave out


class ShortName:
    """Makes an exception class read `Name`, wherever the package was imported from.

    ComfyUI shows an error as "module.Class: message" and imports this package under the path of its folder: four lines of path
    would stand before the sentence that helps.
    """

    args: tuple[Any, ...]  # of every exception
    _home: ClassVar[str]  # the module where the class really stands

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._home, cls.__module__ = cls.__module__, SHOWN_MODULE

    def _arguments(self) -> tuple:
        """Of the constructor."""
        return self.args

    def __reduce__(self) -> tuple:
        return _made_again, (self._home, type(self).__qualname__, self._arguments()), vars(self)


def _made_again(home: str, name: str, arguments: tuple) -> Any:
    """An exception from another process: its class is looked up in its real module, not the one it shows.

    Args:
        name: of a class within another one, both with a dot between.
    """
    found: Any = import_module(home)
    for part in name.split("."):
        found = getattr(found, part)
    return found(*arguments)


class TalkingHeadsError(ShortName, ValueError):
    """An error a user can act on.

    Args:
        must: what has to hold, a full clause ("The speech must last at least 0.04 s").
        came: what was given instead ("it lasts 0.00 s").
        do: the way out ("Check the Load Audio node's file").
    """

    def __init__(self, must: str, came: str, do: str):
        self.must, self.came, self.do = must, came, do
        super().__init__(f"{must.rstrip('.')}. Got: {came.rstrip('.')}. {do.rstrip('.')}.")

    def _arguments(self) -> tuple:
        return self.must, self.came, self.do


class FileFormatError(TalkingHeadsError):
    """A file is missing, short, foreign, or newer than this version reads."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the computer's memory or the GPU's was short: another time the same may do, so it says nothing of what was tried.

    torch's class is recognised by its name (torch is not imported here), failures outside torch's allocators by their message.
    """
    named, words = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__), str(error)
    told = words.startswith("CUDA error: out of memory") or "DefaultCPUAllocator" in words
    return isinstance(error, MemoryError) or named or told


class Cancelled(ShortName, Exception):
    """The user stopped a long job; everything already finished stays valid. Not an error: never caught with errors."""
