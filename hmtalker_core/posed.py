"""An avatar's Gaussians as they stand in one frame: for files of other programs (.ply, .glb)."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ..media_core.asked import whole
from ..media_core.progress import Report, silent
from .model.gaussians import GaussianField
from .ply import Scales, save_ply

if TYPE_CHECKING:
    from .avatar import Avatar
    from .avatar_motion import AvatarMotion

BranchName = Literal["face", "mouth"]
BRANCHES: tuple[BranchName, ...] = ("face", "mouth")
DIGITS = 6  # of a frame's number in a file name


def at_rest(avatar: Avatar, branches: Sequence[BranchName] = BRANCHES) -> GaussianField:
    """The canonical Gaussians of these branches as one field."""
    return _joined([getattr(avatar, name) for name in branches])


@torch.inference_mode()
def posed(avatar: Avatar, motion: AvatarMotion, frame: int, branches: Sequence[BranchName] = BRANCHES) -> GaussianField:
    """The same as they stand in a frame; the head itself stays at the origin, as in every file of Gaussians.

    Raises:
        TalkingHeadsError: no such frame, or the motion was made for another avatar.
    """
    avatar._check_motion(motion)
    frame = whole("The frame of this motion", frame, 0, len(motion) - 1)
    (d_xyz, d_rot, d_scale), inside = avatar.offsets(motion, frame, frame + 1)
    moved = {"face": lambda: _moved(avatar.face, d_xyz[0], d_rot[0], d_scale[0]),
             "mouth": lambda: _moved(avatar.mouth, inside[0])}
    return _joined([moved[name]() for name in branches])


def save_frames(avatar: Avatar, motion: AvatarMotion, folder: Path, *, start: int = 0, count: int | None = None,
                branches: Sequence[BranchName] = BRANCHES, scales: Scales = "log", report: Report = silent) -> Iterator[Path]:
    """Writes a .ply for each frame, named by its number; yields each when it is whole.

    Args:
        start: the first frame. count: how many at most; None: all that follow.
        scales: see `ply.save_ply`.
        report: called after each; may raise to stop.
    Raises:
        TalkingHeadsError: no such frame.
    """
    start = whole("The first frame of this motion", start, 0, len(motion) - 1)
    stop = len(motion) if count is None else min(start + whole("The number of frames", count, 1), len(motion))
    for frame in range(start, stop):
        yield save_ply(posed(avatar, motion, frame, branches), folder / f"frame_{frame:0{DIGITS}d}.ply", scales=scales)
        done = frame + 1 - start
        report(done, stop - start, {"phase": "export", "frame": done, "frames": stop - start}, None)


def _moved(field: GaussianField, d_xyz: Tensor, d_rot: Tensor | None = None, d_scale: Tensor | None = None) -> GaussianField:
    rotation = field.rotation if d_rot is None else field.rotation + d_rot
    scaling = field.scaling if d_scale is None else field.scaling + d_scale
    return GaussianField(field.xyz + d_xyz, field.features_dc, field.features_rest, scaling, rotation, field.opacity,
                         active_sh_degree=field.active_sh_degree)


def _joined(fields: Sequence[GaussianField]) -> GaussianField:
    """One field; harmonics that one of them lacks are 0 there."""
    most = max(field.features_rest.shape[1] for field in fields)
    rest = [torch.nn.functional.pad(field.features_rest.detach(), (0, 0, 0, most - field.features_rest.shape[1]))
            for field in fields]
    together = [torch.cat([getattr(field, name).detach() for field in fields])
                for name in ("xyz", "features_dc", "scaling", "rotation", "opacity")]
    xyz, dc, scaling, rotation, opacity = together
    return GaussianField(xyz, dc, torch.cat(rest), scaling, rotation, opacity,
                         active_sh_degree=max(field.active_sh_degree for field in fields))
