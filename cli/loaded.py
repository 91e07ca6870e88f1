"""Models that stay loaded from one video to the next."""
from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Model = TypeVar("Model")


class Models:
    """Of each kind of model the one that was asked for last: another one takes its place, so memory does not grow."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Hashable, Any]] = {}  # kind -> (which, the model itself)

    def get(self, kind: str, which: Hashable, load: Callable[[], Model]) -> Model:
        """The model, loaded unless it is the last one of its kind.

        Args:
            kind: "avatar" for instance. which: the file, device and whatever else decides what is loaded.
        """
        kept = self._kept.get(kind)
        if kept is None or kept[0] != which:
            self._kept.pop(kind, None)  # before the next one is loaded: two may not fit
            kept = self._kept[kind] = which, load()
        return kept[1]

    def clear(self) -> None:
        """Gives their memory back."""
        self._kept.clear()
