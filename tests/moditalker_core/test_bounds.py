"""Sizes in a description are bounded, so that no file makes its reader build or loop without end."""
from dataclasses import asdict

import pytest
from mtov_nets import AUTOENCODER, DENOISER
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.atom.config import AToMConfig
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig
from talking_heads.moditalker_core.mtov.config import DenoiserConfig as MToVDenoiserConfig
from talking_heads.moditalker_core.mtov.model import MToVConfig


@pytest.mark.parametrize("change", [
    {"pool_depth": 10**30}, {"depth": 257}, {"channels": 1 << 20}, {"height": 1 << 20, "width": 1 << 20, "patch": 1},
    {"frames": 10**7},
    {"height": 8192, "width": 8192, "patch": 8}, {"dim_head": 1 << 16, "height": 4096, "width": 4096}, {"positions": 1},
    {"frames": "6"}, {"reach": -1}, {"patch": None}])
def test_autoencoders(change):
    with pytest.raises(TalkingHeadsError):
        AutoencoderConfig.from_dict({**asdict(AUTOENCODER), **change})


@pytest.mark.parametrize("change", [
    {"channel_mult": [1] * 40}, {"channel_mult": []}, {"channel_mult": 3.5}, {"channel_mult": None},
    {"attention_resolutions": [1] * 99},
    {"num_res_blocks": 10**9}, {"model_channels": 1 << 16, "channel_mult": [4]}, {"residual": "yes"}, {"groups": "4"}])
def test_denoisers(change):
    with pytest.raises(TalkingHeadsError):
        MToVDenoiserConfig.from_dict({**DENOISER.to_dict(), **change})


@pytest.mark.parametrize("part, change", [
    ("denoiser", {"num_layers": 10**9}), ("denoiser", {"seq_len": 1 << 20}), ("denoiser", {"rotary_base": float("inf")}),
    ("denoiser", {"residual": 1}), ("speech", {"rate": 0}), ("speech", {"rate": 1e30}), ("speech", {"dim": "80"}),
    ("speech", {"encoder": None}), ("speech", {"stack": 0}), (None, {"fps": 1e-9}), (None, {"licence": 3}),
    (None, {"training": []}),
    (None, {"speech": []}), (None, {"denoiser": "x"})])
def test_atoms(part, change):
    values = AToMConfig().to_dict()
    (values if part is None else values[part]).update(change)
    with pytest.raises(TalkingHeadsError):
        AToMConfig.from_dict(values)


@pytest.mark.parametrize("change", [{"fps": 1e9}, {"licence": {}}, {"training": 1}, {"anchored": "x"},
    {"raster": {"size": 1 << 20}},
                                    {"raster": {"size": 256, "finer": 1 << 10}}, {"rgb": []}])
def test_mtovs(change):
    with pytest.raises(TalkingHeadsError):
        MToVConfig.from_dict({**MToVConfig().to_dict(), **change})
