"""The fusions and cues of table 4: each computes what its formula says, and the default what it always did."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.fusion import MotionKind
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.model.published import build_motion_net
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError

CODES = torch.rand(3, 32), torch.rand(3, 32)


def net_of(fusion="gate", cue="au", width=10):
    torch.manual_seed(4)
    return FaceMotionNet(kind=MotionKind(fusion, cue, width)).requires_grad_(False)


@pytest.mark.parametrize("fusion, alpha", [("fixed", 0.5), ("implicit", 0.0), ("explicit", 1.0)])
def test_a_constant_alpha_mixes_by_hand(fusion, alpha):
    implicit, explicit = CODES
    fused, told = net_of(fusion).fuse(implicit, explicit)
    assert torch.allclose(fused, alpha * explicit + (1 - alpha) * implicit, atol=1e-7)
    assert torch.equal(told, torch.full((3, 32), alpha))
    assert not [name for name in net_of(fusion).state_dict() if name.startswith(("gate", "concat"))], "nothing is learned"


def test_the_concatenated_codes_go_through_two_layers():
    net, (implicit, explicit) = net_of("concat"), CODES
    first, second = net.concat[0], net.concat[2]
    hidden = torch.relu(torch.cat([implicit, explicit], -1) @ first.weight.T + first.bias)
    fused, alpha = net.fuse(implicit, explicit)
    assert torch.allclose(fused, hidden @ second.weight.T + second.bias, atol=1e-6) and alpha.isnan().all()
    assert first.weight.shape == (32, 64) and second.weight.shape == (32, 32) and not hasattr(net, "gate")


def test_the_default_has_the_weights_and_codes_of_before():
    torch.manual_seed(4)
    before, now = FaceMotionNet().requires_grad_(False), net_of()
    assert list(before.state_dict()) == list(now.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(before.state_dict().values(), now.state_dict().values(), strict=True))
    implicit, explicit = CODES
    alpha = before.gate(torch.cat([implicit, explicit], -1))
    assert torch.equal(before.fuse(implicit, explicit)[0], alpha * explicit + (1 - alpha) * implicit)


@pytest.mark.parametrize("cue, width", [("blendshapes", 30), ("vector", 64)])
def test_another_cue_is_encoded_by_two_layers_alone(cue, width):
    net, numbers = net_of(cue=cue, width=width), torch.randn(5, width)
    first, second = (layer.weight for layer in net.au_enc.net)
    assert torch.allclose(net.encode_au(numbers), torch.relu(torch.relu(numbers @ first.T) @ second.T), atol=1e-6)
    assert first.shape == (32, width) and second.shape == (32, 32)
    out = net(torch.rand(6, 3) * 0.1, torch.randn(5, 8, 80, 16), torch.rand(5, 7), numbers, "vanilla")
    assert out.d_xyz.shape == (5, 6, 3) and out.align_loss is not None
    assert torch.allclose(out.align_loss, (out.c_audio_au - net.encode_au(numbers)).abs().mean())


def test_every_fusion_deforms_cached_as_it_does_uncached():
    for fusion in ("gate", "concat", "fixed", "implicit", "explicit"):
        net, xyz, upper = net_of(fusion), torch.rand(6, 3) * 0.1, torch.rand(2, 7)
        torch.nn.init.normal_(net.deform.net[-1].weight)
        out = net(xyz, torch.randn(2, 8, 80, 16), upper)
        d_xyz, _, _ = net.deform_cached(net.cache(xyz), out.c_fused, upper)
        assert torch.allclose(d_xyz, out.d_xyz, atol=1e-5)


@pytest.mark.parametrize("settings, words", [
    ({"fusion": "sum"}, "gate, concat, fixed, implicit, explicit"), ({"cue": "flame"}, "au, blendshapes, vector"),
    ({"width": 11}, "10 numbers")])
def test_unknown_kinds_are_refused(settings, words):
    with pytest.raises(TalkingHeadsError, match=words):
        MotionKind.from_config({"motion": settings})


@pytest.mark.parametrize("fusion, cue, width", [("gate", "au", 10), ("concat", "au", 10), ("concat", "vector", 7)])
def test_a_state_dict_is_rebuilt_as_what_it_was(fusion, cue, width):
    net = net_of(fusion, cue, width)
    again = build_motion_net(net.state_dict())
    assert isinstance(again, FaceMotionNet) and (again.fusion, again.cue, again.dims) == (net.fusion, net.cue, net.dims)
    with pytest.raises(FileFormatError, match="learned fusion"):
        build_motion_net(net_of("fixed").state_dict())


def test_files_without_the_entry_are_older():
    assert MotionKind.from_config({}) == MotionKind()
    kind = MotionKind("concat", "vector", 7)
    assert MotionKind.from_config({"motion": kind.to_config()}) == kind
