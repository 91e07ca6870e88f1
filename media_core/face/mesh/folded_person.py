"""The person mask's network folded for speed, as `folded` does it for the mesh: the same numbers to float rounding in a third of
the time.

Images lie in memory as [B, H, W, C], layers work in place, and the maps are looked at one image at a time: they stay in the
processor's cache. On the way up a 1 x 1 convolution comes before the enlarging instead of behind it, which is the same.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import SameConv
from .folded import Held, as_matrix, convolved, some, unpadded
from .person_net import Bottleneck, Gate, PersonNet, Up


class _Flat(Held):
    """A 1 x 1 convolution of [..., inner] as a matrix product."""

    matrix: Tensor  # [inner, outer]
    bias: Tensor    # [outer]

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.hold(matrix=as_matrix(conv), bias=some(conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.matrix.t(), self.bias)


class _Deep(Held):
    """A depthwise or the first convolution of [B, H, W, C]."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, conv: SameConv):
        super().__init__()
        self.stride, self.groups, self.pad = conv.stride[0], conv.groups, conv.kernel_size[0] // 2
        self.hold(kernel=unpadded(conv.weight, self.stride), bias=some(conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        return convolved(x, self.kernel, self.bias, self.stride, self.groups, self.pad)


class _Gated(nn.Module):
    """`Gate` from means per channel: [B, C] -> factors [B, C]."""

    def __init__(self, gate: Gate):
        super().__init__()
        self.down, self.up = _Flat(gate.down), _Flat(gate.up)

    def forward(self, mean: Tensor) -> Tensor:
        return self.up(self.down(mean).relu_()).sigmoid_()


class _Bottle(nn.Module):
    """`Bottleneck`."""

    def __init__(self, block: Bottleneck):
        super().__init__()
        self.hard, self.residual = block.hard, block.residual
        self.expand, self.depthwise, self.project = _Flat(block.expand), _Deep(block.depthwise), _Flat(block.project)
        self.gate = None if block.gate is None else _Gated(block.gate)

    def forward(self, x: Tensor) -> Tensor:
        y = self._act(self.depthwise(self._act(self.expand(x))))
        if self.gate is not None:
            y *= self.gate(y.mean((1, 2)))[:, None, None]
        y = self.project(y)
        return y.add_(x) if self.residual else y

    def _act(self, x: Tensor) -> Tensor:
        return F.hardswish(x, inplace=True) if self.hard else x.relu_()


class _Upward(Held):
    """`Up`: enlarging keeps every channel's mean, and what is linear in the channels may come before it."""

    matrix: Tensor   # [C, C] of `mix`
    through: Tensor  # [inner, C] of `lower` and `mix` in one
    bias: Tensor     # [C] of both

    def __init__(self, up: Up):
        super().__init__()
        self.lower, self.gate, self.depthwise = _Flat(up.lower), _Gated(up.gate), _Deep(up.depthwise)
        matrix = as_matrix(up.mix)
        self.hold(matrix=matrix, through=self.lower.matrix @ matrix, bias=self.lower.bias @ matrix + some(up.mix.bias))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        factor = self.gate(skip.mean((1, 2)) + self.lower(x.mean((1, 2))))
        low = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.through).view(*x.shape[:3], -1)
        y = F.interpolate(low.permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
        y.view(len(y), -1, y.shape[-1]).baddbmm_(skip.flatten(1, 2), factor[..., None] * self.matrix)
        return self.depthwise(y.relu_()).relu_().add_(y)


class FoldedPerson(Held):
    """`PersonNet`: images float32 [B, 3, H, W] RGB 0..1 -> [B, 1, H, W] 0..1."""

    matrix: Tensor  # [16, 4] of the last layer, a column for each of 2 x 2 pixels
    bias: Tensor    # [1]

    def __init__(self, net: PersonNet):
        super().__init__()
        self.stem, self.fine = _Deep(net.stem), _Bottle(net.fine)
        self.coarse, self.deep = (nn.Sequential(*(_Bottle(block) for block in blocks if isinstance(block, Bottleneck)))
                                  for blocks in (net.coarse, net.deep))
        self.widen, self.weigh = _Flat(net.widen), _Flat(net.weigh)
        self.ups = nn.ModuleList(_Upward(up) for up in net.ups if isinstance(up, Up))
        self.hold(matrix=net.out.weight[:, 0].flatten(1), bias=some(net.out.bias))

    def forward(self, images: Tensor) -> Tensor:
        single = images.device.type == "cpu"
        return torch.cat([self._mask(part) for part in images.split(1 if single else max(len(images), 1))])

    def _mask(self, images: Tensor) -> Tensor:
        a = F.hardswish(self.stem(images.permute(0, 2, 3, 1)), inplace=True)
        b = self.fine(a)
        c = self.coarse(b)
        d = self.deep(c)
        x = self.widen(d).relu_().mul_(self.weigh(d.mean((1, 2))).sigmoid_()[:, None, None])
        for up, skip in zip(self.ups, (c, b, a)):
            x = up(x, skip)
        count, height, width, _ = x.shape
        four = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.matrix).view(count, height, width, 2, 2)
        return four.transpose(2, 3).reshape(count, 1, 2 * height, 2 * width).sigmoid_()
