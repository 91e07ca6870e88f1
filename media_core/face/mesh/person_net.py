"""The person mask's network (selfie segmentation): MobileNetV3's blocks down, gated joins up."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import SameConv


class Gate(nn.Module):
    """Squeeze and excitation: one factor 0..1 per channel."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, 1, 1]
        return self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))).sigmoid()


class Bottleneck(nn.Module):
    """Widen, depthwise, gate (`gate` hidden numbers; 0: none), narrow; added to the input where the shape stays.

    Args:
        hard: hard swish instead of ReLU.
    """

    def __init__(self, inner: int, wide: int, outer: int, kernel: int = 3, stride: int = 1, *, hard: bool = False, gate: int = 0):
        super().__init__()
        self.hard, self.residual = hard, stride == 1 and inner == outer
        self.expand, self.depthwise = nn.Conv2d(inner, wide, 1), SameConv(wide, wide, kernel, stride, groups=wide)
        self.gate = Gate(wide, gate) if gate else None
        self.project = nn.Conv2d(wide, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        act = F.hardswish if self.hard else F.relu
        y = act(self.depthwise(act(self.expand(x))))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.project(y)
        return x + y if self.residual else y


class Up(nn.Module):
    """Twice the size, joined with the encoder's map of that size, gated by both."""

    def __init__(self, inner: int, channels: int):
        super().__init__()
        self.lower, self.gate = nn.Conv2d(inner, channels, 1), Gate(channels, channels)
        self.mix, self.depthwise = nn.Conv2d(channels, channels, 1), SameConv(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        low = self.lower(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        y = F.relu(self.mix(skip * self.gate(skip + low) + low))
        return y + F.relu(self.depthwise(y))


class PersonNet(nn.Module):
    """[B, 3, H, W] RGB 0..1 -> [B, 1, H, W] 0..1. H and W are multiples of 16: 256 x 256 for the general weights, 144 x 256 for
    the wide ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 16, 3, 2)
        self.fine = Bottleneck(16, 16, 16, 3, 2, gate=8)
        self.coarse = nn.Sequential(Bottleneck(16, 72, 24, 3, 2), Bottleneck(24, 88, 24))
        self.deep = nn.Sequential(
            Bottleneck(24, 96, 32, 5, 2, hard=True, gate=24), Bottleneck(32, 128, 32, 5, hard=True, gate=32),
            Bottleneck(32, 128, 32, 5, hard=True, gate=32), Bottleneck(32, 96, 32, 5, hard=True, gate=24),
            Bottleneck(32, 96, 32, 5, hard=True, gate=24))
        self.widen, self.weigh = nn.Conv2d(32, 128, 1), nn.Conv2d(32, 128, 1)
        self.ups = nn.ModuleList([Up(128, 24), Up(24, 16), Up(16, 16)])
        self.out = nn.ConvTranspose2d(16, 1, 2, 2)

    def forward(self, image: Tensor) -> Tensor:
        a = F.hardswish(self.stem(image))
        b = self.fine(a)
        c = self.coarse(b)
        d = self.deep(c)
        x = F.relu(self.widen(d)) * self.weigh(d.mean((2, 3), keepdim=True)).sigmoid()
        for up, skip in zip(self.ups, (c, b, a)):
            x = up(x, skip)
        return self.out(x).sigmoid()
