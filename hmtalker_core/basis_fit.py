"""Fitting an avatar's linear basis (`basis.py`): principal components of its deformation over speech, action units and blinks."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..media_core.asked import whole
from ..media_core.audio import load_sound
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import AU_NAMES, LOWER_INDEX, ExpressionTrack
from ..media_core.progress import Report, silent
from ..media_core.speech import Speech, encode_speech
from .basis import COMPONENTS, FACE_NUMBERS, MOUTH_NUMBERS, LinearBasis

if TYPE_CHECKING:
    from .avatar import Avatar
    from .avatar_motion import AvatarMotion

FRAMES = 400         # that are fitted
HELD_OUT = 8         # frames, of speech that is not fitted, for the error
FACE_POINTS, MOUTH_POINTS = 384, 64  # from which coefficients are computed
MOST = 64            # components
STRETCH = 1.5        # of the track's action units, at most
BLINKING = 0.3       # of the frames with units drawn at random
_BLINK = AU_NAMES.index("AU45")
_DEMO = Path(__file__).parents[1] / "demo"


def fit_basis(avatar: Avatar, components: int = COMPONENTS, speech: Sequence[Speech] = (),
              report: Report = silent) -> LinearBasis:
    """The linear basis of a trained avatar on the CPU.

    Args:
        avatar: what is fitted.
        components: K, 1..64.
        speech: at least two recordings, encoded as the avatar needs; the last is held out for the error. Empty: the pack's
            demo speech, for avatars that understand mel.
        report: called after each part; may cancel.
    Raises:
        TalkingHeadsError: K out of range, no speech for this avatar's encoder, or less than two recordings.
    """
    whole("The number of components", components, 1, MOST)
    heard = speech or _demo_speech(avatar)
    if len(heard) < 2:
        raise TalkingHeadsError("A basis must be fitted on at least two recordings; the last gives its error", f"{len(heard)}",
                                "Give another audio file")
    *fitted, held = (avatar.drive(one) for one in heard)
    own = _recorded(avatar, heard[0], FRAMES // 4)
    with torch.inference_mode():
        seen = _sampled(avatar, fitted, own, report)
        basis = _principal(avatar, seen, components)
        report(2, 3, {"phase": "basis"}, None)
        basis = replace(basis, psnr=_agreement(avatar, basis, held))
    report(3, 3, {"phase": "basis"}, None)
    return basis


def _demo_speech(avatar: Avatar) -> list[Speech]:
    if avatar.encoder != "mel":
        raise TalkingHeadsError(f"The basis of this avatar must be fitted on speech encoded by '{avatar.encoder}'", "none",
                                "Run `talking-heads basis AVATAR --audio FILE FILE --encoder PATH` once")
    return [encode_speech(load_sound(_DEMO / name), "mel") for name in ("demo_speech.wav", "demo_speech_short.wav")]


def _sampled(avatar: Avatar, motions: Sequence[AvatarMotion], own: Sequence[tuple[AvatarMotion, int]],
             report: Report) -> Tensor:  # -> [T, P]
    """Deformations: half of speech as it is, a quarter with action units of the upper face and blinks drawn at random, and `own`.
    """
    draw = torch.Generator().manual_seed(0)
    share = FRAMES // 4
    spoken = [(motion, int(i)) for motion in motions for i in torch.linspace(0, len(motion) - 1, 2 * share // len(motions) + 1)]
    mixed = [_mixed(avatar, motion, draw) for motion in motions]
    drawn = [(mixed[k % len(mixed)], int(torch.randint(len(mixed[k % len(mixed)]), (), generator=draw))) for k in range(share)]
    rows = []
    for motion, frame in (*spoken, *drawn, *own):
        (d_xyz, d_rot, d_scale), mouth = avatar.offsets(motion, frame, frame + 1)
        rows.append(torch.cat([torch.cat([d_xyz, d_rot, d_scale], dim=-1).flatten(), mouth.flatten()]))
    report(1, 3, {"phase": "basis"}, None)
    return torch.stack(rows)


def _mixed(avatar: Avatar, motion: AvatarMotion, draw: torch.Generator) -> AvatarMotion:
    """A motion with other action units of the upper face: those of any frame of the track, stretched, and blinks."""
    count = len(motion)
    au = avatar.upper_au[torch.randint(len(avatar.upper_au), (count,), generator=draw)].nan_to_num(0)
    au = au * (STRETCH * torch.rand(count, 1, generator=draw))
    blinks = torch.rand(count, generator=draw) < BLINKING
    au[:, _BLINK] = torch.where(blinks, avatar.config["blink_ceiling"] * torch.rand(count, generator=draw), au[:, _BLINK])
    return replace(motion, au=au)


def _recorded(avatar: Avatar, speech: Speech, count: int) -> list[tuple[AvatarMotion, int]]:
    """Frames of a speech with the lower action units of the avatar's own recording."""
    if bool(avatar.upper_au[:, list(LOWER_INDEX)].isnan().all()):
        return []
    told = avatar.drive(speech, expression=ExpressionTrack(avatar.upper_au, avatar.fps, "its own"))
    return [(told, int(i)) for i in torch.linspace(0, len(told) - 1, count)]


