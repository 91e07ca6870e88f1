"""Attention as AToM has it: positions are rotated into the inputs of the query and key projections, over the full width.

Source: docs/moditalker.md#rotary-positions; rotary position embedding: Su et al. 2021 (arXiv 2104.09864).
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...media_core.chance import Chance, Dropout, dropped


def rotary_tables(length: int, width: int, base: float, like: Tensor) -> Tensor:  # complex [length, width / 2]
    """e^(i angle) of every position and channel pair, on the device of `like`; complex64, or complex128 beside float64."""
    real = torch.float64 if like.dtype == torch.float64 else torch.float32
    rates = base ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angle = torch.arange(length, device=like.device, dtype=torch.float32)[:, None] * rates
    return torch.polar(torch.ones_like(angle, dtype=real), angle.to(real))


def rotated(x: Tensor, tables: Tensor) -> Tensor:  # [B, L, ..., C], complex [L, C / 2] -> [B, L, ..., C]
    """Each pair of neighbouring channels turned by its position's angle: (a, b) -> (a cos - b sin, b cos + a sin).

    One complex product: eight times as fast as four real ones on a CPU.
    """
    pairs = torch.view_as_complex(x.to(tables.real.dtype).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * tables.view(len(tables), *[1] * (x.ndim - 3), -1)).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention with one packed in-projection.

    Args:
        width: C. heads: H, C / H channels each. dropout: on the attention's probabilities, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.chance: Chance | None = None  # of the dropout
        self.in_proj_weight, self.in_proj_bias = nn.Parameter(torch.empty(3 * width, width)), nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def within(self, x: Tensor, tables: Tensor) -> Tensor:
        """Self-attention: x [B, L, C], or [B, L, n, C] for n sequences side by side -> the same."""
        turned = rotated(x, tables)
        return self._attend(self._query(turned), self._key(turned), self._value(x), x)

    def across(self, x: Tensor, tables: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Cross-attention: x [B, L, C] to keys and values [B, H, M, d] -> [B, L, C]."""
        return self._attend(self._query(rotated(x, tables)), keys, values, x)

    def keys_values(self, memory: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B, M, C] -> keys, values [B, H, M, d]."""
        return self._key(rotated(memory, tables)), self._value(memory)

    def _query(self, turned: Tensor) -> Tensor:
        return self._split(F.linear(turned, self.in_proj_weight[:self.width], self.in_proj_bias[:self.width]))

    def _key(self, turned: Tensor) -> Tensor:
        """Without the bias: it adds the same to all of a query's scores, and the softmax takes it away again."""
        return self._split(F.linear(turned, self.in_proj_weight[self.width:2 * self.width]))

    def _value(self, x: Tensor) -> Tensor:
        return self._split(F.linear(x, self.in_proj_weight[2 * self.width:], self.in_proj_bias[2 * self.width:]))

    def _split(self, x: Tensor) -> Tensor:  # [B, L, (n,) C] -> [B, (n) H, L, d]
        return x.flatten(2).unflatten(-1, (-1, self.width // self.heads)).transpose(1, 2)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, like: Tensor) -> Tensor:
        if self.training and self.dropout > 0:  # in two products: torch's own drops from the generator that all threads share
            shares = ((query * query.shape[-1] ** -0.5) @ keys.transpose(-1, -2)).softmax(-1)
            out = dropped(shares, self.dropout, self.chance).to(values.dtype) @ values
        else:
            out = F.scaled_dot_product_attention(query, keys, values)
        return self.out_proj(out.transpose(1, 2).reshape(like.shape))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and a GELU feed-forward net, each with a residual."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, tables: Tensor) -> Tensor:  # [B, L, C] -> [B, L, C]
        x = x + self.dropout(self.self_attn.within(self.norm1(x), tables))
        return x + self.dropout(self.linear2(self.dropout(F.gelu(self.linear1(self.norm2(x))))))
