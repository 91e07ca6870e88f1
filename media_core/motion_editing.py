"""Editing landmark tracks: scale the mouth, shift, blend two; every edit makes a new track, in either space.

Smoothing, another rate, cutting, saving and loading are the tracks' own: `smoothed`, `resampled` (retime), `slice`, `save`,
`load`.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .errors import TalkingHeadsError
from .metrics import Array
from .motion import LandmarkTrack
from .mouth import INNER_PAIRS, REGIONS, closed_mouth, jaw_drop, laid_over, lip_aperture, region_weights, resting_face, up_axis
from .mouth_gate import closed_target

__all__ = ["REGIONS", "blended", "closed_mouth", "jaw_drop", "lip_aperture", "offset", "region_weights", "resting_face",
           "scale_mouth"]
MOST = 10.0  # times the mouth's own movement


def scale_mouth(track: LandmarkTrack, factor: float | Sequence[float] | Array, rest: Array | None = None) -> LandmarkTrack:
    """The track with its mouth's and jaw's movement times `factor`: 1 changes no bit, 0 keeps the mouth shut, 2 doubles it.

    What is scaled is the departure from rest. In space "canonical" that is one face, so that spreading and rounding are scaled
    as well. In "pixels", where a turn of the head cannot be told from a narrower mouth, it is each frame's own mouth closed: the
    opening is scaled. Lips never cross further than in the track or at rest. Brows, nose and eyes stay bit for bit.

    Args:
        factor: 0..10, one number or [T].
        rest: [68, 3] the person's face (canonical; for "pixels" either), a portrait's landmarks; closed by `resting_face`.
            None: "canonical" the track's own resting face (which needs the whole track), "pixels" as above.
    Raises:
        TalkingHeadsError: a factor below 0, above 10, not finite, or of another length; a `rest` that is no face.
    """
    factor = _numbers(factor, len(track), "The mouth's factor", MOST)
    if bool((factor == 1).all()):
        return track
    given, p = track.points, track.points.double()
    own = resting_face(given) if rest is None and track.space == "canonical" else rest
    target = closed_target(given, own, track.space)
    moves = region_weights("mouth").double()[:, None] * (factor != 1).double().reshape(-1, 1, 1)  # [T, 68, 1]
    scale = factor.reshape(-1, 1, 1)
    scaled = _uncrossed(target + (p - target) * scale, p, target, up_axis(given)) if bool((factor > 1).any()) else \
        target + (p - target) * scale
    return track.with_data(torch.where(moves == 0, given, torch.lerp(p, scaled, moves).to(given.dtype)))


def offset(track: LandmarkTrack, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> LandmarkTrack:
    """The track moved as a whole: canonical decimetres (x right, y up, z to the viewer) or pixels (x right, y down, z away).

    Raises:
        TalkingHeadsError: a distance that is not finite.
    """
    if not all(math.isfinite(d) for d in (dx, dy, dz)):
        raise TalkingHeadsError("A shift must be finite", f"{dx}, {dy}, {dz}", "Choose other numbers")
    if dx == dy == dz == 0:
        return track
    return track.with_data(track.points + track.points.new_tensor([dx, dy, dz]))


def blended(a: LandmarkTrack, b: LandmarkTrack, weight: float | Sequence[float] | Array, region: str = "all") -> LandmarkTrack:
    """(1 - weight) of `a` plus `weight` of `b`: 0 gives the bits of `a`, 1 of "all" those of `b`.

    With region "mouth" (lips and jaw) or "upper" (the rest) the other points are those of `a`; along the jaw the region fades
    out, so that the outline has no step. In space "pixels" `b` is first laid over `a`, frame by frame, by an affine map of the
    rigid points: another head movement moves no part of the face away from the others.

    Args:
        a, b: of equal length, rate, space and image size.
        weight: 0..1, one number or [T].
        region: "all", "mouth" or "upper".
    Raises:
        TalkingHeadsError: tracks that do not fit together (named), a weight outside 0..1 or of another length, no such region.
    """
    share = region_weights(region)
    differing = [name for name, x, y in (("length", len(a), len(b)), ("rate", a.fps, b.fps), ("space", a.space, b.space),
                                         ("image size", a.image_size, b.image_size)) if x != y]
    if differing:
        raise TalkingHeadsError("Blended tracks must have equal length, rate, space and image size",
                                f"different {', '.join(differing)}: {_said(a)}, and {_said(b)}",
                                "Resample, cut or convert one of them")
    weight = _numbers(weight, len(a), "The blend's weight", 1.0).reshape(-1, 1, 1) * share.double()[:, None]  # [T or 1, 68, 1]
    other = laid_over(b.points, a.points) if a.space == "pixels" and region != "all" else b.points.double()
    mixed = torch.lerp(a.points.double(), other, weight).to(a.points.dtype)
    return a.with_data(torch.where(weight == 0, a.points, mixed))


def _uncrossed(points: torch.Tensor, before: torch.Tensor, rest: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Inner lips that cross by more than before and at rest, moved apart until they do not. [T, 68, 3] each, `up` [T, 3]."""
    out = points.clone()
    for upper, lower in INNER_PAIRS:
        gap, was, resting = (((x[:, upper] - x[:, lower]) * up).sum(-1) for x in (points, before, rest))
        lift = (torch.minimum(torch.minimum(was, resting), torch.zeros_like(was)) - gap).clamp(min=0)[:, None] * up / 2
        out[:, upper] += lift
        out[:, lower] -= lift
    return out


def _numbers(value: float | Sequence[float] | Array, length: int, what: str,
             most: float) -> torch.Tensor:  # -> float64 [1] or [length]
    try:
        out = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
    except (TypeError, ValueError, RuntimeError):  # text, None, a ragged list
        out = torch.zeros(0, dtype=torch.float64)
    if out.numel() not in (1, length) or not bool(torch.isfinite(out).all()) or float(out.min()) < 0 or float(out.max()) > most:
        came = f"{value!r}" if out.numel() < 2 else f"{out.numel()} numbers, {float(out.min()):g} to {float(out.max()):g}"
        raise TalkingHeadsError(f"{what} must be 0 to {most:g}, one number or one for each of {length} frames", came,
                                "Choose other numbers")
    return out


def _said(track: LandmarkTrack) -> str:
    picture = f" of {track.image_size[1]} x {track.image_size[0]}" if track.image_size else ""
    return f"{len(track)} frames at {track.fps:g}, {track.space}{picture}"
