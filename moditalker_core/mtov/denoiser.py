"""MToV's denoiser: one UNet whose weights serve three planes, joined by attention over all of them (docs/moditalker.md; PVDM,
arXiv 2302.07685, after the UNet of arXiv 2105.05233).

What the official network carries without using (`output_bg_*`) is not built. Channels lie innermost in memory ("channels last"):
a plane is then a sequence of tokens as it lies, and attention copies nothing.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...media_core.errors import TalkingHeadsError
from ...training_core.checkpointing import layered
from .config import DenoiserConfig, Grid

PERIOD = 10000.0  # of the slowest wave of a step's embedding
EPS = 1e-5
Layer = TypeVar("Layer", bound=nn.Module)


class Norm(nn.GroupNorm):
    """Group norm computed in float32."""

    def __init__(self, groups: int, width: int):
        super().__init__(groups, width, eps=EPS)

    def forward(self, input: Tensor) -> Tensor:
        normed = F.group_norm(input.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)
        return normed.to(input.dtype)


class ResBlock(nn.Module):
    """Two convolutions around a scale and shift from the step, and a skip; `resample` "up", "down" or "" changes the size."""

    def __init__(self, given: int, made: int, emb: int, groups: int, resample: str = ""):
        super().__init__()
        self.resample = resample
        self.norm_in, self.conv_in = Norm(groups, given), nn.Conv2d(given, made, 3, padding=1)
        self.film = nn.Linear(emb, 2 * made)
        self.norm_out, self.conv_out = Norm(groups, made), _zero(nn.Conv2d(made, made, 3, padding=1))
        self.skip = nn.Identity() if given == made else nn.Conv2d(given, made, 1)

    def forward(self, x: Tensor, film: Tensor) -> Tensor:  # [B, given, H, W], [B, 2 made] -> [B, made, H', W']
        h = self.conv_in(_resized(F.silu(self.norm_in(x)), self.resample))
        scale, shift = film[:, :, None, None].chunk(2, 1)
        h = self.conv_out(F.silu(torch.addcmul(shift, self.norm_out(h), 1 + scale)))
        x = _resized(x, self.resample)
        if isinstance(self.skip, nn.Conv2d):  # of one place: a product
            x = F.linear(x.permute(0, 2, 3, 1), self.skip.weight.flatten(1), self.skip.bias).permute(0, 3, 1, 2)
        return x + h


def _resized(x: Tensor, how: str) -> Tensor:
    if how == "up":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    return F.avg_pool2d(x, 2) if how == "down" else x


class SelfAttention(nn.Module):
    """Attention of every place to every place of a sequence [B, L, C], added to it."""

    def __init__(self, width: int, heads: int, groups: int):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.out = Norm(groups, width), nn.Conv1d(width, 3 * width, 1), _zero(nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:  # [B, L, C] -> the same
        normed = _tokens(self.norm(x[:, None].permute(0, 3, 1, 2)))
        qkv = F.linear(normed, self.qkv.weight.squeeze(-1), self.qkv.bias).unflatten(-1, (self.heads, 3, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(-2))  # of a head together: [B, H, L, C / H]
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + F.linear(mixed, self.out.weight.squeeze(-1), self.out.bias)


def _tokens(x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, H W, C]
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _plane(x: Tensor, shape: Sequence[int]) -> Tensor:  # [B, H W, C] -> [B, C, H, W], channels last
    return x.unflatten(1, shape).permute(0, 3, 1, 2)


def _zero(layer: Layer) -> Layer:
    """A layer that begins by adding nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Stage(nn.Module):
    """What stands between two joint attentions: blocks applied to each plane by itself.

    Args:
        blocks: ResBlock, SelfAttention (of a plane) or a convolution, in order.
        joint: attention over all planes that follows, or None.
    """

    def __init__(self, blocks: Sequence[nn.Module], joint: SelfAttention | None):
        super().__init__()
        self.blocks, self.joint = nn.ModuleList(blocks), joint

    def forward(self, planes: Planes, emb: Tensor) -> Planes:
        for block in self.blocks:
            if isinstance(block, ResBlock):
                film = block.film(emb)
                planes = planes.each(lambda x: block(x, film.repeat(len(x) // len(film), 1)))
            elif isinstance(block, SelfAttention):
                planes = planes.each(lambda x: _plane(block(_tokens(x)), x.shape[2:]))
            else:
                planes = planes.each(block)
        return planes if self.joint is None else planes.jointly(self.joint)


class Planes:
    """Three planes; those of one shape lie in one batch, so that a layer runs once for them."""

    def __init__(self, parts: list[Tensor], members: tuple[tuple[int, ...], ...]):
        self.parts, self.members = parts, members

    @classmethod
    def split(cls, x: Tensor, grid: Grid) -> Planes:  # [B, C, L]
        planes = [_plane(part, shape) for part, shape in zip(x.transpose(1, 2).contiguous().split(grid.lengths, 1), grid.shapes)]
        kinds = dict.fromkeys(grid.shapes)
        members = tuple(tuple(i for i, shape in enumerate(grid.shapes) if shape == kind) for kind in kinds)
        return cls([torch.cat([planes[i] for i in group]) for group in members], members)

    def joined(self) -> Tensor:  # -> [B, C, L]
        """The planes flat, one after another, in their order."""
        return self._tokens().transpose(1, 2)

    def _tokens(self) -> Tensor:  # -> [B, L, C]
        flat: dict[int, Tensor] = {}
        for part, group in zip(self.parts, self.members):
            flat |= dict(zip(group, _tokens(part).chunk(len(group))))
        return torch.cat([flat[i] for i in range(len(flat))], 1)

    def each(self, layer: Callable[[Tensor], Tensor]) -> Planes:
        return Planes([layer(part) for part in self.parts], self.members)

    def jointly(self, layer: nn.Module) -> Planes:
        shapes = {i: part.shape[2:] for part, group in zip(self.parts, self.members) for i in group}
        pieces = layer(self._tokens()).split([math.prod(shapes[i]) for i in range(len(shapes))], 1)
        return Planes([torch.cat([_plane(pieces[i], shapes[i]) for i in group]) for group in self.members], self.members)

    def beside(self, other: Planes) -> Planes:
        return Planes([torch.cat(pair, 1) for pair in zip(self.parts, other.parts)], self.members)


class MToVDenoiser(nn.Module):
    """Predicts the noise (or what else it was trained for) in a latent.

    Args:
        config: sizes.
        grid: shapes of the planes.
    Attributes:
        checkpointing: in training, keep only what enters each stage and compute the rest again: less memory, more time.
    Raises:
        TalkingHeadsError: planes that cannot be halved often enough.
    """

    def __init__(self, config: DenoiserConfig, grid: Grid):
        super().__init__()
        config.fits(grid)
        self.config, self.grid, self.checkpointing = config, grid, False
        width, heads, groups = config.model_channels, config.num_heads, config.groups
        emb = 4 * width
        self.time_embed = nn.Sequential(nn.Linear(width, emb), nn.SiLU(), nn.Linear(emb, emb))
        res = lambda given, made, resample="": ResBlock(given, made, emb, groups, resample)
        attention = lambda at: SelfAttention(at, heads, groups)
        self.down, widths = nn.ModuleList([Stage([nn.Conv2d(4 * config.channels, width, 3, padding=1)], None)]), [width]
        now, ds = width, 1
        for level, mult in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                blocks = [res(now, now := width * mult)] + ([attention(now)] if ds in config.attention_resolutions else [])
                self.down.append(Stage(blocks, attention(now)))
                widths.append(now)
            if level < config.levels - 1:
                self.down.append(Stage([res(now, now, "down")], attention(now)))
                widths.append(now)
                ds *= 2
        self.middle = Stage([res(now, now), attention(now), res(now, now)], attention(now))
        self.up = nn.ModuleList()
        for level, mult in reversed([*enumerate(config.channel_mult)]):
            for number in range(config.num_res_blocks + 1):
                blocks = [res(now + widths.pop(), now := width * mult)]
                blocks += [attention(now)] if ds in config.attention_resolutions else []
                if level and number == config.num_res_blocks:
                    blocks.append(res(now, now, "up"))
                    ds //= 2
                self.up.append(Stage(blocks, attention(now)))
        self.out_norm, self.out = Norm(groups, now), _zero(nn.Conv2d(now, config.channels, 3, padding=1))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: torch's stub knows no memory_format

    @property
    def device(self) -> torch.device:
        return self.out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.out.weight.dtype

    def forward(self, x: Tensor, times: Tensor, landmarks: Tensor, pose: Tensor, identity: Tensor) -> Tensor:
        """
        Args:
            x: noisy latents [B, 4, L].
            times: steps [B], 0..999.
            landmarks, pose: latents of the rasters and of the pose frames, [B, 4, L].
            identity: latents of the identity clip, [B, 4, L], or their plane xy alone: only that plane is
                read (docs/moditalker.md#identity-plane), unless the network adds to the whole of it (config.residual).
        Returns:
            [B, 4, L].
        Raises:
            TalkingHeadsError: latents of another size.
        """
        least_identity = self.grid.length if self.config.residual else self.grid.lengths[0]
        for name, value, least in (("x", x, self.grid.length), ("landmarks", landmarks, self.grid.length),
                                   ("pose", pose, self.grid.length), ("identity", identity, least_identity)):
            if value.ndim != 3 or value.shape[1] != self.config.channels or value.shape[2] not in (least, self.grid.length):
                raise TalkingHeadsError(f"The denoiser's {name} must be [B, {self.config.channels}, {least}]",
                                        f"{list(value.shape)}", "Use an autoencoder of the size the denoiser was trained with")
        first = self.grid.lengths[0]
        shown = F.pad(identity[..., :first], (0, self.grid.length - first))
        planes = Planes.split(torch.cat([x, landmarks, pose, shown.expand(len(x), -1, -1)], 1), self.grid)
        emb = F.silu(self.time_embed(step_embedding(times, self.config.model_channels).to(x.dtype)))
        kept = []
        for stage in self.down:
            planes = layered(stage, planes, emb, checkpointing=self.checkpointing)
            kept.append(planes)
        planes = layered(self.middle, planes, emb, checkpointing=self.checkpointing)
        for stage in self.up:
            planes = layered(stage, planes.beside(kept.pop()), emb, checkpointing=self.checkpointing)
        told = planes.each(lambda part: self.out(F.silu(self.out_norm(part)))).joined().contiguous()
        return told + identity if self.config.residual else told


def step_embedding(times: Tensor, width: int) -> Tensor:  # [B] -> float32 [B, width]
    """Cosines, then sines, of the step at width/2 rates (docs/moditalker.md#step-embedding)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32, device=times.device) * (-math.log(PERIOD) / half))
    angles = times[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], -1)
