"""AToM's network: conditioning computed once equals a plain pass, any sizes and window lengths, no parameter without a use."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.atom.attention import Attention, rotary_tables
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser

SMALL = DenoiserConfig(seq_len=10, latent_dim=32, ff_size=48, num_layers=2, num_heads=4, cond_feature_dim=12)


def network(config: DenoiserConfig = SMALL, seed: int = 0) -> AToMDenoiser:
    """With every parameter random, also those that begin at 0 or 1."""
    torch.manual_seed(seed)
    net = AToMDenoiser(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def given(config: DenoiserConfig = SMALL, batch: int = 2, frames: int | None = None) -> tuple[torch.Tensor, ...]:
    """x, face, audio, times."""
    frames = frames or config.seq_len
    face = 0.3 * torch.randn(batch, 1, config.nfeats).expand(-1, frames, -1)
    audio = torch.randn(batch, 2 * frames, config.cond_feature_dim)
    return torch.randn(batch, frames, config.nfeats), face, audio, torch.randint(0, 1000, (batch,))


def near(got: torch.Tensor, want: torch.Tensor) -> bool:
    return got.shape == want.shape and torch.allclose(got, want, atol=2e-5)


@torch.inference_mode()
def test_conditioning_computed_once_serves_every_step():
    net, (x, face, audio, _) = network(), given()
    condition = net.condition(face, audio)
    for t in (999, 500, 0):
        times = torch.full((2,), t)
        assert near(net.denoise(x, times, condition), net(x, face, audio, times))
    assert not near(net(x, face, audio, torch.zeros(2, dtype=torch.long)), net(x, face, audio, torch.full((2,), 999)))


@torch.inference_mode()
def test_conditional_and_unconditional_as_one_batch_are_the_two_passes():
    net, (x, face, audio, times) = network(), given(batch=1)
    both = net(*(part.expand(2, *part.shape[1:]) for part in (x, face, audio, times)), torch.tensor([True, False]))
    cond, uncond = net(x, face, audio, times), net(x, face, audio, times, torch.tensor([False]))
    assert near(both, torch.cat([cond, uncond])) and not near(cond, uncond)


@torch.inference_mode()
def test_a_dropped_condition_is_neither_heard_nor_seen_and_a_kept_one_is():
    net, (x, face, audio, times) = network(), given()
    drop = torch.tensor([False, False])
    assert near(net(x, face, audio, times, drop), net(x, face + 1, audio + 1, times, drop))
    want = net(x, face, audio, times)
    assert not near(net(x, face + 1, audio, times), want) and not near(net(x, face, audio + 1, times), want)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 3, 9])
def test_a_shorter_window_is_what_a_network_built_for_it_computes(frames):
    """Nothing is padded: the same weights with null tokens cut to the window."""
    net = network()
    short = AToMDenoiser(DenoiserConfig(**{**vars(SMALL), "seq_len": frames})).eval()
    state = net.state_dict()
    nulls = {"null_audio": state["null_audio"][:, :2 * frames], "null_face": state["null_face"][:, :frames]}
    short.load_state_dict(state | nulls)
    inputs, keep = given(frames=frames), torch.tensor([True, False])
    assert near(net(*inputs, keep), short(*inputs, keep))


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [
    {"seq_len": 5, "latent_dim": 24, "ff_size": 7, "num_layers": 1, "num_heads": 3, "cond_feature_dim": 1},
    {"seq_len": 7, "latent_dim": 16, "ff_size": 64, "num_layers": 3, "num_heads": 1, "cond_feature_dim": 80},
    {"seq_len": 2, "latent_dim": 8, "ff_size": 1, "num_layers": 1, "num_heads": 8, "cond_feature_dim": 3, "rotary_base": 50.0},
])
def test_any_sizes(sizes):
    config = DenoiserConfig(**sizes)
    out = network(config)(*given(config, batch=3))
    assert out.shape == (3, config.seq_len, 204) and torch.isfinite(out).all()


def test_every_parameter_has_a_use():
    net, inputs = network(), given()
    net(*inputs, torch.tensor([True, False])).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}, "no buffers: tables are made as needed"


def test_full_size_is_the_published_live_size():
    with torch.device("meta"):
        assert sum(p.numel() for p in AToMDenoiser(DenoiserConfig()).parameters()) == 48_491_724


def test_dropout_only_in_training():
    net, inputs = network(), given()
    with torch.no_grad():
        assert torch.equal(net(*inputs), net(*inputs))
        net.train()
        assert not torch.equal(net(*inputs), net(*inputs))


def test_attention_is_torchs_own_on_inputs_turned_by_hand():
    """Positions are rotated into what query and key project, over the full width; values are not."""
    torch.manual_seed(1)
    own, width, heads, length = Attention(8, 2, 0.0).eval(), 8, 2, 5
    reference = torch.nn.MultiheadAttention(width, heads, batch_first=True).eval()
    reference.load_state_dict(own.state_dict())
    x = torch.randn(1, length, width)
    turned = torch.empty_like(x)
    for position in range(length):
        for i in range(width // 2):
            angle = position * 10000 ** (-2 * i / width)
            a, b = x[0, position, 2 * i], x[0, position, 2 * i + 1]
            turned[0, position, 2 * i] = a * math.cos(angle) - b * math.sin(angle)
            turned[0, position, 2 * i + 1] = b * math.cos(angle) + a * math.sin(angle)
    got = own.within(x, rotary_tables(length, width, 10000.0, x))
    assert near(got, reference(turned, turned, x, need_weights=False)[0])
    assert not near(got, reference(x, x, x, need_weights=False)[0])
    assert own.out_proj.weight.shape == (8, 8) and F.mse_loss(got, got) == 0


@pytest.mark.parametrize("wrong", [{"latent_dim": 30}, {"num_heads": 5}, {"nfeats": 136}, {"num_layers": 0}, {"dropout": 1.0},
                                   {"seq_len": 2.5}, {"rotary_base": 1.0}])
def test_sizes_that_no_network_has(wrong):
    with pytest.raises(TalkingHeadsError):
        DenoiserConfig(**{**vars(SMALL), **wrong})


def test_descriptions_come_back_from_json():
    config = AToMConfig(SMALL, SpeechInput("mel", "last", 80.0, 6, 2), clip=None, training={"steps": 5})
    assert AToMConfig.from_dict(config.to_dict()) == config
    with pytest.raises(TalkingHeadsError, match="cond_feature_dim"):
        AToMConfig(SMALL)


@torch.inference_mode()
def test_one_noisy_window_under_two_conditions_is_each_by_itself():
    net, (x, face, audio, times) = network(), given()
    keep = torch.tensor([True, True, False, False])
    both = net.denoise(x, times, net.condition(face.repeat(2, 1, 1), audio.repeat(2, 1, 1), keep))
    assert near(both, torch.cat([net(x, face, audio, times, kept) for kept in keep.chunk(2)]))


@torch.inference_mode()
def test_steps_prepared_together_are_the_steps_one_by_one():
    net, (x, face, audio, _) = network(), given()
    condition, times = net.condition(face, audio), torch.tensor([[999, 999], [500, 20], [0, 0]])
    for moment, each in zip(net.moments(times, condition), times):
        assert near(net.denoise(x, moment, condition), net(x, face, audio, each))


def test_gradients_of_two_steps_under_one_condition():
    """What a step writes into the condition's memories must not spoil the step before."""
    net, (x, face, audio, times) = network(), given()
    condition = net.condition(face, audio)
    (net.denoise(x, times, condition) + net.denoise(x, times // 2, condition)).square().sum().backward()
    got = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    (net(x, face, audio, times) + net(x, face, audio, times // 2)).square().sum().backward()
    assert all(torch.allclose(a, p.grad, rtol=1e-3, atol=1e-3) for a, p in zip(got, net.parameters()))
