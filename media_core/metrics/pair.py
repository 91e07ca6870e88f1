"""The videos of an evaluation: read again and again one frame at a time, the truth in the made video's rate and size."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ..audio import Sound
from ..errors import TalkingHeadsError

_SAME_SHAPE = 0.02  # by which the proportions of two videos may differ: sides are even numbers of pixels
_SAME_LENGTH = 0.08  # s by which two lengths may differ without a word


@dataclass(frozen=True)
class Clip:
    """A video that can be read more than once."""

    name: str
    read: Callable[[float], Iterator[np.ndarray]]  # frames per second -> uint8 [H, W, 3], from the beginning on
    fps: float
    frames: int  # at `fps`, about
    size: tuple[int, int]  # (H, W) px
    sound: Sound | None = None  # from the first frame on

    def shown(self) -> Iterator[np.ndarray]:
        """Its frames at its own rate."""
        return islice(self.read(self.fps), self.frames)

    def told(self) -> str:
        """The clip in a few words."""
        return f"{self.name} ({self.frames} frames, {self.size[1]} x {self.size[0]} px, {self.fps:g} fps)"


def video_clip(path: str | os.PathLike, sound: Sound | None = None) -> Clip:
    """A video file.

    Args:
        sound: instead of the video's own.
    Raises:
        FileFormatError: not a video that can be read.
    """
    from ..video_reading import load_film_sound, probe, read_frames

    info = probe(path)
    if sound is None and info.has_sound:
        sound = load_film_sound(path)
    return Clip(Path(path).name, lambda fps: read_frames(path, fps), float(info.fps), max(1, round(info.duration * info.fps)),
                (info.height, info.width), sound)


def matched(made: Clip, truth: Clip) -> tuple[Clip, Clip, tuple[str, ...]]:
    """Both videos with as many frames, of the made one's rate and size; and what was done for it.

    Raises:
        TalkingHeadsError: proportions differ, so that one shows something else.
    """
    (height, width), (own_height, own_width) = made.size, truth.size
    if abs(width / height * own_height / own_width - 1) > _SAME_SHAPE:
        raise TalkingHeadsError("Videos to compare must show the same part: their proportions must agree",
                                f"{width} x {height} and {own_width} x {own_height} px", "Crop both alike")
    notes = []
    if truth.size != made.size:
        notes.append(f"The truth was resized from {own_width} x {own_height} to {width} x {height} px.")
    if abs(truth.fps - made.fps) > 1e-3:
        notes.append(f"The truth was read at {made.fps:g} instead of its {truth.fps:g} frames per second.")
    lengths = made.frames, max(1, round(truth.frames * made.fps / truth.fps))
    if abs(lengths[0] - lengths[1]) > _SAME_LENGTH * made.fps:
        longer = "made video" if lengths[0] > lengths[1] else "truth"
        notes.append(f"The first {min(lengths)} frames were compared; the {longer} is longer ({max(lengths)}).")
    read = truth.read
    fitting = replace(truth, read=lambda fps: (resized(frame, made.size) for frame in read(fps)), fps=made.fps, size=made.size,
                      frames=min(lengths))
    return replace(made, frames=min(lengths)), fitting, tuple(notes)


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # uint8 [H, W, 3] -> uint8 [h, w, 3]
    """The frame in (h, w) px: averaged when it becomes smaller, else bicubic; itself where it fits."""
    if frame.shape[:2] == size:
        return frame
    import cv2

    smaller = size[0] < frame.shape[0]
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
