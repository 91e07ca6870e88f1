"""Attention as AToM has it: positions are rotated into the inputs of the query and key projections, over the full width (A2).

Source: spec/moditalker.md 2.2; rotary position embedding: Su et al. 2021 (arXiv 2104.09864).
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotary_tables(length: int, width: int, base: float, like: Tensor) -> Tensor:  # complex [length, width / 2]
    """e^(i angle) of every position and channel pair, on the device of `like`; complex64, or complex128 beside float64."""
    real = torch.float64 if like.dtype == torch.float64 else torch.float32
    rates = base ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angle = torch.arange(length, device=like.device, dtype=torch.float32)[:, None] * rates
    return torch.polar(torch.ones_like(angle, dtype=real), angle.to(real))


def rotated(x: Tensor, tables: Tensor) -> Tensor:  # [B, L, C], complex [L, C / 2] -> [B, L, C]
    """Each pair of neighbouring channels turned by its position's angle: (a, b) -> (a cos - b sin, b cos + a sin).

    One complex product: eight times as fast as four real ones on a CPU.
    """
    pairs = torch.view_as_complex(x.to(tables.real.dtype).unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * tables).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention with one packed in-projection.

    Args:
        width: C. heads: H, C / H channels each. dropout: on the attention's probabilities, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.in_proj_weight, self.in_proj_bias = nn.Parameter(torch.empty(3 * width, width)), nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def within(self, x: Tensor, tables: Tensor) -> Tensor:
        """Self-attention: x [B, L, C] -> [B, L, C]."""
        c = self.width
        query, key = F.linear(rotated(x, tables), self.in_proj_weight[:2 * c], self.in_proj_bias[:2 * c]).chunk(2, -1)
        return self._attend(query, self._split(key), self._split(self._values(x)))

    def across(self, x: Tensor, tables: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Cross-attention: x [B, L, C] to keys and values [B, H, M, d] -> [B, L, C]."""
        c = self.width
        return self._attend(F.linear(rotated(x, tables), self.in_proj_weight[:c], self.in_proj_bias[:c]), keys, values)

    def keys_values(self, memory: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B, M, C] -> keys, values [B, H, M, d]."""
        c = self.width
        key = F.linear(rotated(memory, tables), self.in_proj_weight[c:2 * c], self.in_proj_bias[c:2 * c])
        return self._split(key), self._split(self._values(memory))

    def _values(self, x: Tensor) -> Tensor:
        return F.linear(x, self.in_proj_weight[2 * self.width:], self.in_proj_bias[2 * self.width:])

    def _split(self, x: Tensor) -> Tensor:  # [B, L, C] -> [B, H, L, d]
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(self._split(query), keys, values, dropout_p=dropout)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and a GELU feed-forward net, each with a residual."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, tables: Tensor) -> Tensor:  # [B, L, C] -> [B, L, C]
        x = x + self.dropout(self.self_attn.within(self.norm1(x), tables))
        return x + self.dropout(self.linear2(self.dropout(F.gelu(self.linear1(self.norm2(x))))))
