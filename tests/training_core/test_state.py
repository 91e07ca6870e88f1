"""An optimiser that was put back moves its weights as if it had never been away; and what does not fit is told apart."""
from __future__ import annotations

import re

import pytest
import torch
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.training_core.state import misfit, optimizer_tensors, restore_optimizer


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


@pytest.mark.parametrize("change, words", [
    ({}, None), ({"a": None}, "a is not there"), ({"c": torch.ones(2)}, "c belongs to nothing"),
    ({"a": torch.ones(3)}, r"a is torch.float32 \[3\], not torch.float32 \[2\]"),
    ({"a": torch.ones(2, dtype=torch.int32)}, "a is torch.int32"),
    ({"a": torch.ones(2, dtype=torch.float64)}, "a is torch.float64"),
    ({"a": torch.tensor([1, torch.nan])}, "a holds NaN or inf"),
    ({"b": torch.ones(())}, r"b is torch.float32 \[\], not torch.int64")])
def test_weights_from_a_file_take_the_place_of_their_like_alone(change, words):
    own = {"a": torch.zeros(2), "b": torch.tensor(3)}
    read = {k: v for k, v in (own | change).items() if v is not None}
    assert misfit(read, own) is None if words is None else re.match(words, misfit(read, own))


def test_moments_that_must_be_there_are_missed():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    restore_optimizer(optimizer, {})
    with pytest.raises(FileFormatError, match="x holds none.*Start over"):
        restore_optimizer(optimizer, {}, None, "x", needed=True)
