"""The two branches before their first step: Gaussians from the dataset, motion nets from chance, a prior or somebody else's."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...media_core.chance import drawn
from ..model.gaussians import GaussianField
from ..model.motion import FaceMotionNet, MouthMotionNet
from .batches import Clip
from .branches import Branch, audio_arguments, extent_of, fresh_face_net, initial_field
from .config import BranchConfig, TrainConfig
from .curriculum import step_seed
from .mcmc import density_control
from .prior import start_from_prior

MotionStates = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]  # state dicts of the face's and the mouth's motion net


def fresh_face(clip: Clip, config: TrainConfig, seed: int, prior: tuple[Any, str] | None, start: MotionStates | None) -> Branch:
    """The face; `prior` is (file, encoder id) of a speech prior to start from, `start` the nets to start from instead."""
    generator = torch.Generator().manual_seed(step_seed(seed, 90, 0))
    net = drawn(step_seed(seed, 91, 0), lambda: fresh_face_net(clip, config)).to(clip.device)
    if start is not None:
        net.load_state_dict(dict(start[0]))
    elif prior is not None:
        start_from_prior(net, *prior)
    return _branch(initial_field(clip, config, config.face, "head", generator), net, clip, config, config.face)


def fresh_mouth(clip: Clip, config: TrainConfig, seed: int, face: Branch, start: MotionStates | None) -> Branch:
    """The inside of the mouth, whose audio net may begin with that of the trained face."""
    generator = torch.Generator().manual_seed(step_seed(seed, 92, 0))
    net = drawn(step_seed(seed, 93, 0), lambda: MouthMotionNet(*audio_arguments(clip))).to(clip.device)
    if start is not None:
        net.load_state_dict(dict(start[1]))
    elif config.mouth_from_face:
        net.audio_net.load_state_dict(face.net.audio_net.state_dict())
        net.audio_att_net.load_state_dict(face.net.audio_att_net.state_dict())
    return _branch(initial_field(clip, config, config.mouth, "mouth", generator), net, clip, config, config.mouth)


def _branch(field: GaussianField, net: FaceMotionNet | MouthMotionNet, clip: Clip, config: TrainConfig,
            plan: BranchConfig) -> Branch:
    return Branch(field.to(clip.device), net, extent_of(clip), plan.max_points, config.net_lr, config.uniform_lr, config.audio_lr,
                  density_control(config))
