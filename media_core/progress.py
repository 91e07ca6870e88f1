"""The one hook of every long job: progress, preview and cancelling go through a single callable.

A *report* is called once a step as `report(done, total, info, preview)`. It may raise (`errors.Cancelled`, or ComfyUI's own
interruption) to stop the job: long functions never catch what it raises, so a job ends within one step.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Report = Callable[[int, int, Mapping[str, Any], np.ndarray | None], None]  # done, total, figures, preview uint8 [H, W, 3]
Enough = Callable[[], bool]  # asked between two steps of a training: whether to end it there and keep what it has learnt


def silent(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
    """A report that shows nothing and never cancels."""


def never() -> bool:
    """A training that is never enough: it takes all its steps."""
    return False
