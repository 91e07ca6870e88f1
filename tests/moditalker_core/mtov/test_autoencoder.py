"""MToV's autoencoder: any size, a still picture is a clip of it, which plane sees what, checkpointing, numbers formats."""
from __future__ import annotations

import pytest
import torch
from mtov_nets import autoencoder, near
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig, Grid


def clips(net: VideoAutoencoder, batch: int = 2) -> torch.Tensor:
    config = net.config
    torch.manual_seed(2)
    return 2 * torch.rand(batch, 3, config.frames, config.height, config.width) - 1


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [{}, {"height": 128, "width": 128}, {"height": 40, "width": 24, "frames": 5},
                                   {"patch": 4, "width": 16}, {"frames": 1}, {"embed_dim": 3, "channels": 12, "depth": 1},
                                   {"height": 12, "width": 36, "patch": 12}])
def test_any_size(sizes):
    net = autoencoder(**sizes)
    config, given = net.config, clips(net, 1)
    made, latents = net(given)
    rows, columns = config.height // config.patch, config.width // config.patch
    length = rows * columns + config.frames * columns + config.frames * rows
    assert made.shape == given.shape and latents.shape == (1, config.embed_dim, length)
    assert latents.abs().max() < 1 and made.abs().max() <= 1 and made.std() > 1e-3


def test_the_published_grid():
    assert AutoencoderConfig().grid == Grid(16, 32, 32) and AutoencoderConfig().grid.length == 2048
    assert AutoencoderConfig(height=128, width=128).grid.lengths == (256, 256, 256)
    assert AutoencoderConfig(height=64, width=128, frames=8).grid.shapes == ((8, 16), (8, 16), (8, 8))


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [{}, {"height": 48, "width": 24, "frames": 16}])
def test_a_still_picture_is_a_clip_of_it(sizes):
    net = autoencoder(**sizes)
    pictures = clips(net)[:, :, 0]
    whole = net.encode(pictures[:, :, None].expand(-1, -1, net.config.frames, -1, -1))
    assert near(net.encode_still(pictures), whole) and not near(whole[:1], whole[1:])


@torch.inference_mode()
def test_a_batch_is_its_clips_one_by_one():
    net = autoencoder(width=24)
    given = clips(net, 3)
    latents = net.encode(given)
    assert near(latents, torch.cat([net.encode(clip[None]) for clip in given]))
    assert near(net.decode(latents), torch.cat([net.decode(latent[None]) for latent in latents]))


@torch.inference_mode()
def test_planes_stand_in_their_order_and_each_reaches_the_pixels_it_is_of():
    """Without layers, a place of xy shows in its square of all frames, of yt in a column of a frame, of xt in a row."""
    net = autoencoder(height=24, width=32, frames=5)
    net.decoder.layers = torch.nn.ModuleList()
    grid, p = net.config.grid, net.config.patch
    base = torch.zeros(1, net.config.embed_dim, grid.length)
    still = net.decode(base)
    starts = (0, grid.lengths[0], grid.lengths[0] + grid.lengths[1])
    t, h, w = 3, 1, 2
    places = {starts[0] + h * grid.w + w: (slice(None), h, w), starts[1] + t * grid.w + w: (t, slice(None), w),
              starts[2] + t * grid.h + h: (t, h, slice(None))}
    for place, want in places.items():
        moved = base.clone()
        moved[..., place] = 0.5
        squares = (net.decode(moved) - still).abs().amax((0, 1)).unflatten(2, (-1, p)).unflatten(1, (-1, p)).amax((2, 4))
        expected = torch.zeros(grid.t, grid.h, grid.w, dtype=torch.bool)
        expected[want] = True
        assert torch.equal(squares > 1e-6, expected)


@torch.inference_mode()
def test_pooling_reads_the_first_place_and_the_token_is_heard():
    net = autoencoder()
    given = clips(net, 1)
    before = net.encode(given)
    with torch.no_grad():
        net.pool["yt"].token += torch.randn(net.config.channels)  # not a constant: that is normed away
    after, parts = net.encode(given), net.config.grid.lengths
    for old, new, moved in zip(before.split(parts, 2), after.split(parts, 2), (False, True, False)):
        assert near(old, new) != moved


def test_checkpointing_gives_the_same_gradients():
    net = autoencoder().train()
    given = clips(net)
    gradients = []
    for checkpointing in (False, True):
        net.encoder.checkpointing = net.decoder.checkpointing = checkpointing
        net.zero_grad()
        made, _ = net(given)
        (made - given).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*gradients))
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients[0])  # no parameter without a use


def test_training_and_running_compute_the_same():
    net = autoencoder()
    given = clips(net)
    with torch.inference_mode():
        wanted = net(given)
    got = net(given)
    assert near(got[0], wanted[0]) and near(got[1], wanted[1])


@torch.inference_mode()
def test_bfloat16_runs_near_float32():
    net = autoencoder()
    given = clips(net)
    wanted, latents = net(given)
    made, half = net.to(torch.bfloat16)(given.bfloat16())
    assert made.dtype == half.dtype == torch.bfloat16 and net.dtype == torch.bfloat16
    assert near(made.float(), wanted, 0.1) and near(half.float(), latents, 0.15)


@torch.inference_mode()
def test_an_encoder_alone():
    whole, alone = autoencoder(), autoencoder(decoder=False)
    assert not any(name.startswith(("decoder", "from_plane", "to_pixels")) for name in alone.state_dict())
    alone.load_state_dict({name: value for name, value in whole.state_dict().items() if name in alone.state_dict()})
    given = clips(whole)
    assert torch.equal(alone.encode(given), whole.encode(given))
    with pytest.raises(TalkingHeadsError, match="decoder"):
        alone.decode(whole.encode(given))
    with pytest.raises(TalkingHeadsError, match="decoder"):
        alone(given)


@pytest.mark.parametrize("shape", [(1, 3, 6, 32, 24), (1, 3, 5, 32, 32), (1, 1, 6, 32, 32), (3, 6, 32, 32)])
def test_clips_of_another_size_are_refused(shape):
    with pytest.raises(TalkingHeadsError, match="Resize"):
        autoencoder().encode(torch.zeros(shape))


def test_pictures_and_latents_of_another_size_are_refused():
    net = autoencoder()
    with pytest.raises(TalkingHeadsError, match="Resize"):
        net.encode_still(torch.zeros(1, 3, 16, 16))
    for shape in ((1, 4, 63), (1, 3, net.config.grid.length), (4, net.config.grid.length)):
        with pytest.raises(TalkingHeadsError, match="Latents"):
            net.decode(torch.zeros(shape))


@pytest.mark.parametrize("sizes", [{"height": 33}, {"width": 0}, {"depth": 1.5}, {"dim_head": 6}, {"frames": True}])
def test_impossible_sizes(sizes):
    with pytest.raises(TalkingHeadsError):
        AutoencoderConfig(**sizes)


def test_descriptions_go_through_json_and_refuse_strangers():
    config = AutoencoderConfig(width=128, height=64)
    assert AutoencoderConfig.from_dict(config.to_dict()) == config
    assert DenoiserConfig.from_dict(DenoiserConfig().to_dict()) == DenoiserConfig()
    with pytest.raises(TalkingHeadsError, match="flux"):
        AutoencoderConfig.from_dict({**config.to_dict(), "flux": 1})
