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
from ..media_core.motion import LOWER_INDEX, ExpressionTrack, PoseTrack

LONGEST_BLUR = 1000.0  # frames of standard deviation
FARTHEST = 1 << 31     # frame or size that nothing of ours has
SOURCE = "HM-Talker A2AM"  # what an expression track made by `drive` calls itself


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


def check_rates(fps: float, *tracks: ExpressionTrack | PoseTrack | None) -> None:
    """That tracks run at an avatar's frame rate.

    Raises:
        TalkingHeadsError: one does not.
    """
    for track in tracks:
        if track is not None and abs(track.fps - fps) > 1e-6:
            raise TalkingHeadsError(f"Tracks must run at the avatar's {fps:g} frames per second", f"{track.fps:g}",
                                    "Resample the track first")


def of_known_units(au: Tensor, known: Sequence[bool]) -> Tensor:  # [T, 17], 17 -> [T, 17]
    """Action units without those never trained: 0 for upper ones, NaN (that is: predicted) for lower ones."""
    for unit, learnt in enumerate(known):
        if not learnt:
            au[:, unit] = torch.nan if unit in LOWER_INDEX else 0.0
    return au


def nearest_poses(poses: PoseTrack, recorded: PoseTrack) -> Tensor:  # -> int64 [T]
    """For each pose the number of the recorded one that is nearest."""
    return torch.cdist(compared(poses), compared(recorded)).argmin(-1)


def shaped(codes: Tensor, smoothing: float, gain: float = 1.0, rest: Tensor | None = None) -> Tensor:  # [T, D] -> [T, D]
    """Codes stretched away from those of `rest` [1, D] by `gain`, then smoothed over so many frames."""
    if gain != 1.0 and rest is not None:
        codes = rest + gain * (codes - rest)
    return smooth_in_time(codes, smoothing) if smoothing > 0 else codes


def rested(moving: Tensor, resting: Tensor, weight: Tensor) -> Tensor:  # [T, D], [T or 1, D], [T] 0..1 -> [T, D]
    """A track as far at rest as `weight` says: bit for bit `moving` where that is 0, and `resting` where it is 1."""
    return torch.lerp(moving, resting.expand_as(moving), weight.to(moving)[:, None])


def smooth_in_time(x: Tensor, sigma: float) -> Tensor:  # [T, D] -> [T, D]
    """A Gaussian of `sigma` frames along time, zero-phase; the ends repeat."""
    reach = max(1, int(3 * sigma + 0.5))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / sigma) ** 2)
    padded = torch.cat([x[:1].expand(reach, -1), x, x[-1:].expand(reach, -1)]).T[:, None]
    return torch.nn.functional.conv1d(padded, (weights / weights.sum()).view(1, 1, -1))[:, 0].T
