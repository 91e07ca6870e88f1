"""An avatar's motion changed by the motion editor's curves: `Drive Avatar`, then this, then a rendering node."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..media_core.edit_curves import Edits
from ..media_core.errors import TalkingHeadsError
from ..media_core.expression_edits import edited_pose, edited_units
from ..media_core.motion import AU_NAMES, LOWER_AUS, LOWER_INDEX
from ..media_core.speech import Speech
from .avatar import DRIVE_CHUNK, Avatar
from .avatar_motion import BLINK, AvatarMotion
from .model.audio_net import HALF, audio_windows, window_shift


def edit_motion(motion: AvatarMotion, edits: Edits, avatar: Avatar | None = None, speech: Speech | None = None) -> AvatarMotion:
    """The motion with the curves applied; without any it is the same object.

    Upper action units and the head act as they are. The lower face follows codes that speech and its action units make
    together: they change by as much as the avatar's nets say that the edited units change them. Where no curve is, every number
    stays.

    Args:
        avatar, speech: those that the motion was driven with; needed where a lower unit is edited.
    Raises:
        TalkingHeadsError: one of them is missing, or belongs to another motion.
    """
    if not edits:
        return motion
    track = edited_units(motion.expression, edits)
    au = _possible(track.au, motion.au, avatar)
    edited = replace(motion, au=au, poses=edited_pose(motion.poses, edits))
    lower = list(LOWER_INDEX)
    changed = (au[:, lower] != motion.au[:, lower]).any(dim=1)
    if not bool(changed.any()):
        return edited
    named = ", ".join(name for name in LOWER_AUS if name in edits.lanes)
    if avatar is None or speech is None:
        raise TalkingHeadsError(f"Edits of the lower face ({named}) need the avatar and the speech",
                                "no avatar" if avatar is None else "no speech",
                                "Connect the avatar and the speech of Drive Avatar, or mute these lanes")
    _check_source(motion, avatar, speech)
    before, after = (_lower_codes(avatar, speech, rows[:, lower]) for rows in (motion.au, au))
    codes = motion.codes + (after - before).cpu()
    return replace(edited, codes=torch.where(changed[:, None], codes, motion.codes))


def _possible(au: Tensor, own: Tensor, avatar: Avatar | None) -> Tensor:  # [T, 17] -> [T, 17]
    """Units that the avatar was not trained on stay as they were, and lids never close further than it has seen."""
    if avatar is None:
        return au
    ceiling = torch.maximum(own[:, BLINK], torch.tensor(float(avatar.config["blink_ceiling"])))
    out = au.clone()
    out[:, BLINK] = torch.minimum(au[:, BLINK], ceiling)
    unknown = [unit for unit in range(len(AU_NAMES)) if not avatar.au_known[unit]]
    out[:, unknown] = own[:, unknown]
    return out


def _check_source(motion: AvatarMotion, avatar: Avatar, speech: Speech) -> None:
    frames = avatar.hears.checked(speech).frame_count(avatar.fps)
    if motion.avatar not in ("", avatar.fingerprint) or frames != len(motion):
        came = f"speech of {frames} frames for {len(motion)}" if frames != len(motion) else f"motion of avatar {motion.avatar}"
        raise TalkingHeadsError("The avatar and the speech must be those that the motion was driven with", came,
                                "Connect the ones that Drive Avatar has")


@torch.inference_mode()
def _lower_codes(avatar: Avatar, speech: Speech, units: Tensor) -> Tensor:  # [T, 10] -> [T, 32]
    """c_f of each frame with these lower units."""
    first = window_shift(avatar.config.get("window", "centred")) - HALF
    out = []
    for begin in range(0, len(units), DRIVE_CHUNK):
        wanted = units[begin:begin + DRIVE_CHUNK].to(avatar.device)
        features = speech.frame_windows(avatar.fps, begin + first, begin + first + len(wanted) + 2 * HALF).to(avatar.device)
        windows = audio_windows(features, HALF + torch.arange(len(wanted), device=avatar.device))
        out.append(avatar.understood(windows, wanted)[0])
    return torch.cat(out)
