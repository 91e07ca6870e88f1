"""Cuts that a tracker does not notice: the same person in the same place, a moment or a take later.

In a cut the image changes once, far more than in the frames before and after it. Both sides are needed: where a movement begins,
the change is large against what came before as well. What is compared are the written frames, greatly reduced.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from ..read_ahead import mapped
from ..torch_threads import one_thread_each
from .images import thumbnail
from .stages import Step

SIDE = 32       # px of what is compared
LEAST = 4.0     # mean change of grey, 0..255, from which there may be a cut
RATIO = 3.0     # times the largest change around it
AROUND = 8      # frames to either side


def unnoticed_cuts(folder: Path, count: int, known: Sequence[int], step: Step) -> list[int]:
    """Numbers of written frames that begin another shot, without those in `known`."""
    change, last = np.zeros(count), None
    with one_thread_each(), closing(mapped(lambda i: thumbnail(folder, i, SIDE), range(count))) as small:
        for i, image in enumerate(small):
            if last is not None:
                change[i] = np.abs(image - last).mean()
            last = image
            step(i + 1, count)
    return single_changes(change, known)


def single_changes(change: np.ndarray, known: Sequence[int] = ()) -> list[int]:
    """Frames whose change stands alone.

    Args:
        change: [T] of each frame against the one before; the first is not looked at.
        known: frames whose change is explained already.
    """
    usual = change.astype(np.float64)
    usual[[0, *known]] = 0
    out = []
    for i in np.flatnonzero(usual >= LEAST):
        beside = np.concatenate([usual[max(i - AROUND, 0):i], usual[i + 1:i + 1 + AROUND]])
        if len(beside) >= AROUND and usual[i] >= RATIO * beside.max():
            out.append(int(i))
    return out
