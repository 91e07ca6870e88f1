"""Motion nets: identity at the start, cached against uncached, the three paths, what gets gradients."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.motion import AUDIO_PARTS, FaceMotionNet, MouthMotionNet
from talking_heads.hmtalker_core.model.published import TalkingGaussianFaceNet, build_motion_net
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError

POINTS, FRAMES = 40, 3


def busy(net):
    """Larger grids and a last layer that says something."""
    torch.manual_seed(3)
    for name, parameter in net.named_parameters():
        if name.startswith("encoder_") or "deform.net.2" in name or "sigma_net.net.2" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return net


@pytest.fixture
def given():
    torch.manual_seed(0)
    return {"xyz": (torch.rand(POINTS, 3) - 0.5) * 0.32, "windows": torch.randn(FRAMES, 8, 80, 16),
            "au_upper": torch.rand(FRAMES, 7) * 5, "au_lower": torch.rand(FRAMES, 10) * 5}


def test_a_fresh_net_leaves_the_field_alone(given):
    out = FaceMotionNet()(**given)
    assert not any(offset.any() for offset in (out.d_xyz, out.d_rot, out.d_scale, out.d_opacity))
    assert not MouthMotionNet()(given["xyz"], given["windows"]).any()


def test_a_fresh_net_learns_in_two_steps(given):
    """Zero heads must not mean zero gradients for ever."""
    net = FaceMotionNet()
    optimizer = torch.optim.AdamW(net.optimizer_groups(), betas=(0.9, 0.99))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for _ in range(3):
        out = net(**given)
        optimizer.zero_grad()
        ((out.d_xyz - 0.01).square().sum() * 1e4 + out.d_rot.square().sum() + out.align_loss).backward()
        optimizer.step()
    still = [name for name, p in net.named_parameters() if torch.equal(before[name], p)]
    assert still == ["au_enc.net.0.weight", "au_enc.net.1.weight"]  # on the audio path the measured units only set the target


def test_shapes_and_ranges(given):
    out = busy(FaceMotionNet())(**given)
    assert out.d_xyz.shape == (FRAMES, POINTS, 3) and out.d_rot.shape == (FRAMES, POINTS, 4)
    assert out.d_opacity.shape == (FRAMES, POINTS, 1) and out.d_scale.shape == (FRAMES, POINTS, 3)
    assert out.att_lower.shape == (POINTS, 32) and out.att_upper.shape == (POINTS, 7) and (out.att_upper >= 0).all()
    assert out.ambient_lower.shape == out.ambient_upper.shape == (FRAMES, POINTS, 1)
    assert ((out.alpha > 0) & (out.alpha < 1)).all() and (out.c_audio_au >= 0).all()
    assert torch.equal(out.c_visual_au[:, -10:], given["au_lower"])


@pytest.mark.parametrize("net", [FaceMotionNet(), MouthMotionNet()], ids=["face", "mouth"])
def test_cached_equals_forward(net, given):
    net = busy(net)
    if isinstance(net, FaceMotionNet):
        out = net(given["xyz"], given["windows"], given["au_upper"])
        expected = (out.d_xyz, out.d_rot, out.d_scale)
        got = net.deform_cached(net.cache(given["xyz"]), out.c_fused, given["au_upper"])
    else:
        expected = (net(given["xyz"], given["windows"]),)
        got = (net.deform_cached(net.cache(given["xyz"]), net.encode_audio(given["windows"])),)
    for fast, slow in zip(got, expected):
        assert slow.abs().max() > 1e-3
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)


def test_a_batch_equals_its_frames(given):
    net = busy(FaceMotionNet())
    together = net(given["xyz"], given["windows"], given["au_upper"]).d_xyz
    one = net(given["xyz"], given["windows"][1:2], given["au_upper"][1:2]).d_xyz
    torch.testing.assert_close(together[1:2], one, atol=1e-6, rtol=1e-4)


def test_paths(given):
    net = busy(FaceMotionNet())
    mask = torch.zeros(1, 32)
    audio, vanilla = net(**given), net(**given, path="vanilla")
    masked = net(**given, path="masked", mask=mask)
    assert not torch.equal(audio.c_fused, vanilla.c_fused)
    assert not masked.c_implicit.any() and torch.allclose(masked.c_fused, masked.alpha * masked.c_visual_au)
    torch.testing.assert_close(net(**given, path="masked", mask=torch.ones(1, 32)).c_fused, vanilla.c_fused)
    assert torch.equal(audio.align_loss, vanilla.align_loss)  # the same measure on every path, of the unmasked code
    torch.testing.assert_close(masked.align_loss, vanilla.align_loss)


def test_alignment_teaches_the_mapping_not_its_target(given):
    net = busy(FaceMotionNet())
    net(**given).align_loss.backward()
    assert net.a2am[0].weight.grad.abs().max() > 0 and net.au_enc.net[0].weight.grad is None


def test_gate_starts_near_one_half():
    torch.manual_seed(0)
    net = FaceMotionNet()
    _, alpha = net.fuse(torch.zeros(1, 32), torch.zeros(1, 32))
    assert (alpha - 0.5).abs().max() < 0.25 and not net.gate[2].bias.any() and torch.all(net.a2am[2].bias == 0.1)


@pytest.mark.parametrize("arguments, match", [({"path": "vanilla", "au_lower": None}, "action units"),
                                              ({"path": "masked"}, "mask"), ({"path": "sound"}, "path")])
def test_wrong_paths_are_refused(arguments, match, given):
    with pytest.raises(TalkingHeadsError, match=match):
        FaceMotionNet()(**{**given, **arguments})


def test_the_mouth_moves_mostly_up_and_down(given):
    net = busy(MouthMotionNet())
    for layer in net.sigma_net.net:
        layer.weight.data.abs_()
    net.sigma_net.net[-1].weight.data[:] = net.sigma_net.net[-1].weight.data[:1].clone()
    moved = net(given["xyz"], given["windows"])
    torch.testing.assert_close(moved[..., 1], 5 * moved[..., 0])
    torch.testing.assert_close(moved[..., 2], moved[..., 0])


@pytest.mark.parametrize("net", [FaceMotionNet(), MouthMotionNet(), MouthMotionNet(att_hidden=32), TalkingGaussianFaceNet(),
                                 FaceMotionNet(512, 1, "fc"), FaceMotionNet(hidden=48, att_hidden=20)])
def test_optimizer_groups_hold_every_parameter_once(net):
    grouped = [p for group in net.optimizer_groups() for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(net.parameters()))
    rates = {group["name"]: (group["lr"], group["weight_decay"]) for group in net.optimizer_groups()}
    assert rates["encoder_xy"] == (5e-3, 0.01) and rates["audio_att_net"] == (2.5e-3, 1e-4) and rates["audio_net"] == (5e-4, 0)
    assert {group["lr"] for group in net.optimizer_groups(uniform=True)} == {5e-4}
    slow = {group["name"]: group["lr"] for group in net.optimizer_groups(audio=0.1)}
    assert {n: slow[n] / rates[n][0] for n in slow} == pytest.approx({n: .1 if n in AUDIO_PARTS else 1 for n in slow})


@pytest.mark.parametrize("net", [FaceMotionNet(29, 16), MouthMotionNet(44, 16), TalkingGaussianFaceNet(512, 1, "fc", hidden=48),
                                 FaceMotionNet(512, 1, "fc", hidden=48, att_hidden=20)])
def test_any_net_is_rebuilt_from_its_state_dict(net):
    again = build_motion_net(net.state_dict())
    assert type(again) is type(net)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values()))


def test_a_checkpoint_of_another_bound_is_refused_until_it_is_named():
    state = FaceMotionNet(bound=0.3).state_dict()
    with pytest.raises(FileFormatError, match="bound"):
        build_motion_net(state)
    assert isinstance(build_motion_net(state, bound=0.3), FaceMotionNet)


@pytest.mark.parametrize("state", [{}, {"xyz": torch.zeros(3)}])
def test_something_else_is_refused(state):
    with pytest.raises(FileFormatError):
        build_motion_net(state)
