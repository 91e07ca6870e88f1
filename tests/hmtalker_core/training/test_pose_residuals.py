"""Pose residuals: a correction is the rigid motion that it says, the gradient finds a wrong pose, and the file keeps it."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.finish import build_avatar
from talking_heads.hmtalker_core.training.objectives import shoot
from talking_heads.hmtalker_core.training.pose_residuals import LIMIT, LR, PoseResiduals, motions
from talking_heads.hmtalker_core.training.steps import AvatarTraining
from talking_heads.media_core.progress import silent


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    return open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)


def test_a_correction_by_hand():
    motion = motions(torch.tensor([[0, 0, 0.3, 0.01, 0.02, 0.03], [0.0] * 6]))
    c, s = math.cos(0.3), math.sin(0.3)
    by_hand = torch.tensor([[c, -s, 0, 0.01], [s, c, 0, 0.02], [0, 0, 1, 0.03], [0, 0, 0, 1]])
    assert torch.allclose(motion[0], by_hand, atol=1e-6) and torch.equal(motion[1], torch.eye(4))


def test_the_view_and_the_pose_track_agree(clip):
    residuals = PoseResiduals(len(clip.dataset), clip.dataset.train_index, clip.device)
    with torch.no_grad():
        residuals.xi[2] = torch.tensor([0.02, -0.01, 0.03, 0.001, 0.002, -0.003])
    seen = residuals.applied(clip.view(2), learning=False).viewmat
    first = residuals.poses(torch.as_tensor(clip.dataset.poses)[[2]], torch.tensor([2]))[0]
    back = torch.linalg.inv(first)
    back[1:3] *= -1  # OpenGL to OpenCV
    assert torch.allclose(back, seen, atol=1e-5)
    assert not seen.requires_grad and residuals.applied(clip.view(2), learning=True).viewmat.requires_grad


def test_the_gradient_is_that_of_moving_the_head(clip, tiny_config):
    """Fresh Gaussians are round and look the same from everywhere: a shift sums their gradients, a turn their moments."""
    training = AvatarTraining.fresh(clip, replace(tiny_config, pose_residuals=True), 0)
    residuals, view, xyz = training.residuals, clip.view(3), training.face.field.xyz
    (shoot(training.face, residuals.applied(view, learning=True)).rgb - view.image).square().mean().backward()
    gradient = residuals.xi.grad
    moment = torch.linalg.cross(xyz.detach(), xyz.grad).sum(0)
    assert torch.allclose(gradient[3, 3:], xyz.grad.sum(0), rtol=1e-2, atol=1e-6) and gradient[3].abs().min() > 0
    assert torch.allclose(gradient[3, :3], moment, rtol=1e-2, atol=1e-6) and not gradient[[0, 1, 2]].any()


def test_a_move_is_small_without_a_mean_and_only_of_the_frame_that_was_seen():
    residuals = PoseResiduals(5, np.arange(4), torch.device("cpu"))
    residuals.xi.grad = torch.zeros(5, 6)
    residuals.xi.grad[1] = 1.0
    residuals.move(1.0)
    moved = residuals.xi.detach()
    assert torch.allclose(moved[1], torch.full((6,), -LR * 0.75), rtol=1e-3)
    assert torch.allclose(moved[0], torch.full((6,), LR * 0.25), rtol=1e-3) and not moved[4].any(), "held-out frames keep theirs"
    with torch.no_grad():
        residuals.xi[0] = 9.0
    residuals.move(0.0)
    assert residuals.xi[0].max() <= LIMIT[0] and residuals.xi[0, 3:].max() <= LIMIT[1]


def test_they_are_learnt_in_the_face_alone_and_kept_in_the_avatars_track(clip, tiny_config):
    config = replace(tiny_config, pose_residuals=True)
    training = AvatarTraining.fresh(clip, config, 0)
    warm, face = config.warmup_steps, config.face
    until = {"still": warm + face.static, "face": warm + face.steps, "all": config.steps}
    seen = {}
    for name, stop in until.items():
        while training.step < stop:
            training.train_step()
        seen[name] = training.residuals.xi.detach().clone()
    assert not seen["still"].any() and seen["face"].any() and torch.equal(seen["face"], seen["all"])
    avatar = build_avatar(training)
    kept = torch.as_tensor(clip.dataset.train_index)[:len(avatar.poses)]
    tracked = torch.as_tensor(clip.dataset.poses)[kept]
    off = (avatar.poses.camera_to_head - tracked).abs().amax((1, 2))
    assert ((off > 0) == seen["face"][kept].any(-1)).all() and off.max() < 0.05
