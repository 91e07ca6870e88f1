"""The I3D network of FVD: 400 Kinetics logits of a clip (Carreira and Zisserman 2017, arXiv 1705.07750).

Layout of `i3d_pretrained_400.pt`, which published FVD code reads (PyTorch names of github.com/piergiaj/pytorch-i3d). Padding is
TensorFlow's "same": what is missing, the larger half behind.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 224  # px
FRAMES = 16  # of a clip
CLASSES = 400
Shape = tuple[int, int, int]  # frames, rows, columns

MIXED = {  # name -> channels in; 1x1, 3x3 reduced, 3x3, second 3x3 reduced, second 3x3, pooled
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)), "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)), "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)), "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)), "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128))}
POOLED = {"Mixed_3b": ((1, 3, 3), (1, 2, 2)), "Mixed_4b": ((3, 3, 3), (2, 2, 2)), "Mixed_5b": ((2, 2, 2), (2, 2, 2))}  # before it


def same(x: Tensor, kernel: Shape, stride: Shape) -> Tensor:
    """Zeros around x [B, C, T, H, W] so that every stride has its window."""
    padding: list[int] = []
    for size, window, step in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride)):
        missing = max(window - (size % step or step), 0)
        padding += [missing // 2, missing - missing // 2]
    return F.pad(x, padding)


def max_pool(x: Tensor, kernel: Shape, stride: Shape) -> Tensor:
    """The largest of each window; zeros outside, as after a ReLU."""
    return F.max_pool3d(same(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int = 1):
        super().__init__()
        self.kernel, self.stride = (kernel, kernel, kernel), (stride, stride, stride)
        self.conv3d = nn.Conv3d(narrow, wide, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(wide, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv3d(same(x, self.kernel, self.stride))))


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, narrow: int, wide: tuple[int, int, int, int, int, int]):
        super().__init__()
        self.b0 = Unit(narrow, wide[0], 1)
        self.b1a, self.b1b = Unit(narrow, wide[1], 1), Unit(wide[1], wide[2], 3)
        self.b2a, self.b2b = Unit(narrow, wide[3], 1), Unit(wide[3], wide[4], 3)
        self.b3b = Unit(narrow, wide[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class Logits(nn.Module):
    """The last layer, with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, CLASSES, 1)


class I3D(nn.Module):
    """Clips [B, 3, T, 224, 224] in -1..1, T >= 9, to logits [B, 400], the mean over time. In evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7, self.Conv3d_2b_1x1, self.Conv3d_2c_3x3 = Unit(3, 64, 7, 2), Unit(64, 64, 1), Unit(64, 192, 3)
        for name, (narrow, wide) in MIXED.items():
            self.add_module(name, Mixed(narrow, wide))
        self.logits = Logits()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = max_pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in MIXED:
            x = max_pool(x, *POOLED[name]) if name in POOLED else x
            x = self.get_submodule(name)(x)
        return self.logits.conv3d(F.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


def prepared(clip: Tensor) -> Tensor:  # uint8 [T, H, W, 3] -> float32 [3, T, 224, 224] in -1..1
    """A clip as FVD reads it: the shorter side to 224 px, the middle square of it."""
    x = clip.permute(0, 3, 1, 2).float() / 255
    scale = SIDE / min(x.shape[-2:])
    size = [max(SIDE, round(side * scale)) for side in x.shape[-2:]]
    x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    top, left = ((side - SIDE) // 2 for side in size)
    return 2 * x[..., top:top + SIDE, left:left + SIDE].transpose(0, 1) - 1
