"""Everything in an avatar's training that depends on the step: learning rates, thresholds, the path, and which frame is seen.

The published constants hold for 50 000 steps; `total` scales them, so that a preset of 5 000 steps sees the same curves
(docs/hmtalker.md#training). Frames come in shuffled rounds (each once a round); now and then a rule asks for a frame of a certain
mouth opening or blink, without the endless loops of the published code: where no frame meets the rule, the nearest one is taken.
The choice depends on (seed, stage, step) alone, so a resumed training goes on with the same frames.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...media_core.asked import whole
from ..model.motion import Path

PUBLISHED_STEPS = 50_000
PATHS: tuple[Path, ...] = ("audio", "masked", "vanilla")
MOUTH_RULE_EVERY = 7  # steps
MIN_MOUTH_AREA = 20  # px


def exponential_lr(step: float, start: float = 1.6e-4, end: float = 1.6e-6, total: float = 45_000) -> float:
    """From `start` to `end` along an exponential, constant afterwards. The positions' learning rate, times the scene extent."""
    share = min(max(step / total, 0.0), 1.0)
    return math.exp(math.log(start) * (1 - share) + math.log(end) * share)


def _motion_factor(step: float, total: float, bend: float, end: float) -> float:
    unit = total / PUBLISHED_STEPS
    return 0.5 ** (step / (bend * unit)) if step < bend * unit else 0.1 ** (step / (end * unit))


def face_motion_factor(step: float, total: float = PUBLISHED_STEPS) -> float:
    """Multiplies the face motion net's learning rates: halves by 80 % of the run, then follows 0.1^(step/total)."""
    return _motion_factor(step, total, 40_000, 50_000)


def mouth_motion_factor(step: float, total: float = PUBLISHED_STEPS) -> float:
    """Multiplies the mouth motion net's learning rates: the same shape, bent at 78 % and reaching 0.1 at 98 %."""
    return _motion_factor(step, total, 39_000, 49_000)


def prune_opacity(step: float, until: float, low: float = 0.05, rise: float = 0.25) -> float:
    """Opacity under which a Gaussian is removed; rising, which keeps their number low."""
    return low + rise * min(step / until, 1.0)


def opening_window(step: float, low: float, high: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """Inner-lip openings (rows) from which the face's static phase draws: a window that slides from closed to open.

    Args:
        low, high: smallest and largest opening of the training frames.
    """
    floor = low + 0.2 * (high - low)
    half, centre = 0.2 * (high - floor), floor + step / (0.8 * total) * (high - floor)
    return centre - half, centre + half


def blink_window(step: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """Blink values (0..1) from which the face's motion phase draws."""
    share = step / (0.8 * total)
    return share - 0.15, share + 0.3


def lips_part_window(step: float, quartile: float, high: float, total: float = PUBLISHED_STEPS) -> tuple[float, float]:
    """AU25 values from which the mouth's motion phase draws: the open ones first, down to the first quartile.

    Args:
        quartile, high: 25th percentile and (clipped) maximum of AU25 over the training frames.
    """
    return high - step / (0.78 * total) * (high - quartile), high


def draw_path(generator: torch.Generator | None = None, weights: tuple[float, ...] = (4, 4, 2)) -> Path:
    """One of "audio", "masked", "vanilla" in the given proportions (paper: 4:4:2)."""
    return PATHS[int(torch.multinomial(torch.tensor(weights, dtype=torch.float64), 1, generator=generator))]


def draw_mask(channels: int, generator: torch.Generator | None = None, low: float = 0.1, high: float = 0.3) -> Tensor:
    """[1, channels] of 0 and 1: a ratio r ~ U(low, high) is drawn, then each channel is 0 with probability r; no rescaling."""
    ratio = low + (high - low) * torch.rand((), generator=generator)
    return (torch.rand(1, channels, generator=generator) >= ratio).float()


def step_seed(seed: int, stage: int, step: int, slot: int = 0) -> int:
    """A seed of its own for every (training, stage, step, frame of the step's batch).

    Raises:
        TalkingHeadsError: the training's seed is negative.
    """
    entropy = [whole("A seed", seed), stage, step, *([slot] if slot else [])]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


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


def choose_frame(order: FrameOrder, rule: Rule, step: int, slot: int = 0, batch: int = 1) -> int:
    """Frame `slot` of a step's batch: the next of the round, or what the rule asks for."""
    wanted = rule(step)
    if wanted is None:
        return order(step * batch + slot)
    rng = np.random.default_rng(step_seed(order.seed, order.stage + 100, step, slot))
    return nearest_in_window(wanted[0], order.frames, wanted[1], wanted[2], rng)
