"""Which frame a training step sees, without the endless loops of the published code (docs/hmtalker.md#curriculum).

Frames come in shuffled rounds (each once a round); now and then a rule asks for a frame of a certain mouth opening or blink.
Where no frame meets the rule, the nearest one is taken. The choice depends on (seed, stage, step) alone, so a resumed run goes
on with the same frames.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...media_core.asked import whole
from .schedules import blink_window, lips_part_window, opening_window

MOUTH_RULE_EVERY = 7  # steps
MIN_MOUTH_AREA = 20  # px


def step_seed(seed: int, stage: int, step: int) -> int:
    """A seed of its own for every (run, stage, step).

    Raises:
        TalkingHeadsError: the run's seed is negative.
    """
    return int(np.random.SeedSequence([whole("A seed", seed), stage, step]).generate_state(1, np.uint64)[0] >> 1)


class FrameOrder:
    """Shuffled rounds over a list of frames.

    Args:
        frames: frame numbers to draw from.
        seed, stage: of the run; each (seed, stage, round) has its own order.
    """

    def __init__(self, frames: np.ndarray, seed: int, stage: int):
        self.frames, self.seed, self.stage = np.asarray(frames), seed, stage
        self._round, self._order = -1, self.frames

    def __call__(self, step: int) -> int:
        number, position = divmod(step, len(self.frames))
        if number != self._round:
            shuffle = np.random.default_rng(step_seed(self.seed, self.stage, -1 - number & 0x7FFFFFFF))
            self._round, self._order = number, shuffle.permutation(self.frames)
        return int(self._order[position])


def nearest_in_window(values: np.ndarray, frames: np.ndarray, low: float, high: float, rng: np.random.Generator) -> int:
    """A random frame of `frames` whose value lies in [low, high]; without one, the frame nearest to it."""
    inside = frames[(values[frames] >= low) & (values[frames] <= high)]
    if len(inside):
        return int(rng.choice(inside))
    gap = np.maximum(low - values[frames], values[frames] - high)
    return int(frames[np.argmin(gap)])


Rule = Callable[[int], tuple[np.ndarray, float, float] | None]  # step -> (values [F], low, high) or None for any frame


def face_rule(total: int, static: int, opening: np.ndarray, blink: np.ndarray, frames: np.ndarray,
              every: int = 15) -> Rule:
    """One step in `every`: growing mouth openings in the static phase, growing blinks afterwards.

    Args:
        total, static: all steps, and those of the static phase.
        opening: [F] inner-lip opening in rows.
        blink: [F] AU45 scaled to 0..1.
        frames: training frames; the range of openings is theirs.
        every: steps between two that follow the rule.
    """
    low, high = float(opening[frames].min()), float(opening[frames].max())

    def rule(step: int) -> tuple[np.ndarray, float, float] | None:
        if step % every or step >= 0.8 * total:
            return None
        return (opening, *opening_window(step, low, high, total)) if step < static else (blink, *blink_window(step, total))

    return rule


def mouth_rule(total: int, static: int, au25: np.ndarray, frames: np.ndarray) -> Rule:
    """Wide open mouths in the static phase, ever smaller openings every seventh step afterwards; `au25` [F] is AU25,
    its percentiles are those of the training `frames`."""
    top = float(np.percentile(au25[frames], 95))
    clipped, quartile = np.minimum(au25, top), float(np.percentile(au25[frames], 25))

    def rule(step: int) -> tuple[np.ndarray, float, float] | None:
        if step < static:
            return clipped, 0.98 * top, top
        if step % MOUTH_RULE_EVERY or step >= 0.78 * total:
            return None
        return (clipped, *lips_part_window(step, quartile, top, total))

    return rule


def choose_frame(order: FrameOrder, rule: Rule, step: int) -> int:
    """The frame of `step`: the next of the round, or what the rule asks for."""
    wanted = rule(step)
    if wanted is None:
        return order(step)
    rng = np.random.default_rng(step_seed(order.seed, order.stage + 100, step))
    return nearest_in_window(wanted[0], order.frames, wanted[1], wanted[2], rng)
