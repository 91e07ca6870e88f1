"""A video of a person as a training dataset, and what can be said about its quality before hours are spent on it.

    folder = capture("me.mp4", "my_data", CaptureSettings(size=512))
    start, stop, scores = pick_segment("long.mp4", seconds=30)

Nothing heavy is imported until one of these names is used. The method: docs/capture.md.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pipeline import capture
    from .quality import QualityReport, quality_report
    from .segment import Segment, pick_segment
    from .settings import CaptureSettings

_HOME = {"capture": "pipeline", "CaptureSettings": "settings", "pick_segment": "segment", "Segment": "segment",
         "quality_report": "quality", "QualityReport": "quality"}
__all__ = ["CaptureSettings", "QualityReport", "Segment", "capture", "pick_segment", "quality_report"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
