"""What counts more in the training of AToM than the rest: the mouth, and the moments in which it closes while speaking. Ours."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...media_core.mouth import lip_aperture

MOUTH_POINTS = (*range(3, 14), *range(48, 68))  # chin and jaw's sides, lips
SHUT, OPEN = 0.25, 0.5  # cm between the inner lips: a closed mouth, and one that has spoken or will
_NEAR = 5  # frames: a closure lies that near to an open mouth
_WIDER = 1  # frames on both sides of it that count as well


def weights(points: Tensor, mouth: float, closures: float) -> Tensor | None:
    """How much every number counts; None where all count alike.

    Args:
        points: the true motion, [B, T, 204] cm.
        mouth: weight of jaw and lips over that of the other points; the mean of all is 1.
        closures: times that in frames at P, B and M.
    Returns:
        [B, T, 204].
    """
    if mouth == closures == 1:
        return None
    each = points.new_ones(68)
    each[list(MOUTH_POINTS)] = mouth
    each = each / each.mean()
    frames = points.new_ones((*points.shape[:2], 68)) * each
    if closures != 1:
        marked = closing(points).unsqueeze(-1)
        only_mouth = torch.zeros(68, dtype=torch.bool, device=points.device)
        only_mouth[list(MOUTH_POINTS)] = True
        frames = torch.where(marked & only_mouth, frames * closures, frames)
    return frames.repeat_interleave(3, -1)


def closing(points: Tensor) -> Tensor:  # [B, T, 204] cm -> bool [B, T]
    """Frames at which a speaking mouth is shut, with their neighbours."""
    opening = lip_aperture(points.unflatten(-1, (68, 3)).cpu()).to(points.device)
    return shut_while_speaking(opening, SHUT, OPEN, _WIDER)


def shut_while_speaking(opening: Tensor, shut: float, spoken: float, wider: int) -> Tensor:  # [B, T] -> bool [B, T]
    """Frames in which lips are less than `shut` apart and that lie near others in which they are more than `spoken` apart, with
    `wider` frames on both sides."""
    speaking = functional.max_pool1d(opening[:, None], 2 * _NEAR + 1, 1, _NEAR)[:, 0] > spoken
    found = ((opening < shut) & speaking).float()
    return functional.max_pool1d(found[:, None], 2 * wider + 1, 1, wider)[:, 0] > 0
