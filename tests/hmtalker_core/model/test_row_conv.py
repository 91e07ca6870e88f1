"""The audio nets' convolutions as matrix products against torch's own."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model import row_conv
from talking_heads.hmtalker_core.model.audio_net import AudioAttNet, AudioNet


@pytest.mark.parametrize("make, shape", [(lambda: AudioNet(80), (3, 8, 80, 16)), (lambda: AudioNet(29, 2), (1, 8, 29, 2)),
                                         (lambda: AudioNet(12, 7), (2, 8, 12, 7)), (AudioAttNet, (5, 8, 32))])
def test_values_and_gradients_equal_torchs(make, shape, monkeypatch):
    torch.manual_seed(0)
    net, x = make(), torch.randn(shape, requires_grad=True)
    found = []
    for fits in (True, False):
        monkeypatch.setattr(row_conv, "fits", lambda _, fits=fits: fits)
        y = net(x)
        torch.manual_seed(1)
        found.append((y.detach(), *torch.autograd.grad((y * torch.randn(y.shape)).sum(), [x, *net.parameters()])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * max(1.0, float(theirs.abs().max())))


def test_only_training_takes_them():
    x = torch.zeros(1)
    assert row_conv.fits(x)
    with torch.no_grad():
        assert not row_conv.fits(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not row_conv.fits(x)
