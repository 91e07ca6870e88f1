"""What `Avatar.drive` makes and `Avatar.render` shows: codes, action units and poses, one row per video frame."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..media_core.asked import real, whole
from ..media_core.errors import TalkingHeadsError
from ..media_core.head_pose import compared
from ..media_core.motion import AU_NAMES, LOWER_INDEX, ExpressionTrack, PoseTrack

LONGEST_BLUR = 1000.0  # frames of standard deviation
FARTHEST = 1 << 31     # frame or size that nothing of ours has
BLINK = AU_NAMES.index("AU45")
SOURCE = "HM-Talker A2AM"  # what an expression track made by `drive` calls itself
Driven = tuple[Tensor, Tensor, Tensor]  # c_f [n, 32], mouth code [n, 32], action units: lower [n, 10] or all [n, 17]


@dataclass(frozen=True)
class AvatarMotion:
    """What an avatar does in T frames; cheap, and everything that `render` needs besides the avatar."""

    codes: Tensor  # float32 [T, 32] fused lower-face codes c_f
    mouth_codes: Tensor  # float32 [T, 32] codes of the inside-mouth net
    au: Tensor  # float32 [T, 17] intensities 0..5: the upper ones act, the lower ones are what the speech predicts
    poses: PoseTrack  # T camera-to-head poses
    torso_index: Tensor  # int64 [T] state of the torso model
    encoder: str  # speech encoder the codes come from
    version: int = 1
    avatar: str = ""  # `Avatar.fingerprint` of the one it was made for; "" is not checked
    reliability: tuple[float, ...] | None = None  # of the 17 units, 0 for those the avatar never learnt; None: all alike

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def fps(self) -> float:
        return self.poses.fps

    @property
    def expression(self) -> ExpressionTrack:
        """The action units as a track to look at, edit, and give back to `drive`."""
        return ExpressionTrack(self.au, self.fps, SOURCE, self.reliability)


def check_driving(smoothing: float, lip_gain: float, start: int, seed: int) -> None:
    """What `Avatar.drive` is asked for in numbers.

    Raises:
        TalkingHeadsError: one out of range.
    """
    real("Smoothing, in frames,", smoothing, 0, LONGEST_BLUR)
    real("The gain of the lips", lip_gain, -1000, 1000)
    whole("The frame to begin with", start, 0, FARTHEST)
    whole("The seed", seed)


def check_rendering(start: int, stop: int | None, chunk: int, size: Sequence[int] | None, background: Any) -> None:
    """What `Avatar.render` is asked for.

    Raises:
        TalkingHeadsError: something out of range, or a background that is none.
    """
    whole("The first frame", start, 0, FARTHEST)
    whole("The frame before which the video ends", 0 if stop is None else stop, 0, FARTHEST)
    whole("The frames of a chunk", chunk, 1)
    if size is not None:
        if not isinstance(size, Sequence) or len(size) != 2:
            raise TalkingHeadsError("A size must be (height, width) in px", f"{size!r}", "Give both")
        for side in size:
            whole("A side of the image, in px,", side, 1, FARTHEST)
    if isinstance(background, Tensor):
        if background.ndim != 4 or background.shape[-1] != 3 or 0 in background.shape:
            raise TalkingHeadsError("Background images must be [frames, height, width, 3] in 0..1", f"{list(background.shape)}",
                                    "Give at least one RGB image")
    elif background not in ("plate", "black", "transparent"):
        if isinstance(background, str) or not isinstance(background, Sequence) or len(background) != 3:
            raise TalkingHeadsError("The background must be 'plate', 'black', 'transparent', images or an RGB colour",
                                    f"{background!r}", "Choose one")
        for part in background:
            real("A part of the background's colour", part, 0, 1)


def checked_gate(gate: Tensor, frames: int) -> Tensor:  # [T] -> [T]
    """How far the mouth rests, as it is asked for.

    Raises:
        TalkingHeadsError: not one number in 0..1 for each frame.
    """
    if tuple(gate.shape) != (frames,) or not bool(((gate >= 0) & (gate <= 1)).all()):
        raise TalkingHeadsError(f"A silence gate must be {frames} numbers in 0..1, one for each frame", f"{list(gate.shape)}",
                                "Make it for the same audio")
    return gate


def wanted_units(au: Tensor, blink: Tensor | None, given: Tensor | None, ceiling: float, known: Sequence[bool]) -> Tensor:
    """The action units that frames shall show, [T, 17]; NaN: as the speech predicts.

    Args:
        au: [T, 17] the avatar's own, of which the upper ones count.
        blink: [T] AU45; None: its own. ceiling: of AU45.
        given: [T, 17] units that replace all others where they are not NaN.
        known: [17] units that the avatar was trained with: others are 0 if upper, predicted (NaN) if lower.
    """
    au = au.clone()
    au[:, BLINK] = au[:, BLINK] if blink is None else blink
    au[:, list(LOWER_INDEX)] = torch.nan
    au = au if given is None else torch.where(given.isnan(), au, given)
    au[:, BLINK] = au[:, BLINK].clamp(0, ceiling)
    for unit in (unit for unit, trained in enumerate(known) if not trained):
        au[:, unit] = torch.nan if unit in LOWER_INDEX else 0.0
    return au


def nearest_poses(poses: PoseTrack, recorded: PoseTrack) -> Tensor:  # -> int64 [T]
    """For each pose the number of the recorded one that is nearest."""
    return torch.cdist(compared(poses), compared(recorded)).argmin(-1)


def shaped(codes: Tensor, smoothing: float, gain: float = 1.0, rest: Tensor | None = None) -> Tensor:  # [T, D] -> [T, D]
    """Codes stretched away from those of `rest` [1, D] by `gain`, then smoothed over so many frames."""
    codes = codes if rest is None else stretched(codes, gain, rest)
    return smooth_in_time(codes, smoothing) if smoothing > 0 else codes


def stretched(codes: Tensor, gain: float, rest: Tensor) -> Tensor:  # [T, D], [1 or T, D] -> [T, D]
    """Codes as many times as far from those of rest as `gain` says; 1 changes no bit."""
    return codes if gain == 1.0 else rest + gain * (codes - rest)


def opened(spoken: Driven, calm: Driven, gain: float, wanted: Tensor) -> Driven:
    """Codes of the face and lower units that are predicted from speech, as many times as far from those of rest as `gain` says;
    frames with a unit told ([T, 10], not NaN) keep theirs, and the inside of the mouth keeps its own. 1 changes no bit."""
    if gain == 1.0:
        return spoken
    predicted = wanted.isnan().all(-1, keepdim=True).to(spoken[0].device)
    codes, units = (torch.where(predicted, stretched(s, gain, c), s) for s, c in ((spoken[0], calm[0]), (spoken[2], calm[2])))
    return codes, spoken[1], units


def rested(moving: Tensor, resting: Tensor, weight: Tensor) -> Tensor:  # [T, D], [T or 1, D], [T] 0..1 -> [T, D]
    """A track as far at rest as `weight` says: bit for bit `moving` where that is 0, and `resting` where it is 1."""
    return torch.lerp(moving, resting.expand_as(moving), weight.to(moving)[:, None])


def blur_reach(sigma: float) -> int:
    """Frames after a frame that `smooth_in_time` needs."""
    return max(1, int(3 * sigma + 0.5)) if sigma > 0 else 0


def smooth_in_time(x: Tensor, sigma: float) -> Tensor:  # [T, D] -> [T, D]
    """A Gaussian of `sigma` frames along time, zero-phase; the ends repeat."""
    reach = blur_reach(sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / sigma) ** 2)
    padded = torch.cat([x[:1].expand(reach, -1), x, x[-1:].expand(reach, -1)])
    out = torch.zeros_like(x)
    for first, weight in enumerate((weights / weights.sum()).tolist()):  # in turn: the same bits at any length
        out = out + padded[first:first + len(x)] * weight
    return out
