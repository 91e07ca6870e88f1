"""The building blocks of the mesh networks: convolutions padded as TFLite pads them, and blocks made of these."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def same_pad(x: Tensor, kernel: int, stride: int) -> Tensor:  # [B, C, H, W] -> [B, C, H', W']
    """TFLite's SAME padding: where the total is odd, the odd pixel goes right and below. (torch's `padding=1` would shift every
    strided layer by one pixel.)"""
    pads: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class SameConv(nn.Conv2d):
    """A square convolution with SAME padding; depthwise when `groups` equals the channels."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inner, outer, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        stride = self.stride[0]
        return super().forward(input if stride == 1 else same_pad(input, self.kernel_size[0], stride))


class Block(nn.Module):
    """act(shortcut(x) + pointwise(depthwise(x))): the shortcut is max-pooled at stride 2, and zeros stand behind its channels
    where there are to be more.

    Args:
        prelu: PReLU with a slope per channel (the mesh); ReLU otherwise (the detector).
    """

    def __init__(self, inner: int, outer: int, stride: int = 1, *, prelu: bool = True):
        super().__init__()
        self.stride, self.more = stride, outer - inner
        self.depthwise = SameConv(inner, inner, 3, stride, groups=inner)
        self.pointwise = nn.Conv2d(inner, outer, 1)
        self.act = nn.PReLU(outer) if prelu else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:  # [B, inner, H, W] -> [B, outer, H / stride, W / stride]
        y = self.pointwise(self.depthwise(x))
        if self.stride == 2:
            x = F.max_pool2d(x, 2)
        if self.more:
            x = F.pad(x, (0, 0, 0, 0, 0, self.more))
        return self.act(x + y)


class Squeeze(nn.Sequential):
    """To 32 channels, and one block: the end of every branch."""

    def __init__(self, inner: int):
        super().__init__(nn.Conv2d(inner, 32, 1), nn.PReLU(32), Block(32, 32))

    @property
    def layers(self) -> tuple[nn.Conv2d, nn.PReLU, Block]:
        narrow, act, block = self
        assert isinstance(narrow, nn.Conv2d) and isinstance(act, nn.PReLU) and isinstance(block, Block)
        return narrow, act, block


def stage(channels: int, strided_from: int | None = None) -> list[Block]:
    """The blocks of one resolution: two that keep it, after a strided one where the number of incoming channels is given."""
    first = [] if strided_from is None else [Block(strided_from, channels, 2)]
    return [*first, Block(channels, channels), Block(channels, channels)]
