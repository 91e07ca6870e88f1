"""Tiny networks of MToV for tests, every parameter random."""
from __future__ import annotations

import torch
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig, Grid
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser

AUTOENCODER = AutoencoderConfig(channels=16, frames=6, height=32, width=32, depth=2, heads=2, dim_head=8, pool_depth=2,
                                pool_heads=2, pool_dim_head=4, pool_hidden=12)
DENOISER = DenoiserConfig(model_channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(1,), num_heads=2,
                          groups=4)


def autoencoder(decoder: bool = True, **sizes: int) -> VideoAutoencoder:
    torch.manual_seed(0)
    return shaken(VideoAutoencoder(AutoencoderConfig(**{**vars(AUTOENCODER), **sizes}), decoder))


def denoiser(grid: Grid, config: DenoiserConfig = DENOISER) -> MToVDenoiser:
    torch.manual_seed(1)
    return shaken(MToVDenoiser(config, grid))


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """No parameter is left at 0 or 1."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def near(got: torch.Tensor, want: torch.Tensor, within: float = 2e-5) -> bool:
    return got.shape == want.shape and torch.allclose(got, want, atol=within)
