"""The Inception-v3 of FID: 2048 numbers per image, under torchvision's names.

Layout of pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` (github.com/mseitzer/pytorch-fid), which was carried over from
TensorFlow. It differs from torchvision's network in three ways: average pooling does not count the border, the last block pools
the maximum, and there are 1008 classes, which are not read here.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 299  # px
DIM = 2048

Kernel = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, narrow: int, wide: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0):
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(wide, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def row(narrow: int, wide: int, size: int) -> Conv:
    """A convolution along x that keeps the size."""
    return Conv(narrow, wide, (1, size), padding=(0, size // 2))


def column(narrow: int, wide: int, size: int) -> Conv:
    """A convolution along y that keeps the size."""
    return Conv(narrow, wide, (size, 1), padding=(size // 2, 0))


def mean_pool(x: Tensor) -> Tensor:
    """The mean of 3 x 3 px of the image itself."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class MixedA(nn.Module):
    """35 x 35 px."""

    def __init__(self, wide: int, pool: int):
        super().__init__()
        self.branch1x1 = Conv(wide, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Conv(wide, 48, 1), Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(wide, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(wide, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(mean_pool(x))], 1)


class MixedB(nn.Module):
    """35 to 17 px."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = Conv(288, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(288, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class MixedC(nn.Module):
    """17 x 17 px."""

    def __init__(self, inner: int):
        super().__init__()
        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = Conv(768, inner, 1), row(inner, inner, 7), column(inner, 192, 7)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Conv(768, inner, 1), column(inner, inner, 7)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = row(inner, inner, 7), column(inner, inner, 7)
        self.branch7x7dbl_5 = row(inner, 192, 7)
        self.branch_pool = Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(mean_pool(x))], 1)


class MixedD(nn.Module):
    """17 to 8 px."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(768, 192, 1), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(768, 192, 1), row(192, 192, 7)
        self.branch7x7x3_3, self.branch7x7x3_4 = column(192, 192, 7), Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class MixedE(nn.Module):
    """8 x 8 px; the last one pools the maximum."""

    def __init__(self, wide: int, *, maximum: bool):
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Conv(wide, 320, 1)
        self.branch3x3_1, self.branch3x3_2a, self.branch3x3_2b = Conv(wide, 384, 1), row(384, 384, 3), column(384, 384, 3)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(wide, 448, 1), Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = row(384, 384, 3), column(384, 384, 3)
        self.branch_pool = Conv(wide, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else mean_pool(x)
        return torch.cat([self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single), self.branch3x3dbl_3a(double),
                          self.branch3x3dbl_3b(double), self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    """Images [B, 3, H, W] in 0..1 to features [B, 2048]; resized to 299 x 299 px. In evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Conv(3, 32, 3, 2), Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Conv(64, 80, 1), Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = MixedA(192, 32), MixedA(256, 64), MixedA(288, 64)
        self.Mixed_6a = MixedB()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = MixedC(128), MixedC(160), MixedC(160), MixedC(192)
        self.Mixed_7a = MixedD()
        self.Mixed_7b, self.Mixed_7c = MixedE(1280, maximum=False), MixedE(2048, maximum=True)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d,
                      self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            x = block(x)
        return x.mean(dim=(2, 3))
