"""MToV's description and the three networks together."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from mtov_nets import AUTOENCODER, DENOISER, autoencoder, denoiser
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.mtov.config import Grid
from talking_heads.moditalker_core.mtov.model import MToV, MToVConfig, RasterSettings

CONFIG = MToVConfig(rgb=AUTOENCODER, landmarks=replace(AUTOENCODER, depth=1), denoiser=DENOISER, raster=RasterSettings(32),
                    overlap=2)


def parts(decoder: bool = True):
    return autoencoder(decoder), autoencoder(False, depth=1), denoiser(AUTOENCODER.grid)


def test_the_default_is_the_published_network():
    config = MToVConfig()
    assert (config.size, config.frames, config.grid) == (256, 16, Grid(16, 32, 32))
    assert (config.sampler, config.calls, config.ratio, config.eta, config.clip) == ("ddim", 25, 0.25, 1.0, 1.0)
    assert (config.raster, config.prediction, config.reference) == (RasterSettings(256, 3, 1), "epsilon", "first")


def test_the_description_goes_through_json():
    config = replace(CONFIG, clip=None, sampler="unipc", calls=6, raster=RasterSettings(32, 1, 4), training={"people": 3},
                     licence="CC0", reference="any", fps=30.0)
    told = json.loads(json.dumps(config.to_dict()))
    assert MToVConfig.from_dict(told) == config != CONFIG
    assert MToVConfig.from_dict({}) == MToVConfig()


@pytest.mark.parametrize("where, name", [((), "flux"), (("rgb",), "flux"), (("raster",), "colour"), (("denoiser",), "heads")])
def test_strangers_are_refused(where, name):
    told = CONFIG.to_dict()
    part = told[where[0]] if where else told
    part[name] = 1
    with pytest.raises(TalkingHeadsError, match=name):
        MToVConfig.from_dict(told)


@pytest.mark.parametrize("values", [
    {"sampler": "euler"}, {"calls": 0}, {"calls": 251}, {"ratio": 0.0}, {"eta": 2.0}, {"clip": 0.0}, {"prediction": "x0"},
    {"overlap": 4}, {"overlap": -1}, {"overlap": 1.0}, {"reference": "last"}, {"margin": 0.0}, {"fps": 0.0},
    {"fps": float("nan")}, {"raster": RasterSettings(64)}, {"rgb": replace(AUTOENCODER, height=64)},
    {"landmarks": replace(AUTOENCODER, frames=8)}, {"landmarks": replace(AUTOENCODER, patch=4, height=16, width=16)},
    {"rgb": replace(AUTOENCODER, embed_dim=3)}, {"denoiser": replace(DENOISER, channels=3)},
    {"denoiser": replace(DENOISER, channel_mult=(1, 1, 1))}])
def test_parts_that_do_not_go_together(values):
    with pytest.raises(TalkingHeadsError):
        replace(CONFIG, **values)


@pytest.mark.parametrize("values", [(0, 3, 1), (32, -1, 1), (32, 3, 0), (32.0, 3, 1), (32, 3, True)])
def test_impossible_rasters(values):
    with pytest.raises(TalkingHeadsError, match="size"):
        RasterSettings(*values)


def test_three_networks_run_and_move_as_one():
    mtov = MToV(*(network.train() for network in parts()), CONFIG)
    assert not any(network.training for network in mtov.networks.values())
    assert mtov.dtype == torch.float32 and mtov.device == torch.device("cpu")
    size = sum(p.numel() for network in mtov.networks.values() for p in network.parameters())
    assert str(size) in repr(mtov) and "32 px" in repr(mtov)
    assert mtov.to(dtype=torch.bfloat16) is mtov and mtov.dtype == torch.bfloat16
    assert {network.dtype for network in mtov.networks.values()} == {torch.bfloat16}
    assert mtov.to("cpu").dtype == torch.bfloat16


def test_descriptions_of_other_networks_are_refused():
    rgb, landmarks, net = parts()
    for config in (replace(CONFIG, rgb=replace(AUTOENCODER, depth=3)), replace(CONFIG, landmarks=AUTOENCODER),
                   replace(CONFIG, denoiser=replace(DENOISER, num_heads=1))):
        with pytest.raises(TalkingHeadsError, match="description"):
            MToV(rgb, landmarks, net, config)
    other = denoiser(Grid(4, 4, 4))
    with pytest.raises(TalkingHeadsError, match="denoiser"):
        MToV(rgb, landmarks, other, CONFIG)


def test_pictures_need_their_decoder():
    with pytest.raises(TalkingHeadsError, match="encoder alone"):
        MToV(*parts(decoder=False), CONFIG)
