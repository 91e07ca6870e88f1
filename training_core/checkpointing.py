"""Activation checkpointing: a layer keeps only what it was given and is computed again for the gradient."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Made = TypeVar("Made")
_AGAIN: ContextVar[AbstractContextManager[Any] | None] = ContextVar("again", default=None)


def layered(layer: Callable[..., Made], *given: object, checkpointing: bool) -> Made:
    """`layer(*given)`; with `checkpointing`, where gradients are wanted, its activations are not kept. The numbers are equal."""
    if not (checkpointing and torch.is_grad_enabled()):
        return layer(*given)
    again = _AGAIN.get()
    contexts = lambda: (nullcontext(), nullcontext() if again is None else again)
    made: Made = checkpoint(layer, *given, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)  # draws nothing
    return made


@contextmanager
def computed_again_in(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Within the block, layers are made to be computed again in `context`: torch leaves modes before it goes backward."""
    before = _AGAIN.set(context)
    try:
        yield
    finally:
        _AGAIN.reset(before)
