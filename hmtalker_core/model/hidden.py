"""Which Gaussians of the face lie behind the inside of the mouth.

The face is drawn over the mouth (`compose`), the hair at the back of a head with it: where a head turns and its lips are open,
nothing else would hide that hair. So what lies far behind the mouth, as the camera sees it, is left out. A closed surface of
skin stands before it everywhere else.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .gaussians import GaussianField

BEYOND = 0.05  # m behind the middle of the mouth
WITHIN = 6.0   # squared distance from it as seen, in standard deviations of the mouth's Gaussians; a flat disc ends at 4
_LEAST = 1e-8  # m^2, so that a few points have an area too


class MouthPlace(NamedTuple):
    """Where the inside of the mouth is in the head."""
    middle: Tensor  # float32 [3] m
    spread: Tensor  # float32 [3, 3] m^2, covariance

    @classmethod
    def of(cls, mouth: GaussianField) -> MouthPlace | None:
        """None: there is no inside."""
        xyz = mouth.xyz.detach()
        if not len(xyz):
            return None
        middle = xyz.mean(0)
        off = xyz - middle
        return cls(middle, off.T @ off / len(xyz) + _LEAST * torch.eye(3, device=xyz.device))


def hidden(means: Tensor, viewmat: Tensor, place: MouthPlace) -> Tensor:  # [N, 3], [4, 4] -> bool [N]
    """The Gaussians that a camera would see through the inside of the mouth."""
    turn, shift = viewmat[:3, :3], viewmat[:3, 3]
    seen, middle = means @ turn.T + shift, turn @ place.middle + shift
    off = middle[2] * seen[:, :2] / seen[:, 2:].clamp_min(1e-6) - middle[:2]  # m at the mouth's distance
    spread = (turn @ place.spread @ turn.T)[:2, :2]
    far = (off @ torch.linalg.inv(spread) * off).sum(-1)
    return (seen[:, 2] > middle[2] + BEYOND) & (far < WITHIN)
