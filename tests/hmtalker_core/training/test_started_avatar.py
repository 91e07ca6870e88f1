"""weights/started_avatar.py: an avatar goes on with another speech prior."""
from dataclasses import replace

import pytest
import torch
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.prior import SHIPPED
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import opened
from talking_heads.weights import started_avatar


def test_turned_codes_are_rotated_and_say_the_same():
    net, windows = FaceMotionNet().requires_grad_(False), torch.randn(6, 8, 80, 16)
    turn = torch.linalg.qr(torch.randn(32, 32))[0]
    codes = net.encode_audio(windows)
    units = net.a2am(codes)
    started_avatar.turn_codes(net, turn)
    torch.testing.assert_close(net.encode_audio(windows), codes @ turn, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net.a2am(net.encode_audio(windows)), units, atol=1e-5, rtol=1e-4)


def test_the_rotation_is_the_one_that_was_made():
    codes, turn = torch.randn(200, 32), torch.linalg.qr(torch.randn(32, 32))[0]
    torch.testing.assert_close(started_avatar.rotation(codes + 1, codes @ turn), turn, atol=1e-4, rtol=1e-3)


def test_a_started_training_keeps_the_gaussians_and_ends_as_an_avatar(tiny_avatar, tiny_dataset, tiny_config):
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset
    from talking_heads.hmtalker_core.training.finish import build_avatar

    points = tiny_avatar.face.xyz.clone(), tiny_avatar.mouth.xyz.clone()
    clip = open_clip(AvatarDataset.open(tiny_dataset), opened("mel"), torch.device("cpu"), silent)
    run = started_avatar.started(tiny_avatar, clip, replace(tiny_config, audio_lr=.05), (SHIPPED, "mel"))
    assert torch.equal(run.face.field.xyz, points[0]) and torch.equal(run.mouth.field.xyz, points[1])
    rates = {group["name"]: group["base_lr"] for group in run.mouth.net_optimizer.param_groups}
    assert rates["audio_net"] == pytest.approx(.05 * rates["sigma_net"])
    while run.step < run.steps:
        run.train_step()
    avatar = build_avatar(run)
    assert len(avatar.face) == len(points[0]) and not torch.equal(avatar.face.xyz, points[0])