def _principal(avatar: Avatar, seen: Tensor, count: int) -> LinearBasis:  # [T, P]
    """Joint components of all kinds of offsets, each kind in units of its own spread."""
    faces = len(avatar.face)
    cuts = torch.arange(seen.shape[1])
    column, inside = cuts % sum(FACE_NUMBERS), cuts >= faces * sum(FACE_NUMBERS)
    kind = torch.where(inside, 3, (column >= 3).long() + (column >= 7))
    units = torch.stack([seen[:, kind == k].std().clamp_min(1e-12) for k in range(4)])
    scaled = seen / units[kind]
    mean = scaled.mean(0)
    centred = scaled - mean
    count = min(count, len(seen) - 1)
    _, vectors = torch.linalg.eigh((centred @ centred.T).double())
    axes = torch.nn.functional.normalize(vectors[:, -count:].flip(-1).T.float() @ centred, dim=-1)
    scales = axes.abs().amax(1).clamp_min(1e-12) / 127
    share = axes.square().sum(0)
    points = _telling(share[~inside].view(faces, -1).sum(1), FACE_POINTS)
    mouth = _telling(share[inside].view(-1, MOUTH_NUMBERS).sum(1), MOUTH_POINTS)
    return LinearBasis(mean=mean, components=(axes / scales[:, None]).round().to(torch.int8), scales=scales, units=units,
                       points=points, mouth_points=mouth, faces=faces, psnr=0.0)


def _telling(share: Tensor, count: int) -> Tensor:  # [N] -> int64 [at most count]
    """Gaussians that say most about the coefficients, and as many spread over the others that move."""
    order = share.argsort(descending=True, stable=True)
    order = order[share[order] > 0]
    first, others = order[:count // 2], order[count // 2:]
    spread = others[torch.linspace(0, max(len(others) - 1, 0), min(count // 2, len(others))).long()]
    return torch.cat([first, spread]).sort().values


def _agreement(avatar: Avatar, basis: LinearBasis, held: AvatarMotion) -> float:
    """PSNR of frames of a motion, exact and by the basis, dB."""
    fitted = avatar.with_basis(basis)
    errors = []
    for frame in torch.linspace(0, len(held) - 1, HELD_OUT).long().tolist():
        (exact, _), (fast, _) = (next(avatar.render(held, frame, frame + 1)),
                                 next(fitted.render(held, frame, frame + 1, deformation="basis")))
        errors.append((exact - fast).square().mean())
    return float(-10 * torch.log10(torch.stack(errors).mean().clamp_min(1e-12)))
