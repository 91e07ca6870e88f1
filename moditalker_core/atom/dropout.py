"""Dropout that draws a byte a number: on a CPU, torch's own costs more than the matrix product before it."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class ByteDropout(nn.Module):
    """As nn.Dropout, its share rounded to 1/256; what is left is scaled by the rounded share, so the mean stays.

    Args:
        p: share that is dropped, 0..1 (1 excluded).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p, self.lowest = p, round(256 * p)  # bytes below `lowest` drop

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.lowest:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-2 ** 63, None)
        keep = words.view(torch.uint8)[:x.numel()].view(x.shape) >= self.lowest
        return x * keep.to(x.dtype).mul_(256 / (256 - self.lowest))


def use_byte_dropout(network: nn.Module) -> None:
    """Replaces every nn.Dropout of a network on the CPU."""
    for part in network.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.Dropout):
                setattr(part, name, ByteDropout(child.p))
