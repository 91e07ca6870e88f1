"""What `Avatar.drive` makes and `Avatar.render` shows: codes, action units and poses, one row a film frame."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from ..media_core.motion import ExpressionTrack, PoseTrack

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
    reliability: Optional[tuple[float, ...]] = None  # of the 17 units, 0 for those the avatar never learnt; None: all alike

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def fps(self) -> float:
        return self.poses.fps

    @property
    def expression(self) -> ExpressionTrack:
        """The action units as a track to look at, edit, and give back to `drive`."""
        return ExpressionTrack(self.au, self.fps, SOURCE, self.reliability)


def smooth_in_time(x: Tensor, sigma: float) -> Tensor:  # [T, D] -> [T, D]
    """A Gaussian of `sigma` frames along time, without delay; the ends repeat."""
    reach = max(1, int(3 * sigma + 0.5))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / sigma) ** 2)
    padded = torch.cat([x[:1].expand(reach, -1), x, x[-1:].expand(reach, -1)]).T[:, None]
    return torch.nn.functional.conv1d(padded, (weights / weights.sum()).view(1, 1, -1))[:, 0].T
