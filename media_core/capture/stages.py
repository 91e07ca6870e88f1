"""The progress of a capture, for the reports of `media_core.progress`."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..progress import Report

TITLES = {"segment": "choosing the segment", "track": "finding the face", "frames": "writing frames", "shots": "looking for cuts",
          "measure": "measuring",
          "masks": "masks", "background": "background", "layers": "layers", "sound": "sound", "tables": "tables",
          "report": "quality report", "checksums": "checksums"}
WEIGHTS = {"segment": 2, "track": 8, "frames": 3, "shots": 1, "measure": 5, "masks": 26, "background": 1, "layers": 1, "sound": 1,
           "tables": 1, "report": 1, "checksums": 1}  # of a frame's time, roughly
UNITS = 1000  # the whole job


class Step(Protocol):
    """Reports `done` of `total` frames (or other steps) of the stage that runs; may raise to cancel."""

    def __call__(self, done: int, total: int, info: Mapping[str, Any] | None = None, preview: np.ndarray | None = None,
                 /) -> None: ...


class Progress:
    """Turns every stage's own counting into one that rises from 0 to UNITS.

    Args:
        report: the hook; what it raises ends the job.
        stages: names of those that will run or be found done, in order.
    """

    def __init__(self, report: Report, stages: tuple[str, ...]):
        total = sum(WEIGHTS[name] for name in stages)
        ends = np.cumsum([0, *(WEIGHTS[name] for name in stages)]) * (UNITS / total)
        self._spans = {name: (ends[i], ends[i + 1]) for i, name in enumerate(stages)}
        self._report, self._done = report, 0

    def __call__(self, stage: str, done: int, total: int, info: Mapping[str, Any] | None = None,
                 preview: np.ndarray | None = None) -> None:
        """`done` of `total` frames (or other steps) of `stage`."""
        begin, end = self._spans[stage]
        share = min(done / total, 1.0) if total > 0 else 1.0
        self._done = max(self._done, int(begin + (end - begin) * share + 1e-6))
        self._report(self._done, UNITS, {"stage": TITLES[stage], "frame": done, "frames": max(total, done), **(info or {})},
                     preview)
