"""Whether a video shows a face at all: decided long before every frame of it has been searched at full cost."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import FileFormatError
from .landmarks.detector import no_face, wanted_of

if TYPE_CHECKING:
    from .landmarks.landmarks import FaceFrame

PATIENCE = 10  # frames without a face at a video's beginning before the rest is looked through
_LEAST = 16    # looks at the rest, however short it is


class Tracker(Protocol):
    """Finds one face and follows it from frame to frame, as `FaceTracker` does."""

    kind: str  # of `MEASURED_BY`: what its tracks say in `tracker`
    state: np.ndarray | None  # [68, 2] px, where the face was in the last frame; None: it must be found

    def __call__(self, frame: np.ndarray, mask: np.ndarray | None = None, /) -> FaceFrame | None: ...

    def reset(self) -> None: ...


def expect_face(rest: Iterable[np.ndarray], tracker: Tracker, fps: float, frames: int, tell: Callable[[], object],
                region: Callable[[int], np.ndarray | None] = lambda number: None) -> None:
    """Searches frames spread over the rest of a video, at least one per second, and returns at the first face.

    Args:
        rest: uint8 [H, W, 3], what follows the first `PATIENCE` frames.
        tracker: called with (frame, region); afterwards it has forgotten everything.
        fps: frames per second.
        frames: how many follow, about.
        tell: called after each look; may cancel.
        region: (number among the rest) -> where the face is looked for.
    Raises:
        FileFormatError: no face in any of them.
    """
    step, looks, size = max(1, min(round(fps), frames // _LEAST)), 0, None
    try:
        for number, frame in enumerate(rest):
            if number % step:
                continue
            tracker.reset()
            looks, size = looks + 1, frame.shape[:2]
            if tracker(frame, region(number)) is not None:
                return
            tell()
    finally:
        tracker.reset()
    told = no_face("video", size, f"no face in its first {PATIENCE} frames, nor in {looks} spread over the rest",
                   wanted_of(tracker.kind), "Choose another video, or crop closer to the face")
    raise FileFormatError(told.must, told.came, told.do)
