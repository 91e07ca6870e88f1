"""Measures that need no weights: of images, landmarks and curves.

Images are numpy or torch, [..., H, W, C] with values 0..1 (uint8 is divided by 255). Landmarks are [T, 68, 2 or 3] in iBUG order.
A measure that is undefined for its inputs is NaN, never a stand-in number.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from . import ssim as structural
from .errors import TalkingHeadsError
from .motion import AU_NAMES, LOWER_AUS, UPPER_AUS

Array = np.ndarray | torch.Tensor

MOUTH = slice(48, 68)
INNER_GAPS = ((61, 67), (62, 66), (63, 65))  # upper and lower inner lip, facing one another
EYE_CORNERS = (36, 45)  # outer corners, the inter-ocular distance
EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))  # corner, upper, upper, corner, lower, lower
SPLITS = {  # TalkingGaussian's numbers count AU09 as upper, HM-Talker's split as lower (docs/hmtalker.md#published-results)
    "hmtalker": (LOWER_AUS, UPPER_AUS),
    "talkinggaussian": (tuple(a for a in LOWER_AUS if a != "AU09"), tuple(sorted((*UPPER_AUS, "AU09")))),
}


class AuError(NamedTuple):
    """Sum over a group's action units of the mean squared difference; NaN when one of the group is unknown throughout."""

    lower: float
    upper: float


def psnr(a: Array, b: Array, mask: Array | None = None) -> float:
    """Peak signal-to-noise ratio in dB, per frame, averaged over frames; inf for equal images.

    Args:
        mask: [..., H, W], the pixels that count; frames without any are left out, NaN when none remains.
    """
    a, b = _pair(a, b)
    error = (a - b).square().mean(dim=-1).reshape(-1, *a.shape[-3:-1])  # [F, H, W]
    weight = torch.ones_like(error) if mask is None else torch.as_tensor(mask).to(error).expand(a.shape[:-1]).reshape(error.shape)
    counted = weight.sum(dim=(1, 2)) > 0
    if not counted.any():
        return float("nan")
    mse = (error * weight).sum(dim=(1, 2))[counted] / weight.sum(dim=(1, 2))[counted]
    return float((-10 * torch.log10(mse)).mean())


def ssim(a: Array, b: Array) -> float:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian of sigma 1.5, data range 1, without the border; mean of all.

    Raises:
        TalkingHeadsError: images under 11 px.
    """
    a, b = (x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2) for x in _pair(a, b))  # [F, C, H, W]
    if min(a.shape[2:]) < structural.WINDOW:
        raise TalkingHeadsError("SSIM needs images of at least 11 x 11 px", f"{a.shape[3]} x {a.shape[2]}",
                                "Compare larger images")
    return float(torch.stack([structural.ssim(x, y, border="drop") for x, y in zip(a, b, strict=True)]).mean())


def lmd(a: Array, b: Array) -> float:
    """Landmark distance of the mouth: mean distance of points 48-67 after each frame's and set's own mean is removed."""
    a, b = (_points(x)[:, MOUTH] for x in (a, b))
    _same(a, b)
    return float(((a - a.mean(1, keepdim=True)) - (b - b.mean(1, keepdim=True))).norm(dim=-1).mean())


def aue(a: Array, b: Array, split: str = "hmtalker") -> AuError:
    """Action-unit error (AUE-L, AUE-U) of two [T, 17] tracks over frames in which both are known.

    Args:
        split: "hmtalker" (AU09 lower) or "talkinggaussian" (AU09 upper); name it beside the number.
    """
    a, b = (_double(x) for x in (a, b))
    _same(a, b)
    squared = (a - b).square().nanmean(dim=0)
    lower, upper = (float(squared[[AU_NAMES.index(n) for n in group]].sum()) for group in SPLITS[split])
    return AuError(lower, upper)


def lip_aperture(landmarks: Array) -> torch.Tensor:  # [T, 68, D] -> float64 [T]
    """Mean gap of the inner lips over the distance of the outer eye corners; 0 is shut."""
    return _gap(_points(landmarks), INNER_GAPS) / _span(_points(landmarks), EYE_CORNERS)


def eye_aperture(landmarks: Array) -> torch.Tensor:  # [T, 68, D] -> float64 [T]
    """Mean over both eyes of lid gap over eye width; about .3 open, 0 shut."""
    points = _points(landmarks)
    eyes = [_gap(points, ((e[1], e[5]), (e[2], e[4]))) / _span(points, (e[0], e[3])) for e in EYES]
    return (eyes[0] + eyes[1]) / 2


def jitter(points: Array) -> float:  # [T, ...] or [T, K, D]
    """Mean length of the second difference over time (of vectors along the last axis); NaN under three frames."""
    x = _double(points)
    x = x[:, None] if x.ndim == 1 else x
    return float((x[2:] - 2 * x[1:-1] + x[:-2]).norm(dim=-1).mean()) if len(x) > 2 else float("nan")


def correlation(x: Array, y: Array) -> float:
    """Pearson's r of two curves of equal length; NaN when one of them is constant or shorter than two."""
    x, y = (_double(v).flatten() for v in (x, y))
    _same(x, y)
    if len(x) < 2 or x.max() == x.min() or y.max() == y.min():
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / (x.norm() * y.norm()))


def _ssim_frame(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # [1, C, H, W] -> []
    offset = torch.arange(-5, 6, dtype=torch.float64)
    g = torch.exp(-offset.square() / (2 * 1.5**2))
    g, channels = (g / g.sum()).to(a), a.shape[1]

    def blur(x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.conv2d(x, g.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return torch.nn.functional.conv2d(x, g.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()


def _double(x: Array) -> torch.Tensor:  # on the CPU: not every device has float64
    return torch.as_tensor(x).detach().cpu().double()


def _image(x: Array) -> torch.Tensor:
    return _double(x) / 255 if torch.as_tensor(x).dtype == torch.uint8 else _double(x)


def _pair(a: Array, b: Array) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = _image(a), _image(b)
    _same(a, b)
    if a.ndim < 3:
        raise TalkingHeadsError("Images must be [..., H, W, C]", f"{list(a.shape)}", "Add the channel axis")
    return a, b


def _points(x: Array) -> torch.Tensor:  # float64 [T, 68, D]
    x = _double(x)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[1] != 68:
        raise TalkingHeadsError("Landmarks must be [T, 68, 2 or 3]", f"{list(x.shape)}", "Use the 68-point layout")
    return x


def _same(a: torch.Tensor, b: torch.Tensor) -> None:
    if a.shape != b.shape:
        raise TalkingHeadsError("Inputs to compare must have equal shape", f"{list(a.shape)} and {list(b.shape)}",
                                "Cut or resample one of them")


def _span(points: torch.Tensor, pair: tuple[int, int]) -> torch.Tensor:  # [T]
    return (points[:, pair[0]] - points[:, pair[1]]).norm(dim=-1)


def _gap(points: torch.Tensor, pairs: tuple[tuple[int, int], ...]) -> torch.Tensor:  # [T]
    return torch.stack([_span(points, pair) for pair in pairs]).mean(dim=0)
