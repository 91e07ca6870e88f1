"""Clips over a long motion: where they stand, how they become one video without a jump, and the images they take in turn."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..blending import Window, window_plan


@dataclass(frozen=True)
class Clip(Window):
    """A window that fades in evenly: the steps between its weights are as small as can be."""

    def weight(self, frames: Tensor) -> Tensor:  # [n] -> [n], above 0, below 1 before `full`
        return ((frames - self.fade + 1.0) / (self.full - self.fade + 1.0)).clamp(0, 1)


def clip_plan(frames: int, length: int, overlap: int) -> list[Clip]:
    """The clips of a motion; the last may reach beyond its end."""
    return [Clip(w.start, w.stop, w.fade, w.full) for w in window_plan(frames, length, overlap, False)]


def boundary_corrected(rows: Tensor, before: Tensor, strength: float) -> Tensor:  # [T, N], [n, N] -> [T, N]
    """Boundary correction: a clip that begins nearer to the one before, and is itself again where it overlaps the next.

    Clips of one face differ by something that hardly changes within a clip (a texture, a shade). Faded over few frames it shows
    as flicker; spread evenly over the whole clip it does not.

    Args:
        rows: the clip's frames. before: the earlier clip's last n frames, which stand for rows 0..n.
        strength: 0..1, the fraction of the mean difference that is corrected.
    """
    shared, free = len(before), len(rows) - len(before)
    frame = torch.arange(len(rows)).clamp(min=shared)
    weight = strength * (1 - (frame + 1) / (free + 1)).clamp(min=0)  # with the fade before: even steps over all `free` frames
    return rows + weight[:, None] * (before - rows[:shared]).mean(0)


class Rolling:
    """Images of a video that clips take in turn; those that no later clip needs are dropped.

    Args:
        pictures: one per frame.
        count: how many there are; beyond, the last stays.
    """

    def __init__(self, pictures: Iterator[Tensor], count: int):
        self.pictures, self.count, self.first, self.held = pictures, count, 0, []

    def between(self, start: int, stop: int) -> list[Tensor]:
        """Those of frames start..stop; `start` never goes back."""
        end = min(stop, self.count)
        while self.first + len(self.held) < end:
            self.held.append(next(self.pictures))
            if self.first < start:
                del self.held[0]
                self.first += 1
        del self.held[:start - self.first]
        self.first = start
        given = self.held[:end - start]
        return given + [given[-1]] * (stop - end)
