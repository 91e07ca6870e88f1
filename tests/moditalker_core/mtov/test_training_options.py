"""What our trainings of MToV may do beside the published ones: stills, lively windows, a decoder that learns, a second pass."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.mouth import lip_aperture
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.mtov.checkpoints import DECODING, load_autoencoder, load_mtov
from talking_heads.moditalker_core.mtov.config import DenoiserConfig
from talking_heads.moditalker_core.mtov.dataset import VideoWindows
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser
from talking_heads.moditalker_core.mtov.model import RasterSettings
from talking_heads.moditalker_core.mtov.objectives import Rebuild
from talking_heads.moditalker_core.mtov.training import fresh_autoencoder, train_mtov, window_settings
from talking_heads.moditalker_core.mtov.video_settings import VideoSettings
from video_data import DIFFUSION, GAN, LANDMARKS, RGB, SIZE, StopAt, make_video_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data")


def test_a_still_is_a_clip_that_does_not_move():
    rebuild = Rebuild(fresh_autoencoder(RGB, 0))
    sizes = RGB.autoencoder
    still = torch.rand(2, 3, 1, sizes.height, sizes.width) * 2 - 1
    with torch.no_grad():
        (short, short_latents), (whole, latents) = rebuild(still), rebuild(still.expand(-1, -1, sizes.frames, -1, -1))
    assert torch.allclose(short_latents, latents, atol=1e-5)
    assert torch.allclose(short.expand_as(whole), whole, atol=1e-5)
    assert float((whole - still).abs().mean()) > 0.1, "an untrained network: equality is not that of perfect pictures"


def test_lively_windows_have_mouths_that_move_more(data):
    movement = {}
    for lively in (1, 4):
        windows = VideoWindows(MotionDataset.open(data), "train", window_settings(replace(RGB, lively=lively)))
        movement[lively] = sum(float(lip_aperture(windows.batch(0, [i]).pixels[0]).std()) for i in range(12))
    assert movement[4] > 1.1 * movement[1]


@pytest.mark.parametrize("freeze", [True, False])
def test_the_landmark_decoder_learns_where_it_may(data, tmp_path, freeze):
    rgb, out = tmp_path / "rgb.safetensors", tmp_path / "landmarks.safetensors"
    first = train_mtov("rgb", data, rgb, replace(RGB, steps=1))
    train_mtov("landmarks", data, out, replace(LANDMARKS, steps=2, freeze=freeze, stills=2, still_steps=1, lips=3.0), rgb=rgb)
    decoder = load_autoencoder(out, role="landmarks")[0].decoder.state_dict()
    same = all(torch.equal(value, first.decoder.state_dict()[name]) for name, value in decoder.items())
    assert same == freeze


def test_a_decoder_alone_may_learn_to_draw(data, tmp_path):
    """What latents mean stays to the bit, so that a denoiser of before still fits."""
    files = [tmp_path / f"{name}.safetensors" for name in "ab"]
    before = train_mtov("rgb", data, files[0], replace(RGB, steps=1)).state_dict()
    after = train_mtov("rgb", data, files[1], replace(RGB, steps=3, decoder_only=True, penalty=0.0), rgb=files[0]).state_dict()
    for name, value in after.items():
        assert torch.equal(value, before[name]) != name.startswith(DECODING), name
    with pytest.raises(TalkingHeadsError, match="decoder alone.*'landmarks'"):
        replace(LANDMARKS, decoder_only=True)
    with pytest.raises(TalkingHeadsError, match="decoder alone.*trained encoder"):
        train_mtov("rgb", data, tmp_path / "c.safetensors", replace(RGB, decoder_only=True))


def test_a_decoders_training_goes_on_to_the_same_bits(data, tmp_path):
    first, config = tmp_path / "first.safetensors", replace(RGB, steps=4, decoder_only=True, latent_noise=0.1)
    train_mtov("rgb", data, first, replace(RGB, steps=1))
    whole = train_mtov("rgb", data, tmp_path / "whole.safetensors", config, rgb=first).state_dict()
    with pytest.raises(Cancelled):
        train_mtov("rgb", data, tmp_path / "parts.safetensors", config, rgb=first, report=StopAt(2))
    parts = train_mtov("rgb", data, tmp_path / "parts.safetensors", config, rgb=first).state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in parts.items())


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> dict[str, Path]:
    """The files of three stages."""
    folder = tmp_path_factory.mktemp("whole")
    files = {stage: folder / f"{stage}.safetensors" for stage in ("rgb", "landmarks", "diffusion")}
    train_mtov("rgb", data, files["rgb"], replace(RGB, steps=1))
    train_mtov("landmarks", data, files["landmarks"], replace(LANDMARKS, steps=1), rgb=files["rgb"])
    train_mtov("diffusion", data, files["diffusion"], replace(DIFFUSION, steps=2), rgb=files["rgb"], landmarks=files["landmarks"],
               licence="mine")
    return files


def test_a_run_from_a_whole_mtov_goes_on_to_the_same_bits_and_from_no_other(data, whole, tmp_path):
    config, out = replace(DIFFUSION, steps=4), [tmp_path / f"{name}.safetensors" for name in "abc"]
    straight = train_mtov("diffusion", data, out[0], config, mtov=whole["diffusion"]).denoiser.state_dict()
    with pytest.raises(Cancelled):
        train_mtov("diffusion", data, out[1], config, mtov=whole["diffusion"], report=StopAt(2))
    with pytest.raises(TalkingHeadsError, match="another denoiser"):
        train_mtov("diffusion", data, out[1], config, mtov=out[0])
    parts = train_mtov("diffusion", data, out[1], config, mtov=whole["diffusion"]).denoiser.state_dict()
    assert all(torch.equal(value, straight[name]) for name, value in parts.items())
    with pytest.raises(TalkingHeadsError, match="must not replace"):
        train_mtov("diffusion", data, out[0], config, mtov=out[0])


def test_kept_latents_serve_another_decoder(data, whole, tmp_path):
    """They depend on the encoders alone."""
    config, pool = replace(DIFFUSION, steps=2, cache=3), tmp_path / "pool.safetensors"
    train_mtov("diffusion", data, tmp_path / "a.safetensors", config, mtov=whole["diffusion"], latents=pool)
    before = pool.stat().st_ino, pool.read_bytes()
    train_mtov("rgb", data, tmp_path / "drawn.safetensors", replace(RGB, steps=1, decoder_only=True), rgb=whole["rgb"])
    train_mtov("diffusion", data, tmp_path / "b.safetensors", config, latents=pool, rgb=tmp_path / "drawn.safetensors",
               landmarks=whole["landmarks"])
    assert (pool.stat().st_ino, pool.read_bytes()) == before


def test_a_whole_mtov_can_be_gone_on_from(data, whole, tmp_path):
    """With its own autoencoders, or with one that draws better; in the sizes of its networks, whatever the settings say."""
    before, out = load_mtov(whole["diffusion"]), tmp_path / "again.safetensors"
    other = replace(DIFFUSION, steps=1, lr=1e-8, ema=None, prediction="epsilon", raster=RasterSettings(SIZE, 2, 1),
                    denoiser=replace(DIFFUSION.denoiser, model_channels=32))
    again = train_mtov("diffusion", data, out, other, mtov=whole["diffusion"])
    alike = ("denoiser", "raster", "prediction", "licence")
    assert all(getattr(again.config, name) == getattr(before.config, name) for name in alike) and before.config.licence == "mine"
    assert again.config.training["begun with"] == before.config.training
    state = before.denoiser.state_dict()
    assert all(torch.allclose(value, state[name], atol=1e-5) for name, value in again.denoiser.state_dict().items())
    drawn = train_mtov("rgb", data, tmp_path / "drawn.safetensors", replace(RGB, steps=2, decoder_only=True), rgb=whole["rgb"])
    mixed = train_mtov("diffusion", data, out, other, mtov=whole["diffusion"], rgb=tmp_path / "drawn.safetensors")
    assert torch.equal(mixed.rgb.to_pixels.weight, drawn.to_pixels.weight)
    assert torch.equal(mixed.landmarks.patch_in.weight, before.landmarks.patch_in.weight)


def test_what_does_not_go_on_from_a_whole_mtov(data, whole, tmp_path):
    with pytest.raises(TalkingHeadsError, match="Only the stage 'diffusion'.*'gan'"):
        train_mtov("gan", data, tmp_path / "a.safetensors", GAN, rgb=whole["rgb"], mtov=whole["diffusion"])
    wide = replace(RGB, steps=1, autoencoder=replace(RGB.autoencoder, embed_dim=6))
    train_mtov("rgb", data, tmp_path / "wide.safetensors", wide)
    with pytest.raises(TalkingHeadsError, match="latents of the size.*6 x .* for 4 x"):
        train_mtov("diffusion", data, tmp_path / "a.safetensors", DIFFUSION, rgb=tmp_path / "wide.safetensors",
                   mtov=whole["diffusion"])
    assert not (tmp_path / "a.safetensors").exists()


def test_the_learnt_steps_are_kept_and_bound_the_start(whole):
    mtov = load_mtov(whole["diffusion"])
    assert mtov.config.times == DIFFUSION.times == (0, 250)
    VideoSettings(ratio=0.25).resolved(mtov.config, 4)
    with pytest.raises(TalkingHeadsError, match="strength .denoise. of 0.25 at most.*Got: 0.5"):
        VideoSettings(ratio=0.5).resolved(mtov.config, 4)
    replace(mtov.config, times=(249, 300))
    for bad in ((0, 0), (5, 2000), (0.0, 250), 5, None):
        with pytest.raises(TalkingHeadsError, match="trained steps"):
            replace(mtov.config, times=bad)


def test_pictures_can_be_gone_on_from(data, tmp_path):
    files = [tmp_path / f"{name}.safetensors" for name in "ab"]
    train_mtov("rgb", data, files[0], replace(RGB, steps=2))
    again = train_mtov("rgb", data, files[1], replace(RGB, steps=1, lr=1e-8), rgb=files[0])
    before = load_autoencoder(files[0])[0].state_dict()
    assert all(torch.allclose(value, before[name], atol=1e-5) for name, value in again.state_dict().items())
    fresh = fresh_autoencoder(RGB, 0).state_dict()
    assert not torch.allclose(again.state_dict()["patch_in.weight"], fresh["patch_in.weight"], atol=1e-5)


def test_a_residual_denoiser_begins_as_the_still_identity():
    sizes = replace(DenoiserConfig.from_dict(DIFFUSION.denoiser.to_dict()), residual=True)
    grid = RGB.autoencoder.grid
    net, channels = MToVDenoiser(sizes, grid), sizes.channels
    x, landmarks, pose, identity = torch.randn(4, 2, channels, grid.length)
    times = torch.tensor([3, 200])
    assert torch.equal(net(x, times, landmarks, pose, identity), identity)
    torch.nn.init.normal_(net.out.weight)
    assert not torch.allclose(net(x, times, landmarks, pose, identity), identity, atol=0.1)
    with pytest.raises(TalkingHeadsError, match="identity must be"):
        net(x, times, landmarks, pose, identity[..., :grid.lengths[0]])
    with pytest.raises(TalkingHeadsError, match="must predict the clean latent"):
        replace(DIFFUSION, denoiser=sizes, prediction="epsilon")
