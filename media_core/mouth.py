"""The mouth of the 68 points: how far it is open, what belongs to it, and the same face with it closed.

Everything here works a frame at a time, so no chunking changes it. Where a face stands, how large it is and which way it looks
does not matter: the mean face is laid over the rigid points by an affine map first. Indices: media_core/face/geometry.py.
"""
from __future__ import annotations

import numpy as np
import torch

from .choices import REGIONS as REGIONS
from .errors import TalkingHeadsError
from .face.geometry import MIRROR, OUTER_CORNERS, STILLEST
from .face.landmarks.mean_face import MeanFace
from .metrics import Array

INNER_PAIRS = ((61, 67), (62, 66), (63, 65))  # upper and lower inner lip, facing one another
CHIN, NOSE_BASE = 8, 33
JAW_AND_MOUTH = (*range(17), *range(48, 68))
RIGID_POINTS = list(STILLEST)  # nothing here moves them
CLOSED = 0.02  # of the outer eye corners' distance, 1.8 mm: a mouth no further open counts as closed
_RESTING = 0.05  # fraction of a video's frames, those with the smallest lip aperture, that show the mouth at rest
_FLAT = 1e-3  # of the largest extent: a depth below this is none
_BORDER = 4  # jaw points, from each ear on, over which a region fades out
UPPER_SHARE = 0.17  # of closing lips' way that the upper lip goes
UPPER_PAIR = torch.tensor([upper for upper, _ in INNER_PAIRS])
LOWER_PAIR = torch.tensor([lower for _, lower in INNER_PAIRS])
UPPER_RIM, LOWER_RIM = torch.tensor([50, 51, 52]), torch.tensor([58, 57, 56])  # the red's outer edge over the same pairs

# How a closing mouth moves, up and forwards, for 1 of lip aperture; measured on the synthetic subject's rig over a minute of
# speech (its parameters as spoken, against the same with `la` and `jaw` at 0). Right half; the left half mirrors it.
_JAW_CLOSING = ((0, 0), (.06, 0), (.13, .04), (.23, .13), (.45, .27), (.64, .32), (.75, .33), (.79, .29), (.81, .26))  # 0-8
_LIP_CLOSING = {48: (.24, 0), 49: (-.04, 0), 50: (-.09, 0), 51: (-.12, 0), 57: (.78, .145), 58: (.75, .145), 59: (.66, .145),
                60: (.24, 0), 61: (-.145, 0), 62: (-.17, 0), 66: (.83, .145), 67: (.79, .145)}


def lip_aperture(points: Array) -> torch.Tensor:  # [..., 68, 2 or 3] -> [...]
    """Mean distance of the three inner-lip pairs 61-67, 62-66, 63-65, in the points' own unit (`metrics.lip_aperture`: in parts
    of the eyes' distance). In three dimensions closed lips keep the depth between their edges, about 1 mm.

    Raises:
        TalkingHeadsError: not 68 finite points.
    """
    points = checked(points)
    return (points[..., UPPER_PAIR, :] - points[..., LOWER_PAIR, :]).norm(dim=-1).mean(-1)


def jaw_drop(points: Array) -> torch.Tensor:  # [..., 68, 2 or 3] -> [...]
    """Distance from the nose's base (33) to the chin (8), in the points' own unit: grows as the jaw opens, whatever the pose.

    Raises:
        TalkingHeadsError: not 68 finite points.
    """
    points = checked(points)
    return (points[..., CHIN, :] - points[..., NOSE_BASE, :]).norm(dim=-1)


def region_weights(region: str) -> torch.Tensor:  # float32 [68] 0..1
    """How far each point belongs to a region. "mouth": lips and jaw, fading out along the jaw towards the ears, so that the
    outline has no step; "upper": what remains, the two add up to 1; "all".

    Raises:
        TalkingHeadsError: no such region.
    """
    if region not in REGIONS:
        raise TalkingHeadsError(f"A face's region must be one of {', '.join(REGIONS)}", f"'{region}'", "Choose one of those")
    mouth = torch.zeros(68)
    mouth[48:] = 1.0
    from_ear = torch.arange(17).minimum(torch.arange(16, -1, -1))
    mouth[:17] = smooth_step(from_ear / _BORDER)
    return {"all": torch.ones(68), "mouth": mouth, "upper": 1 - mouth}[region]


