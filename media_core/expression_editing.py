"""Editing action-unit tracks: scale, smooth, set and blend some of their 17 curves; add blinks. Every edit makes a new track.

Cutting, saving and loading are the tracks' own: `slice`, `save`, `load`. A unit that is not
known in a frame (NaN) stays unknown, unless a value is set or blended in.
"""
from __future__ import annotations

import re
from dataclasses import replace

import torch

from .asked import frame_rate, real, whole
from .errors import TalkingHeadsError
from .motion import AU_MAX, AU_NAMES, LOWER_AUS, UPPER_AUS, ExpressionTrack, generated_blinks
from .tracks import low_pass

GROUPS: dict[str, tuple[str, ...]] = {"all": AU_NAMES, "upper": UPPER_AUS, "lower": LOWER_AUS, "brows": ("AU01", "AU02", "AU04"),
                                      "lids": ("AU05", "AU07", "AU45"), "blink": ("AU45",), "smile": ("AU06", "AU12"),
                                      "opening": ("AU25", "AU26")}
MOST = 10.0  # times a unit's own intensity
MEAN_PAUSE, SLOWEST, FASTEST = 4.3, 1.0, 40.0  # s from blink to blink as `generated_blinks` has it; blinks per minute


def units_named(text: str) -> tuple[str, ...]:
    """Action units out of a line such as "AU12, 25" or "brows AU45": names, numbers, or groups of `GROUPS`, in AU_NAMES' order.

    Raises:
        TalkingHeadsError: something else, or nothing.
    """
    found: set[str] = set()
    words = re.split(r"[\s,;+]+", text.strip())
    for word in words:
        number = re.fullmatch(r"(?:au)?0?(\d{1,2})", word.lower())
        name = f"AU{int(number[1]):02}" if number else ""
        if name not in AU_NAMES and word.lower() not in GROUPS:
            raise TalkingHeadsError(f"Action units must be named: {', '.join(AU_NAMES)}, or {', '.join(GROUPS)}",
                                    f"{word!r}" if word else "an empty text", "Write some of these names, separated by commas")
        found.update((name,) if number else GROUPS[word.lower()])
    return tuple(name for name in AU_NAMES if name in found)


def scaled_units(track: ExpressionTrack, factor: float, units: str = "all") -> ExpressionTrack:
    """Some units times `factor`, 0..10, kept within 0..5; 1 changes no bit.

    Raises:
        TalkingHeadsError: a factor out of range, or no such unit.
    """
    real("The factor of action units", factor, 0, MOST)
    names = units_named(units)
    return track if factor == 1 else track.scaled(dict.fromkeys(names, factor))


def smoothed_units(track: ExpressionTrack, cutoff: float, units: str = "all") -> ExpressionTrack:
    """Some units through a zero-phase low-pass, `cutoff` Hz its -3 dB point; 0 changes nothing.

    Raises:
        TalkingHeadsError: a cutoff below 0, or no such unit.
    """
    real("The cutoff, in Hz,", cutoff, 0)
    columns = [AU_NAMES.index(name) for name in units_named(units)]
    if cutoff == 0:
        return track
    au = track.au.clone()
    au[:, columns] = low_pass(au[:, columns], track.fps, cutoff).clamp(0, AU_MAX)
    return track.with_data(au)


def set_units(track: ExpressionTrack, value: float, units: str) -> ExpressionTrack:
    """Some units at one intensity, 0..5, in every frame.

    Raises:
        TalkingHeadsError: a value out of range, or no such unit.
    """
    real("The intensity of action units", value, 0, AU_MAX)
    return track.replaced(dict.fromkeys(units_named(units), value))


def blended_units(a: ExpressionTrack, b: ExpressionTrack, weight: float, units: str = "all") -> ExpressionTrack:
    """(1 - weight) of `a` plus `weight` of `b` in some units: 0 gives the bits of `a`, 1 puts those of `b` in their place. What
    only one of them knows is taken from that one. As reliable, in these units, as the worse of the two.

    Raises:
        TalkingHeadsError: tracks of different length or rate, a weight outside 0..1, or no such unit.
    """
    real("The weight of a blend", weight, 0, 1)
    columns, mixed = [AU_NAMES.index(name) for name in units_named(units)], a.blended(b, weight)
    if weight == 0:
        return a
    au, own, other = a.au.clone(), a.au[:, columns], b.au[:, columns]
    both = other if weight == 1 else mixed.au[:, columns]
    au[:, columns] = torch.where(other.isnan(), own, torch.where(own.isnan(), other, both))
    trust = None
    if mixed.reliability is not None:
        before = a.reliability or (1.0,) * len(AU_NAMES)
        trust = tuple(new if i in columns else old for i, (old, new) in enumerate(zip(before, mixed.reliability)))
    return a.with_data(au, reliability=trust)


def retimed(track: ExpressionTrack, fps: float, frames: int = 0) -> ExpressionTrack:
    """The track at another rate: as long as before, or, with `frames` above 0, played slower or faster to fill so many.

    Raises:
        TalkingHeadsError: a rate or number of frames out of range.
    """
    if not whole("The number of frames", frames):
        return track.resampled(fps)
    return replace(replace(track, fps=len(track) * frame_rate(fps) / frames).resampled(fps), fps=fps)


def with_blinks(track: ExpressionTrack, seed: int, per_minute: float = 14.0, strength: float = 1.0,
                keep: bool = True) -> ExpressionTrack:
    """The track with generated blinks in AU45 (`motion.generated_blinks`).

    Args:
        seed: of their times. per_minute: on average, 0 (none) or 1..40. strength: 0..2.5; 1 shuts the lids.
        keep: its own blinks stay, the stronger of both acts; else they are replaced.
    Raises:
        TalkingHeadsError: a number out of range.
    """
    if per_minute:
        real("Blinks per minute", per_minute, SLOWEST, FASTEST)
    real("The strength of blinks", strength, 0, AU_MAX / 2)
    pauses = 60 / per_minute / MEAN_PAUSE if per_minute else 1.0
    made = generated_blinks(len(track), track.fps, seed, pauses) * (strength if per_minute else 0)
    own = track.column("AU45")
    return track.replaced({"AU45": torch.where(own.isnan(), made, torch.maximum(own, made)) if keep else made.clamp(0, AU_MAX)})

