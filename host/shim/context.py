"""What a running node shares with the executor: which node runs, whether to stop, where progress goes.

One graph runs at a time in a process, as in ComfyUI. Nothing here imports torch.
"""
from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

    Preview = tuple[str, Image, int | None]  # format such as "JPEG", the image, its longest side in px (None: as it is)


class ExecutionBlocker:
    """A value that keeps every node fed with it from running; `message` is shown, None is silent."""

    def __init__(self, message: str | None):
        self.message = message


class InterruptProcessingException(Exception):
    """The user pressed stop. An Exception up to ComfyUI 0.19 (the pack's floor), a BaseException in 0.33."""


class RunningNode(NamedTuple):
    """Whose code is running."""

    prompt_id: str
    node_id: str
    list_index: int | None  # which item of a mapped list


class ProgressHook(Protocol):
    """Receives progress."""

    def __call__(self, value: float, maximum: float, preview: Preview | None, node_id: str | None,
                 from_bar: bool = True) -> None:
        """node_id: None is the running node's. from_bar: from a ProgressBar, not from ComfyAPI."""


_running: contextvars.ContextVar[RunningNode | None] = contextvars.ContextVar("running_node", default=None)
_stop = threading.Event()
_hook: list[ProgressHook] = []


def get_executing_context() -> RunningNode | None:
    """The node whose code is running, None outside a run."""
    return _running.get()


@contextmanager
def running(node: RunningNode) -> Iterator[None]:
    """Marks a node's code as running."""
    token = _running.set(node)
    try:
        yield
    finally:
        _running.reset(token)


def interrupt_current_processing(value: bool = True) -> None:
    """Asks the running graph to stop (or takes that back); safe from a signal handler or another thread."""
    if value:
        _stop.set()
    else:
        _stop.clear()


def processing_interrupted() -> bool:
    return _stop.is_set()


def throw_exception_if_processing_interrupted() -> None:
    """Raises once where a stop was asked for."""
    if _stop.is_set():
        _stop.clear()
        raise InterruptProcessingException()


def set_progress_hook(hook: ProgressHook | None) -> None:
    """The executor's ear; replaced at each run."""
    _hook[:] = [] if hook is None else [hook]


def progress_hook() -> ProgressHook | None:
    return _hook[0] if _hook else None
