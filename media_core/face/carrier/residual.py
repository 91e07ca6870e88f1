"""Motion as displacement from where an image shows the face: what a carrier draws.

Absolute motion would pull every face towards the mean one; the residual to the face that the motion was made from keeps the
image's own shape, and no movement gives the image itself.
"""
from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch

from ...mouth import resting_face
from ..geometry import STILLEST
from .place import UNIT, Place, Turn, smooth

BEGINS = .16           # s over which a video leaves the image that it begins with
_RIGID = list(STILLEST)
_SAME = .015           # of the eyes' distance: rigid points further from their place belong to another face
_SAME_PIXELS = .035    # the same where they were tracked
_STILL = .008          # of the eyes' distance: rigid points that move less belong to a head that keeps still
_STEPS, _EPSILON = 8, 1e-4
_LEAST_OFFSET = 5e-4   # dm
_AS_ONE = .1           # of an offset: rigid points that differ by less from it are all moved by it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Residual:
    """A motion for one image."""

    points: np.ndarray          # float64 [T, 68, 3] units (place.py), displacement in the face's axes
    turns: list[Turn] | None    # of the head, a row per frame; None: the motion has none

    def __len__(self) -> int:
        return len(self.points)


def canonical_residual(motion: np.ndarray, portrait: np.ndarray, own: np.ndarray) -> Residual:
    """Of motion without head movement.

    Args:
        motion: [T, 68, 3] canonical, of this face or of another.
        portrait: [68, 3] this face, canonical: what the motion was made from.
        own: [68, 3] units, the face in its image.
    """
    system = np.column_stack([portrait, np.ones(len(portrait))])
    axes = np.linalg.lstsq(system, own, rcond=None)[0][:3]
    motion = np.asarray(motion, np.float64)
    offset = offset_of(motion - portrait)
    if offset.any():
        log.warning("the canonical motion is moved aside by %s dm: without effect, the head stays where the image has it; to "
                    "move it, offset landmarks in pixels (Align Motion to Pose)", np.round(offset, 4).tolist())
    motion = motion - offset
    move = (motion - portrait) @ axes
    if _of_another(move, _SAME):
        move = (motion - _resting(motion) + _resting(portrait) - portrait) @ axes
    return Residual(move, None)


def pixel_residual(motion: np.ndarray, place: Place, own: np.ndarray) -> Residual:
    """Of motion in px of the image, [T, 68, 2]: what moves as one is the head's, the rest the face's.

    Args:
        own: [68, 3] units, the face in its image.
    """
    here = place.pixels(own)[:, :2]
    off = np.linalg.norm((motion - here)[:, _RIGID], axis=-1).mean(1)
    if off.max() < _STILL * UNIT * place.pixel:
        return Residual(np.stack([place.units(frame - here) for frame in motion]), None)
    turns = [_fitted(frame[_RIGID], place, own[_RIGID]) for frame in motion]
    left = []
    for frame, turned in zip(motion, turns):
        move = np.column_stack([frame - place.pixels(own, turned)[:, :2], np.zeros(len(frame))])
        left.append(move @ turned.rotation @ place.axes * place.k)
    move = np.stack(left)
    if _of_another(move, _SAME_PIXELS):
        flat = own[:, :2]
        move[..., :2] += flat - _resting(flat + move[..., :2]) + _resting(flat) - flat
    return Residual(move, turns)


def begun(points: np.ndarray, fps: float) -> np.ndarray:  # [T, ...] -> the same
    """The motion, beginning with nothing moved; very short ones stay as they are."""
    frames = BEGINS * fps
    if len(points) < 2 * frames or not points[0].any():
        return points
    leaving = 1 - smooth(np.arange(len(points)) / frames)
    return points - points[:1] * leaving.reshape(-1, *[1] * (points.ndim - 1))


def offset_of(move: np.ndarray) -> np.ndarray:  # [T, 68, 3] dm -> [3] dm
    """By how much a whole canonical motion was moved aside; 0 where it was not. The head stands where the image has it: a mouth
    that went there alone would leave its place in the face."""
    rigid = np.median(move[:, _RIGID], axis=0)
    offset = rigid.mean(0)
    size = float(np.linalg.norm(offset))
    as_one = size > _LEAST_OFFSET and float(np.linalg.norm(rigid - offset, axis=-1).max()) < _AS_ONE * size
    return offset if as_one else np.zeros(3)


def _of_another(move: np.ndarray, tolerance: float) -> bool:  # [T, 68, 3] units
    """Points that speech leaves alone tell whether a motion is of another face. Of that one counts what it moves from its own
    rest, onto this face with its mouth shut."""
    return float(np.linalg.norm(np.median(move[:, _RIGID], axis=0), axis=-1).mean()) > tolerance * UNIT


def _resting(points: np.ndarray) -> np.ndarray:  # [68, D] or [T, 68, D] -> [68, D]
    return resting_face(torch.from_numpy(points)).numpy()


def _fitted(points: np.ndarray, place: Place, own: np.ndarray) -> Turn:  # [N, 2] px, [N, 3] units
    """The head's movement that brings the face's points onto these (Gauss-Newton)."""
    state = np.zeros(6)
    for _ in range(_STEPS):
        error = (points - place.pixels(own, _turn(state))[:, :2]).ravel() * place.k
        slopes = np.stack([(place.pixels(own, _turn(state + step))[:, :2]).ravel() for step in np.eye(6) * _EPSILON], 1)
        slopes = (slopes - place.pixels(own, _turn(state))[:, :2].ravel()[:, None]) / _EPSILON * place.k
        normal = slopes.T @ slopes + np.diag([1e-6] * 5 + [1e-2])
        change = np.linalg.solve(normal, slopes.T @ error)
        state = state + change
        if np.abs(change).max() < 1e-7:
            break
    return _turn(state)


def _turn(state: np.ndarray) -> Turn:
    return Turn.of(float(state[0]), float(state[1]), float(state[2]), state[3:])
