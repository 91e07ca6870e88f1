"""Attention of MToV's autoencoder: over time, over the image, and of the transformers that pool a plane."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...training_core.checkpointing import layered
from ...training_core.memory import keep_freed_memory

_AT_ONCE = 2048  # tokens that pass a layer at a time on a CPU when nothing is learned: what is made of them stays in the cache


def in_parts(x: Tensor) -> bool:
    """Whether layers are to work through `x` a few tokens at a time: nothing is learned, and a CPU computes."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return False
    keep_freed_memory()
    return True


def parts(x: Tensor) -> tuple[Tensor, ...]:
    """Views of sequences [N, L, C], so many at a time."""
    return x.split(max(1, _AT_ONCE // x.shape[1]))


def frame_angles(frames: int, dim: int) -> Tensor:  # -> float32 [frames, dim]
    """Angles of the rotation over time. The frequencies stand in two halves, but the rotation takes neighbours: as published
    (docs/moditalker.md#rotary-frequencies)."""
    turn = torch.arange(frames, dtype=torch.float32)[:, None] * 10000.0 ** (-torch.arange(0, dim, 2).float() / dim)
    return torch.cat([turn, turn], -1)


def picture_angles(height: int, width: int, dim: int) -> Tensor:  # -> float32 [height * width, dim / 2]
    """Angles of the rotation over the image: dim/4 scales from 1 to 5 for rows, then for columns; one for two neighbours."""
    scales = torch.logspace(0, math.log2(5), dim // 4, base=2)
    rows, columns = (torch.linspace(-1, 1, size)[:, None] * scales * math.pi for size in (height, width))
    both = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1)
    return both.reshape(height * width, -1)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # [..., L, N, H, D], [L, D or D / 2] -> the same as x
    """Turns neighbours (a, b) to (a cos - b sin, b cos + a sin); in place where nothing is learned on a CPU.

    There neighbours are taken for complex numbers: a product with cos + i sin where both have one angle, with i otherwise.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        cos, sin = (part.repeat_interleave(x.shape[-1] // part.shape[-1], -1)[:, None, None].to(x.dtype) for part in (cos, sin))
        signed = torch.stack((-sin[..., ::2], sin[..., 1::2]), -1).flatten(-2)
        return torch.addcmul(x * cos, torch.stack((x[..., 1::2], x[..., ::2]), -1).flatten(-2), signed)
    cos, sin = cos[:, None, None].float(), sin[:, None, None].float()
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    if cos.shape[-1] < x.shape[-1]:
        return torch.view_as_real(pairs.mul_(torch.complex(cos, sin))).flatten(-2)
    crossed = torch.view_as_real(pairs * 1j).flatten(-2)  # (-b, a)
    return x.mul_(cos).addcmul_(crossed, sin)


def turning(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine for `rotated`."""
    return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Pre-norm attention within the last but one axis; returns what is to be added.

    Args:
        channels: C. heads, dim_head: of queries, keys and values.
    """

    def __init__(self, channels: int, heads: int, dim_head: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * heads * dim_head, bias=False)
        self.out = nn.Linear(heads * dim_head, channels)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor] | None = None, queries: int | None = None) -> Tensor:
        """
        Args:
            x: [..., L, C].
            turn: cosine and sine of the rotation of queries and keys, [L, D], or [L, D / 2] where neighbours have one angle.
            queries: how many of the first tokens ask, unturned; None: all.
        Returns:
            [..., L or queries, C].
        """
        x = self.norm(x)
        if queries is None:
            both, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).split((2, 1), -3)
            q, k, v = *(both if turn is None else rotated(both, *turn)).unbind(-3), v.squeeze(-3)  # [..., L, H, D]
        else:
            ask, answer = self.qkv.weight.tensor_split((len(self.qkv.weight) // 3,))
            q = F.linear(x[..., :queries, :], ask).unflatten(-1, (self.heads, -1))
            k, v = F.linear(x, answer).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        lead = q.shape[:-3]
        q, k, v = (part.flatten(0, -4).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(mixed.unflatten(0, lead))


class FeedForward(nn.Module):
    """Pre-norm feed-forward net; gated: value times GELU(gate). Returns what is to be added."""

    def __init__(self, channels: int, hidden: int, gated: bool):
        super().__init__()
        self.gated = gated
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, 2 * hidden if gated else hidden)
        self.down = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:  # [..., C] -> the same
        hidden = self.up(self.norm(x))
        if not self.gated:
            return self.down(F.gelu(hidden))
        value, gate = hidden.chunk(2, -1)
        gate = F.gelu(gate)
        return self.down(value * gate if torch.is_grad_enabled() else gate.mul_(value))


class PoolingLayer(nn.ModuleList):
    """Attention and a feed-forward net, each with a residual."""

    def forward(self, x: Tensor, answer: bool) -> Tensor:  # [N, L, C] -> the same, or [N, 1, C]: the first token's answer alone
        attention, feed_forward = self
        x = (x[:, :1] if answer else x) + attention(x, queries=1 if answer else None)
        return x + feed_forward(x)


class PoolingTransformer(nn.Module):
    """Reads one vector off a sequence: a learned token is put behind it, and the answer stands in the place of its first.

    Attributes:
        checkpointing: as `Trunk`'s.
    """

    def __init__(self, length: int, channels: int, depth: int, heads: int, dim_head: int, hidden: int):
        super().__init__()
        self.checkpointing = False
        self.token = nn.Parameter(torch.randn(1, 1, channels))
        self.positions = nn.Parameter(torch.randn(1, length + 1, channels))
        self.layers = nn.ModuleList(PoolingLayer([Attention(channels, heads, dim_head),
                                                  FeedForward(channels, hidden, gated=False)]) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:  # [N, L, C] -> [N, C]
        return torch.cat([self._answers(part) for part in parts(x)]) if in_parts(x) else self._answers(x)

    def _answers(self, x: Tensor) -> Tensor:  # [N, L, C] -> [N, C]
        x = torch.cat([x, self.token.to(x.dtype).expand(len(x), -1, -1)], 1) + self.positions.to(x.dtype)
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1  # of which only the answer is computed
            x = layered(layer, x, last, checkpointing=self.checkpointing)
        return x[:, 0]
