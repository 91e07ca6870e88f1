"""Measures of landmarks [T, 68, 2 or 3] in iBUG order: distances of mouths and faces, and how far lips and eyes are open."""
from __future__ import annotations

import torch

from .arrays import Array, point_pair, points

MOUTH = slice(48, 68)
INNER_GAPS = ((61, 67), (62, 66), (63, 65))  # upper and lower inner lip, facing one another
EYE_CORNERS = (36, 45)  # outer corners, the inter-ocular distance
EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))  # corner, upper, upper, corner, lower, lower


def lmd(a: Array, b: Array) -> float:
    """Landmark distance of the mouth: mean distance of points 48-67 after each frame's and set's own mean is removed."""
    return _centred_distance(*(x[:, MOUTH] for x in point_pair(a, b)))


def f_lmd(a: Array, b: Array) -> float:
    """Landmark distance of the face (F-LMD): the same of all 68 points."""
    return _centred_distance(*point_pair(a, b))


def lve(a: Array, b: Array) -> float:
    """Lip vertex error: the largest squared distance of a lip point (48-67) in each frame, averaged over frames; in the square of
    the points' own unit. Nothing is removed: give points without the head's pose."""
    a, b = (x[:, MOUTH] for x in point_pair(a, b))
    return float((a - b).square().sum(dim=-1).amax(dim=1).mean())


def lip_aperture(landmarks: Array) -> torch.Tensor:  # [T, 68, D] -> float64 [T]
    """Mean gap of the inner lips over the distance of the outer eye corners; 0 is shut."""
    return _gap(points(landmarks), INNER_GAPS) / _span(points(landmarks), EYE_CORNERS)


def eye_aperture(landmarks: Array) -> torch.Tensor:  # [T, 68, D] -> float64 [T]
    """Mean over both eyes of lid gap over eye width; about .3 open, 0 shut."""
    x = points(landmarks)
    eyes = [_gap(x, ((e[1], e[5]), (e[2], e[4]))) / _span(x, (e[0], e[3])) for e in EYES]
    return (eyes[0] + eyes[1]) / 2


def _centred_distance(a: torch.Tensor, b: torch.Tensor) -> float:  # [T, K, D] x 2
    return float(((a - a.mean(1, keepdim=True)) - (b - b.mean(1, keepdim=True))).norm(dim=-1).mean())


def _span(x: torch.Tensor, pair: tuple[int, int]) -> torch.Tensor:  # [T]
    return (x[:, pair[0]] - x[:, pair[1]]).norm(dim=-1)


def _gap(x: torch.Tensor, pairs: tuple[tuple[int, int], ...]) -> torch.Tensor:  # [T]
    return torch.stack([_span(x, pair) for pair in pairs]).mean(dim=0)
