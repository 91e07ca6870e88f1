"""Augments the speech an avatar trains on: 60 seconds of one voice contain each sound only a few times.

Every rule acts on a whole window of frames [B, 8, C, W] alike, so that what changes is the voice, not what is said. The paper
trains on minutes of speech with a frozen, pretrained encoder and needs none of this; our mel encoder has seen no other voice
(our choice, measured in benchmarks/avatar_quality.py). All randomness comes from the generator that is passed in.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PITCH = 0.12  # largest stretch of the frequency axis: pitch and length of the vocal tract
GAIN, TILT, NOISE = 0.35, 0.15, 0.30  # standard deviations, in units of the normalised features (mel: -4..4)
LONGEST_DROP = 12  # neighbouring feature channels made constant at once
DROPPED = -1.0  # their value, in units of the features


def augment_windows(windows: Tensor, strength: float, generator: torch.Generator,
                    spectral: bool = True) -> Tensor:  # [B, 8, C, W] -> same
    """The same words in other voices: warped in frequency, louder or softer, coloured, noisy, with a band missing.

    Args:
        windows: [B, 8, C, W] features of `audio_windows`; those without a frequency axis (W = 1 or not `spectral`): only noise.
        strength: 0 returns the input; 1 is what `demo` and `standard` use.
        generator: the only source of randomness.
        spectral: whether the C numbers are frequency bands in order (`EncoderFacts.spectral`).
    """
    if strength <= 0:
        return windows
    batch, _, channels, width = windows.shape
    noise = lambda *shape: torch.randn(*shape, generator=generator).to(windows)
    if width == 1 or not spectral:
        return windows + strength * NOISE * windows.std().clamp_min(1e-6) * noise(*windows.shape) * 0.1
    windows = _stretch_frequency(windows, 1 + strength * PITCH * (2 * torch.rand(batch, generator=generator) - 1))
    windows = windows + strength * (GAIN * noise(batch, 1, 1, 1) + TILT * noise(batch, 1, channels, 1)
                                    + NOISE * noise(*windows.shape))
    start = torch.randint(channels, (batch, 1), generator=generator)
    length = torch.randint(LONGEST_DROP, (batch, 1), generator=generator) * (torch.rand(batch, 1, generator=generator) < 0.5)
    band = torch.arange(channels)[None]
    dropped = ((band >= start) & (band < start + length)).to(windows.device)
    return windows.masked_fill(dropped[:, None, :, None], DROPPED)


def _stretch_frequency(windows: Tensor, factor: Tensor) -> Tensor:
    """Samples channel c at c * factor, the lowest channel held fast."""
    batch, frames, channels, width = windows.shape
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0] = 1
    theta[:, 1, 1] = factor
    theta[:, 1, 2] = factor - 1
    grid = F.affine_grid(theta, [batch, frames, channels, width], align_corners=False).to(windows)
    return F.grid_sample(windows, grid, padding_mode="border", align_corners=False)
