"""The one hook of everything long: progress, preview and cancelling go through a single callable.

A *report* is called once a step as `report(done, total, info, preview)`. It may raise (`errors.Cancelled`, or ComfyUI's own
interruption) to stop the job: long functions never catch what it raises, so a job ends within one step.
"""
from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

import numpy as np

Report = Callable[[int, int, Mapping[str, Any], Optional[np.ndarray]], None]  # done, total, figures, preview uint8 [H, W, 3]


def silent(done: int, total: int, info: Mapping[str, Any], preview: Optional[np.ndarray] = None) -> None:
    """A report that shows nothing and never cancels."""
