"""A tiny MToV with random weights: whole in form, worthless in looks."""
from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser
from talking_heads.moditalker_core.mtov.model import MToV, MToVConfig, RasterSettings

SIZE, FRAMES = 32, 8
HEADS = 4  # of the recorded denoiser


def tiny_mtov(**changes) -> MToV:
    """Clips of 8 frames of 32 px, two calls of the published sampler from an eighth of the noise."""
    torch.manual_seed(0)
    sizes = AutoencoderConfig(channels=16, frames=FRAMES, height=SIZE, width=SIZE, depth=1, heads=2, dim_head=8, pool_depth=1,
                              pool_heads=2, pool_dim_head=8, pool_hidden=16)
    network = DenoiserConfig(model_channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(1,), num_heads=2,
                             groups=8)
    config = MToVConfig(sizes, sizes, network, **{"calls": 2, "ratio": 0.125, "overlap": 2, "raster": RasterSettings(SIZE),
                                                  "licence": "for tests",
                                                  "training": {"preset": "random", "note": "knows nothing"}, **changes})
    denoiser = MToVDenoiser(network, sizes.grid)
    for value in denoiser.parameters():  # some begin at 0, and a fresh network says nothing
        value.data += 0.1 * torch.randn_like(value)
    return MToV(VideoAutoencoder(sizes), VideoAutoencoder(sizes, decoder=False), denoiser, config)


def save_published(folder: Path) -> list[str]:
    """Three small networks as MoDiTalker publishes its own; the denoiser has HEADS heads. Returns the files' names."""
    folder.mkdir(parents=True, exist_ok=True)
    rgb, denoiser = (_weights(f"moditalker_{name}.safetensors") for name in ("ae_small", "unet"))
    parts = {"autoencoder_rgb.pth": rgb, "autoencoder_motion.pth": {name: value * 0.9 for name, value in rgb.items()},
             "diffusion_model.pth": denoiser}
    for name, state in parts.items():
        torch.save(state, folder / name)
    return list(parts)


def _weights(fixture: str) -> dict[str, torch.Tensor]:
    held = load_file(Path(__file__).parent / "fixtures" / "moditalker" / fixture)
    return {name[3:]: value for name, value in held.items() if name.startswith("sd.")}


def save_tiny_mtov(path: Path, **changes) -> Path:
    from talking_heads.moditalker_core.mtov.checkpoints import save_mtov

    path.parent.mkdir(parents=True, exist_ok=True)
    return save_mtov(tiny_mtov(**changes), path)
