"""MToV's denoiser: any grid, equal planes as one batch or apart, what each input reaches, numbers formats, refusals."""
from __future__ import annotations

import math

import pytest
import torch
from mtov_nets import DENOISER, denoiser, near
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.mtov import denoiser as module
from talking_heads.moditalker_core.mtov.config import DenoiserConfig, Grid

GRIDS = [Grid(4, 4, 4), Grid(6, 4, 4), Grid(4, 8, 2), Grid(2, 6, 10), Grid(16, 16, 16)]


def given(net, batch: int = 2) -> tuple[torch.Tensor, ...]:
    """x, times, landmarks, pose, identity."""
    torch.manual_seed(3)
    latent = lambda: torch.randn(batch, net.config.channels, net.grid.length)
    return latent(), torch.randint(0, 1000, (batch,)), latent(), latent(), latent()


@torch.inference_mode()
@pytest.mark.parametrize("grid", GRIDS)
def test_any_grid(grid):
    net = denoiser(grid)
    inputs = given(net, 1)
    assert net(*inputs).shape == inputs[0].shape and torch.isfinite(net(*inputs)).all()


@torch.inference_mode()
@pytest.mark.parametrize("config", [DenoiserConfig(model_channels=8, channel_mult=(1,), num_res_blocks=1, groups=4, num_heads=2),
                                    DenoiserConfig(model_channels=8, channel_mult=(1, 1, 2), num_res_blocks=2, groups=2,
                                                   num_heads=1, attention_resolutions=(4, 2), channels=3)])
def test_any_depth(config):
    net = denoiser(Grid(4, 8, 4), config)
    inputs = given(net, 1)
    assert net(*inputs).shape == inputs[0].shape


@torch.inference_mode()
@pytest.mark.parametrize("grid", [Grid(4, 4, 4), Grid(6, 4, 4)])
def test_equal_planes_as_one_batch_are_the_planes_apart(grid, monkeypatch):
    net, split = denoiser(grid), module.Planes.split.__func__
    inputs = given(net)
    together = net(*inputs)

    def apart(cls, x, grid):
        found = split(cls, x, grid)
        parts = {i: part for whole, group in zip(found.parts, found.members) for i, part in zip(group, whole.chunk(len(group)))}
        assert len(found.members) < 3
        return cls([parts[i] for i in range(3)], ((0,), (1,), (2,)))

    monkeypatch.setattr(module.Planes, "split", classmethod(apart))
    assert near(net(*inputs), together)


@torch.inference_mode()
def test_a_batch_is_its_samples_one_by_one_with_their_own_times():
    net = denoiser(Grid(6, 4, 4))
    inputs = given(net, 3)
    apart = torch.cat([net(*(part[i:i + 1] for part in inputs)) for i in range(3)])
    assert near(net(*inputs), apart)
    assert not near(net(inputs[0], (inputs[1] + 300) % 1000, *inputs[2:]), apart)


@torch.inference_mode()
def test_every_condition_is_seen_and_of_the_identity_its_plane_xy_alone():
    net = denoiser(Grid(6, 4, 4))
    inputs, xy = given(net), net.grid.lengths[0]
    before = net(*inputs)
    for i in (0, 2, 3, 4):
        moved = [part.clone() for part in inputs]
        moved[i][..., 1] += 1
        assert not near(net(*moved), before)
    *others, identity = inputs
    hidden = identity.clone()
    hidden[..., xy:] = 9
    assert torch.equal(net(*others, hidden), before) and torch.equal(net(*others, identity[..., :xy]), before)
    assert near(net(*others, identity[:1]), net(*others, identity[:1].expand(2, -1, -1)))  # one identity for all clips


@torch.inference_mode()
def test_planes_hear_each_other():
    net = denoiser(Grid(6, 4, 4))
    inputs = given(net, 1)
    moved = inputs[0].clone()
    moved[..., 0] += 1  # in xy
    changed = (net(moved, *inputs[1:]) - net(*inputs)).abs()
    assert all(float(part.max()) > 1e-6 for part in changed.split(net.grid.lengths, 2))


@torch.inference_mode()
def test_a_new_network_says_nothing():
    """The last convolution begins at 0."""
    net = module.MToVDenoiser(DENOISER, Grid(4, 4, 4))
    assert not net(*given(net)).any()


def test_every_parameter_is_used():
    net = denoiser(Grid(4, 4, 4)).train()
    net(*given(net)).square().mean().backward()
    unused = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # a key's bias cannot change a softmax, but qkv share theirs
    assert not unused


@torch.inference_mode()
def test_bfloat16_runs_near_float32():
    net = denoiser(Grid(4, 4, 4))
    x, times, *rest = given(net)
    wanted = net(x, times, *rest)
    got = net.to(torch.bfloat16)(x.bfloat16(), times, *(part.bfloat16() for part in rest))
    assert got.dtype == torch.bfloat16 and near(got.float(), wanted, 0.15 * float(wanted.abs().max()))


def test_a_step_is_cosines_then_sines():
    told = module.step_embedding(torch.tensor([0, 7]), 8)
    rates = [10000 ** (-k / 4) for k in range(4)]
    want = [[1.0] * 4 + [0.0] * 4, [math.cos(7 * r) for r in rates] + [math.sin(7 * r) for r in rates]]
    assert near(told, torch.tensor(want), 1e-5)


@pytest.mark.parametrize("grid", [Grid(5, 4, 4), Grid(4, 4, 3), Grid(4, 1, 4)])
def test_planes_that_cannot_be_halved_are_refused(grid):
    with pytest.raises(TalkingHeadsError, match="multiples of 2"):
        denoiser(grid)


@pytest.mark.parametrize("values", [{"model_channels": 48}, {"channel_mult": ()}, {"num_heads": 0}, {"groups": 2.5}])
def test_impossible_sizes(values):
    with pytest.raises(TalkingHeadsError):
        DenoiserConfig(**values)


def test_latents_of_another_size_are_refused():
    net = denoiser(Grid(4, 4, 4))
    inputs = [*given(net)]
    for i, name in ((0, "x"), (2, "landmarks"), (3, "pose"), (4, "identity")):
        with pytest.raises(TalkingHeadsError, match=name):
            net(*(part[..., :-1] if i == j else part for j, part in enumerate(inputs)))
