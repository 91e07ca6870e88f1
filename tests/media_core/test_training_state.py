"""An optimiser that was put back moves its weights as if it had never been away."""
from __future__ import annotations

import pytest
import torch
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.media_core.training_state import optimizer_tensors, restore_optimizer


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_go_on_whatever_the_weights_layout(tmp_path, layout):
    torch.manual_seed(0)
    make = lambda: torch.nn.Conv2d(3, 4, 3).to(memory_format=layout)
    whole, again, picture = make(), make(), torch.randn(2, 3, 8, 8)

    def step(network, optimizer):
        optimizer.zero_grad()
        network(picture).square().mean().backward()
        optimizer.step()

    first = torch.optim.AdamW(whole.parameters(), 0.1, fused=True)
    step(whole, first)
    save_tensors(tmp_path / "state.safetensors", optimizer_tensors(first), kind="state", version=1, config={})
    second = torch.optim.AdamW(again.parameters(), 0.1, fused=True)
    again.load_state_dict(whole.state_dict())
    restore_optimizer(second, load_tensors(tmp_path / "state.safetensors", kind="state", version=1)[0])
    step(whole, first), step(again, second)
    assert torch.equal(whole.weight, again.weight)
