"""First weights of an AToM that is trained from nothing.

The official network starts anywhere and has to find out, through rotations applied before the projections, that frame i is heard
in tokens 2 i and 2 i + 1. Our start knows it: half the heads of every cross-attention look at their own time. It needs a rotary
base of which 2 is a whole power (`config.octave_base`) and changes nothing but first values. Our choice, no paper's.
"""
from __future__ import annotations

import math

import torch
from torch import nn

from ...media_core.chance import drawn
from .config import DenoiserConfig
from .denoiser import AToMDenoiser

BEACON = 2.0  # constant in every even channel of what is rotated: a pair (BEACON, 0) shows its position by its angle
SHARPNESS = (0.7, 1.4)  # square of the gain of the looking heads, in turn: how closely they look at their own time


def fresh_denoiser(config: DenoiserConfig, seed: int) -> AToMDenoiser:
    """A network before its first training step; the same seed gives the same weights. `torch`'s own generator is left alone."""
    net = drawn(seed, lambda: AToMDenoiser(config))
    steps = octave_steps(config)
    if steps is not None:
        look_at_own_time(net, steps)
    if config.residual:  # every layer adds nothing at first, and the first prediction is "no motion"
        for linear in (*(layer.linear3 for layer in net.decoder_layers()), net.out):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
    return net


def octave_steps(config: DenoiserConfig) -> int | None:
    """How many channel pairs lie between a rotation and its half; None where the base has no such pairs."""
    steps = config.latent_dim * math.log(2) / (2 * math.log(config.rotary_base))
    return round(steps) if round(steps) >= 1 and abs(steps - round(steps)) < 1e-6 else None


@torch.no_grad()
def look_at_own_time(net: AToMDenoiser, steps: int) -> None:
    """Sets half the heads of each cross-attention so that frame i attends to audio tokens around 2 i.

    Channel pair n of a query at position i stands at the angle i w(n), pair n + steps of a key at j w(n) / 2: their product is
    largest where j = 2 i, and a sum over many n only there.
    """
    width, heads = net.config.latent_dim, net.config.num_heads
    size = width // heads  # channels per head
    pairs = min(size // 2, width // 2 - steps)
    net.memory_norm.bias[::2] = BEACON
    for layer in net.decoder_layers():
        layer.norm2.bias[::2] = BEACON
        weight = layer.cross_attn.in_proj_weight  # [3C, C]: queries, keys, values
        for head in range(max(1, heads // 2)):
            gain, rows = math.sqrt(SHARPNESS[head % len(SHARPNESS)]), range(head * size, (head + 1) * size)
            weight[rows.start:rows.stop] = 0
            weight[width + rows.start:width + rows.stop] = 0
            for k in range(2 * pairs):
                weight[rows[k], k] = gain
                weight[width + rows[k], k + 2 * steps] = gain