def closed_mouth(points: Array) -> torch.Tensor:  # [..., 68, 2 or 3] -> the same
    """The same faces with the inner lips together as the mean face has them at rest; brows, eyes and nose stay bit for bit.

    The lower lip, the chin and the jaw's line go up, the upper lip comes down a little, the corners rise, in the proportions of
    the synthetic subject's rig. Each inner pair ends exactly at rest, so that closing twice changes nothing more. Canonical
    points or pixels, with a depth, with none (z = 0), or in the plane; the head may be turned.

    Raises:
        TalkingHeadsError: not 68 finite points.
    """
    given = checked(points)
    p = given.double()
    mean = torch.from_numpy(MeanFace.load().points)  # [68, 3]
    axes = affine_axes(mean, p)  # [..., 3, D]: where the mean face's x, y and z point
    rest = (mean[UPPER_PAIR] - mean[LOWER_PAIR]) @ axes  # [..., 3 pairs, D]
    up = axes[..., 1, :]
    excess = p[..., UPPER_PAIR, :] - p[..., LOWER_PAIR, :] - rest
    opening = (excess.mean(-2) * up).sum(-1) / up.square().sum(-1).clamp(min=1e-24)  # [...] in the mean face's unit
    out = p + opening[..., None, None] * (closing_field() @ axes)
    left = out[..., UPPER_PAIR, :] - out[..., LOWER_PAIR, :] - rest
    for upper, lower in ((UPPER_PAIR, LOWER_PAIR), (UPPER_RIM, LOWER_RIM)):
        out[..., upper, :] -= UPPER_SHARE * left
        out[..., lower, :] += (1 - UPPER_SHARE) * left
    moves = torch.zeros(68, 1, dtype=torch.bool)
    moves[list(JAW_AND_MOUTH)] = True
    return torch.where(moves, out.to(given.dtype), given)


def resting_face(points: Array) -> torch.Tensor:  # [68, D] or [T, 68, D] in one pose -> [68, D]
    """One person's face with its mouth closed.

    Of a video the median of the 5 % of its frames with the smallest lip aperture. Its mouth stays as it is when its lips stand
    less than 2 % of the eyes' distance apart; else it is closed by `closed_mouth` (a portrait that smiles with open lips).

    Raises:
        TalkingHeadsError: not 68 finite points.
    """
    points = checked(points)
    if points.ndim == 3:
        count = max(1, round(_RESTING * len(points)))
        quiet = torch.argsort(lip_aperture(points), stable=True)[:count]
        points = points[quiet].double().quantile(0.5, dim=0).to(points.dtype)
    right, left = OUTER_CORNERS
    span = (points[..., right, :] - points[..., left, :]).norm(dim=-1)
    return points if lip_aperture(points) <= CLOSED * span else closed_mouth(points)


def laid_over(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:  # [..., 68, S], [..., 68, D] -> [..., 68, D] float64
    """`source` in each frame's pose of `target`: the affine map that takes its rigid points there in the least-squares sense."""
    source = source.double()
    middle, there = (x.double()[..., RIGID_POINTS, :].mean(-2, keepdim=True) for x in (source, target))
    return (source - middle) @ affine_axes(source, target.double()) + there


def up_axis(points: Array) -> torch.Tensor:  # [..., 68, 2 or 3] -> float64 [..., D] of length 1
    """Where the face's top lies: the mean face's y axis, laid over the rigid points."""
    up = affine_axes(torch.from_numpy(MeanFace.load().points), checked(points).double())[..., 1, :]
    return up / up.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def smooth_step(x: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, and between them 3 x^2 - 2 x^3: no corner at either end."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def checked(points: Array, what: str = "The face") -> torch.Tensor:  # [..., 68, 2 or 3] floating point
    """Faces as a tensor.

    Raises:
        TalkingHeadsError: another shape, no frame, or a number that is not finite.
    """
    out = torch.as_tensor(points) if isinstance(points, (torch.Tensor, np.ndarray)) else None
    if out is None or out.ndim < 2 or out.shape[-2] != 68 or out.shape[-1] not in (2, 3) or not out.numel():
        raise TalkingHeadsError(f"{what} must be points [..., 68, 2 or 3] with at least one frame",
                                f"{list(out.shape)}" if out is not None else type(points).__name__, "Use the 68-point layout")
    if not out.is_floating_point() or not bool(torch.isfinite(out).all()):
        raise TalkingHeadsError(f"{what} must have finite points", "NaN or infinite ones" if out.is_floating_point() else
                                f"{out.dtype}", "Measure these frames again, or interpolate them first")
    return out


def affine_axes(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:  # [..., 68, S], [..., 68, D] -> [..., S, D]
    """The linear part of the best affine map between the rigid points; directions in which the source is flat get none. For the
    mean face as the source: where its x, y and z point in the target."""
    a, b = (x[..., RIGID_POINTS, :] - x[..., RIGID_POINTS, :].mean(-2, keepdim=True) for x in (source, target))
    return torch.linalg.pinv(a, rtol=_FLAT) @ b


def closing_field() -> torch.Tensor:  # -> float64 [68, 3] right, up, forwards
    """How each point moves while the mouth closes by 1 of lip aperture."""
    move = torch.zeros(68, 3, dtype=torch.float64)
    for point, upwards in (*enumerate(_JAW_CLOSING), *_LIP_CLOSING.items()):
        for one in (point, int(MIRROR[point])):
            move[one, 1:] = torch.tensor(upwards, dtype=torch.float64)
    return move
