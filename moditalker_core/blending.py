"""Windows over a long motion: where they stand, and how their residuals become one without a jump."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..media_core.mouth import smooth_step

RETURN = 0.4  # fraction of the overlap that is thrown away when windows begin at the initial face (reference "first")


@dataclass(frozen=True)
class Window:
    """One window: frames start..stop of the motion; it takes over from the window before between `fade` and `full`."""

    start: int
    stop: int  # exclusive, start + T; may lie behind the motion's end: that part is computed over silence and cut off
    fade: int  # first frame in which this window counts at all
    full: int  # first frame in which it counts alone

    def weight(self, frames: Tensor) -> Tensor:  # [n] -> [n], 0..1
        """A smooth step from 0 at `fade` to 1 at `full`."""
        return smooth_step((frames - self.fade + 0.5) / max(self.full - self.fade, 1))


def window_plan(frames: int, length: int, overlap: int, returns: bool) -> list[Window]:
    """Windows that cover frames 0..frames, each `overlap` frames into the one before.

    Args:
        frames: of the motion, >= 1.
        length: T of a window.
        overlap: 0..T / 2.
        returns: the network begins every window at the initial face, so the first frames of later windows are not used.
    """
    plan, start = [Window(0, length, 0, 0)], 0
    while plan[-1].stop < frames:
        start += length - overlap
        fade = start + (round(RETURN * overlap) if returns else 0)
        plan.append(Window(start, start + length, fade, start + overlap))
    return plan


def blended_windows(windows: Sequence[Window], residuals: Iterable[Tensor], start: int, stop: int) -> Iterator[Tensor]:
    """Joins windows as they come; holds one window at a time.

    Args:
        windows: consecutive ones of a plan that cover start..stop.
        residuals: [T, N] of each.
        start, stop: the frames wanted.
    Yields:
        [n, N], n >= 1, in order, stop - start rows in all.
    """
    held, at = None, start  # `held` starts at frame `at`
    for i, (window, residual) in enumerate(zip(windows, residuals)):
        last = i + 1 == len(windows)
        begin = max(at, window.start)
        rows = residual[begin - window.start:]
        if held is not None:
            shared = min(len(held) - (begin - at), len(rows))
            weight = window.weight(torch.arange(begin, begin + shared))[:, None]
            mixed = torch.lerp(held[begin - at:begin - at + shared], rows[:shared], weight)
            rows = torch.cat([held[:begin - at], mixed, rows[shared:]])
            begin = at
        ready = (stop if last else min(windows[i + 1].start, stop)) - begin
        if ready > 0:
            yield rows[:ready]
        held, at = rows[max(ready, 0):], begin + max(ready, 0)
