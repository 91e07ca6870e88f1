"""A talking person who does not exist, with exact ground truth: video, masks, landmarks, action units, poses and audio.

    subject = Subject(size=256)                       # identity 3: an invented face
    performance = perform(seconds=4.0, seed=0)        # words, voice, and one parameter vector a frame
    pose = subject.pose(performance.euler[0], performance.translation[0])
    frame = subject.render(performance.params[0], pose, performance.sway[0])
    export_dataset("folder", seconds=60, seed=0)      # the same as a training dataset

Nothing heavy is imported until one of these names is used. The recipe: docs/capture.md#synthetic-subject.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..dataset_folder import verify_dataset
    from .export import export_dataset
    from .parameters import AU_NAMES, PARAMS
    from .performance import Performance, perform
    from .render import Subject, SubjectFrame

CREDIT = ("Made from the portrait of astronaut Eileen Collins (NASA, public domain, distributed with scikit-image), warped and "
          "recoloured into an invented person. Eileen Collins never said these words.")

_HOME = {"Subject": "render", "SubjectFrame": "render", "perform": "performance", "Performance": "performance",
         "export_dataset": "export", "verify_dataset": ".dataset_folder", "PARAMS": "parameters", "AU_NAMES": "parameters"}
__all__ = ["AU_NAMES", "CREDIT", "PARAMS", "Performance", "Subject", "SubjectFrame", "export_dataset", "perform",
           "verify_dataset"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
