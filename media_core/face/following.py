"""Following a face through a video, however the tracker does it: frame by frame, or several frames at once.

    for item, face in follow(tracker, upcoming(frames)):
        ...

What a tracker finds depends on the frames since the last cut or border, never on where a run was interrupted and resumed: a
border is what the resumed run begins with.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..video_planes import as_array

if TYPE_CHECKING:
    import numpy as np

    from ..video_planes import Image
    from .landmarks.landmarks import FaceFrame
    from .presence import Tracker


@dataclass(frozen=True)
class Upcoming:
    """A frame that is to be tracked."""

    frame: Image  # uint8 [H, W, 3] RGB
    mask: np.ndarray | None = None  # bool [H, W]: where the face is looked for
    cut: bool = False  # another shot begins: the tracker forgets the face
    border: bool = False  # the tracker forgets all but where the face was in the frame before
    number: int = 0  # of the frame; for the caller


@runtime_checkable
class Follower(Protocol):
    """A tracker that takes several frames at once."""

    def follow(self, items: Iterable[Upcoming]) -> Iterator[tuple[Upcoming, FaceFrame | None]]: ...  # frames of any kind


def follow(tracker: Tracker, items: Iterable[Upcoming]) -> Iterator[tuple[Upcoming, FaceFrame | None]]:
    """Each frame with its face, in order. A few frames may be taken ahead of those given back."""
    if isinstance(tracker, Follower):
        yield from tracker.follow(items)
        return
    for item in items:
        begin(tracker, item)
        yield item, tracker(as_array(item.frame), item.mask)


def begin(tracker: Tracker, item: Upcoming) -> None:
    """Makes the tracker forget what it must not know of the frames before."""
    if item.cut:
        tracker.reset()
    elif item.border:
        last = tracker.state
        tracker.reset()
        tracker.state = last


def upcoming(frames: Iterable[np.ndarray], masks: Iterable[np.ndarray | None] | None = None,
             cut: Callable[[np.ndarray], bool] = lambda frame: False) -> Iterator[Upcoming]:
    """A video's frames, numbered from 0. `cut` is called with each; true where another shot begins."""
    for number, (frame, mask) in enumerate(zip(frames, repeat(None) if masks is None else masks)):
        yield Upcoming(frame, mask, cut=cut(frame), number=number)
