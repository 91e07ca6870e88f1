"""What a still portrait does while it speaks: the head sways, the lids blink, brows and head follow the stress of the speech.

Drawn from a seed for the whole of a motion, so that any part of it looks the same whatever it is made with. The head's movements
are those of `media_core.subject.performance`, a little smaller, and begin with the image as it is.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...subject.curves import bump
from ...subject.performance import head_movement
from .place import Turn, smooth

_TURN, _MOVE = .7, .6   # of the synthetic subject's head movement
_LID_SPEED = (-.08, 0, .05, .22)  # s about a blink: begins, shut, opens, open
_PAUSE, _MEAN_PAUSE = .8, 2.8     # s between blinks: at least, and how much longer on average
_BLINKS, _AWAY = (.45, .25), 1.0  # part of the lids' gap by which a blink closes them, span to shut; s around it without others
_APART = .35            # s between stresses
_NODS, _BROWS = .5, .3  # probability of a nod, of raised brows with a stress
_QUIET_BROWS = .9       # the strongest raise


@dataclass(frozen=True)
class Life:
    """A row per frame."""

    turns: list[Turn]   # of the head
    sway: np.ndarray    # float64 [T, 2] units: right, down, of the shoulders
    blink: np.ndarray   # float64 [T] 0..1
    brows: np.ndarray   # float64 [T] 0..1


def lively(opening: np.ndarray, fps: float, seed: int, amount: float, turning: float = 1.0,
           shut: np.ndarray | None = None) -> Life:
    """The life of a portrait.

    Args:
        opening: [T] of the lips, in any unit: its peaks are the speech's stresses.
        amount: 0..1.
        turning: 0..1, further factor of the head's turn, for heads that already look aside.
        shut: [T] 0..1, how far the motion itself blinks: these blinks are completed, and no other one stands near them.
    """
    frames = len(opening)
    rng = np.random.default_rng([seed, 15])
    nods, brows = _stresses(np.asarray(opening, np.float64), fps, rng)
    own = np.zeros(frames) if shut is None else shut
    blink = _blinks(frames, fps, rng, own)
    euler, move, sway = head_movement(nods, frames, fps, rng)
    euler, move, sway = ((part - part[:1]) * amount for part in (euler * (_TURN * turning), move * _MOVE, sway * _MOVE))
    turns = [Turn.of(float(e[0]), float(e[1]), float(e[2]), shift) for e, shift in zip(euler, move)]
    return Life(turns, sway, blink * (amount > 0), (brows - brows[:1]) * amount)


def _blinks(frames: int, fps: float, rng: np.random.Generator, own: np.ndarray) -> np.ndarray:  # -> [T]
    time = (np.arange(frames) + .5) / fps
    taken = time[own > _BLINKS[0]]
    blink, start = smooth((own - _BLINKS[0]) / _BLINKS[1]), .6 + rng.exponential(1.6)
    while start < frames / fps:
        one = np.interp((time - start) / rng.uniform(.9, 1.25), _LID_SPEED, [0, 1, 1, 0])
        if not len(taken) or np.abs(taken - start).min() > _AWAY:
            blink = np.maximum(blink, one)
        start += _PAUSE + rng.exponential(_MEAN_PAUSE)
    return blink


def _stresses(opening: np.ndarray, fps: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nods and raised brows, [T] each, at peaks of the opening."""
    time = (np.arange(len(opening)) + .5) / fps
    nods, brows, last = np.zeros(len(opening)), np.zeros(len(opening)), -1.0
    for i in range(1, len(opening) - 1):
        peak = opening[i - 1] < opening[i] >= opening[i + 1] and opening[i] > opening.mean() + .6 * opening.std()
        if not peak or time[i] - last < _APART:
            continue
        last = time[i]
        if rng.random() < _NODS:
            nods += rng.uniform(.4, 1.0) * bump(time, last + .05, .11)
        if rng.random() < _BROWS:
            brows += rng.uniform(.3, _QUIET_BROWS) * bump(time, last + .06, .20)
    return nods, np.clip(brows, 0, 1)
