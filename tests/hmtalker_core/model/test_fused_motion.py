"""The face's motion by hand against the net's own forward and torch's graph: every offset, every gradient."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model import fused_motion
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.training.objectives import as_moved


@pytest.fixture
def scene():
    torch.manual_seed(0)
    net = FaceMotionNet()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    field = GaussianField.create((torch.rand(300, 3) - 0.5) * 0.3, torch.rand(300, 3))
    torch.nn.init.normal_(field.rotation)
    return net, field, net.codes(torch.randn(1, 8, 80, 16)), torch.rand(1, 7)


@pytest.mark.parametrize("portion", [64, 4096])
def test_offsets_and_gradients_equal_the_nets(scene, monkeypatch, portion):
    monkeypatch.setattr(fused_motion, "PORTION", portion)
    net, field, codes, au = scene
    codes = {k: None if v is None else v.detach() for k, v in codes.items()}
    code = codes["c_fused"].clone().requires_grad_()
    parameters = [p for name, p in net.named_parameters() if not name.startswith(("audio", "gate", "a2am", "au_enc"))]
    assert fused_motion.fits(net, field)
    found = []
    for moved in (fused_motion.moved(net, field, code, au), as_moved(net.moved(field.xyz, codes | {"c_fused": code}, au), field)):
        quats = torch.nn.functional.normalize(moved.arguments["quats"], dim=-1)
        parts = [moved.arguments["means"], quats, moved.arguments["scales"], moved.attention, moved.deviation[None]]
        torch.manual_seed(1)
        total = sum((part * torch.randn(part.shape)).sum() for part in parts)
        wanted = [code, field.xyz, field.rotation, field.scaling, *parameters]
        found.append([*(part.detach() for part in parts), *torch.autograd.grad(total, wanted)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=1e-4)


def test_other_nets_do_not_fit(scene):
    net, field, *_ = scene
    from talking_heads.hmtalker_core.model.motion import FaceDims

    assert not fused_motion.fits(FaceMotionNet(dims=FaceDims(deform_layers=4)), field)
    assert not fused_motion.fits(net, field.double())
