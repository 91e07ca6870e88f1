"""Goes on with an avatar: a training that begins with the Gaussians and motion nets of another, and with a newer speech prior.

`make_demo_avatar.py --start-from` uses it: what the face looks like need not be learnt again, only how it follows the new audio
nets. Their codes are first turned (a rotation, which loses nothing) so that they resemble the old ones in the training video.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor


def started(old, clip, config, prior: tuple[Path, str], seed: int = 0):  # Avatar, Clip, TrainConfig -> AvatarTraining
    """A training before its first step. `config` is used without static phases and without growth."""
    from talking_heads.hmtalker_core.training.branches import Branch, extent_of
    from talking_heads.hmtalker_core.training.prior import start_from_prior
    from talking_heads.hmtalker_core.training.steps import AvatarTraining

    config = replace(config, **{name: replace(plan, static=0, densify_until=0.0)
                                for name, plan in (("face", config.face), ("mouth", config.mouth))})
    windows = clip.windows(torch.as_tensor(clip.dataset.train_index)[::3])
    with torch.no_grad():
        before = old.face_net.encode_audio(windows)
        start_from_prior(old.face_net, *prior)
        turn_codes(old.face_net, rotation(old.face_net.encode_audio(windows), before))
    for name in ("audio_net", "audio_att_net"):
        getattr(old.mouth_net, name).load_state_dict(getattr(old.face_net, name).state_dict())
    settings = config.net_lr, config.uniform_lr, config.audio_lr
    face, mouth = (Branch(field.requires_grad_(True), net.requires_grad_(True), extent_of(clip), plan.max_points, *settings)
                   for field, net, plan in ((old.face, old.face_net, config.face), (old.mouth, old.mouth_net, config.mouth)))
    return AvatarTraining(clip, config, seed, face, mouth)


def rotation(codes: Tensor, wanted: Tensor) -> Tensor:  # [F, C], [F, C] -> [C, C], orthogonal
    """What turns codes to where they resemble others most (Procrustes)."""
    u, _, v = torch.linalg.svd((codes - codes.mean(0)).T @ (wanted - wanted.mean(0)))
    return u @ v


def turn_codes(net, turn: Tensor) -> None:
    """The same net with its codes turned: what makes them, and what reads them but for the gate."""
    last, attention, mapping = net.audio_net.encoder_fc1[-1], net.audio_att_net.attentionConvNet[0], net.a2am[0]
    last.weight.copy_(turn.T @ last.weight)
    last.bias.copy_(turn.T @ last.bias)
    attention.weight.copy_(torch.einsum("oik,ic->ock", attention.weight, turn))
    mapping.weight.copy_(mapping.weight @ turn)
