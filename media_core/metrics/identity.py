"""Whether two faces are the same person: the cosine of ArcFace embeddings (Deng et al. 2019, arXiv 1801.07698).

Layout of arcface_torch's `backbone.pth` (github.com/deepinsight/insightface, recognition/arcface_torch: IResNet of any depth,
which is read off the file). Faces are laid onto its template of five points, 112 x 112 px, RGB in -1..1.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

SIDE = 112  # px
DIM = 512
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Two convolutions beside a short cut; normalisation comes first."""

    def __init__(self, narrow: int, wide: int, stride: int):
        super().__init__()
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(narrow), nn.BatchNorm2d(wide), nn.BatchNorm2d(wide)
        self.conv1 = nn.Conv2d(narrow, wide, 3, 1, 1, bias=False)
        self.prelu = nn.PReLU(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, stride, 1, bias=False)
        self.downsample = None
        if stride != 1 or narrow != wide:
            self.downsample = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class ArcFace(nn.Module):
    """Aligned faces [B, 3, 112, 112] in -1..1 to embeddings [B, 512]. In evaluation mode.

    Args:
        depths: blocks of the four layers: (3, 4, 14, 3) is IResNet-50, (3, 13, 30, 3) IResNet-100.
    """

    def __init__(self, depths: tuple[int, ...]):
        super().__init__()
        self.conv1, self.bn1, self.prelu = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        narrow = 64
        for number, (wide, depth) in enumerate(zip(WIDTHS, depths, strict=True), start=1):
            blocks = [Block(narrow if i == 0 else wide, wide, 2 if i == 0 else 1) for i in range(depth)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            narrow = wide
        self.bn2, self.fc, self.features = nn.BatchNorm2d(512), nn.Linear(512 * 7 * 7, DIM), nn.BatchNorm1d(DIM)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def depths_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How many blocks each layer of a state dict has, at least one."""
    found = [re.match(r"layer([1-4])\.(\d+)\.", name) for name in state]
    numbers = [(int(match[1]), int(match[2]) + 1) for match in found if match]
    return tuple(max((count for layer, count in numbers if layer == wanted), default=1) for wanted in range(1, 5))


def five_points(points: np.ndarray) -> np.ndarray:  # [68, 2] -> float64 [5, 2]
    """Eyes (left of the image first), tip of the nose, corners of the mouth."""
    points = np.asarray(points, np.float64)[:, :2]
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:  # [N, 2] x 2 -> float64 [2, 3]
    """The turn, scale and shift that bring `source` nearest to `target` (Umeyama 1991, least squares, without mirroring)."""
    a, b = source - source.mean(0), target - target.mean(0)
    spread = (a * a).sum()
    cosine, sine = (a * b).sum() / spread, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.concatenate([turn, (target.mean(0) - turn @ source.mean(0))[:, None]], axis=1)


def aligned(frame: np.ndarray, points: np.ndarray) -> Tensor:  # uint8 [H, W, 3], [68, 2] px -> float32 [3, 112, 112] in -1..1
    """The face of a frame as the network reads it."""
    import cv2

    face = cv2.warpAffine(frame, similarity(five_points(points), TEMPLATE), (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return torch.from_numpy(face).permute(2, 0, 1).float() / 127.5 - 1


@torch.inference_mode()
def identity_similarity(net: ArcFace, a: Tensor, b: Tensor) -> Tensor:  # [B, 3, 112, 112] x 2 -> [B] in -1..1
    """Cosine of the embeddings of each pair of aligned faces."""
    return torch.cosine_similarity(net(a), net(b), dim=1)
