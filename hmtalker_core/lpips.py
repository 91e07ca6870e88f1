"""LPIPS with an AlexNet, from weights the user owns; without them the pack trains without this term (spec 1.5, 2.6).

The distance of Zhang et al. 2018 (arXiv 1801.03924, section 3): unit-normalised features of five layers, squared differences
weighed by channel, averaged over the picture, summed over layers. One safetensors file holds both parts under their public
names: `features.{0,3,6,8,10}.{weight,bias}` (torchvision's AlexNet) and `lin{0..4}.model.1.weight` (the lpips package).
"""
from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..media_core.errors import FileFormatError
from .losses import patchify

LAYERS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))  # (number in `features`, stride, padding)
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in -1..1, LPIPS' own scaling layer
SMALLEST = 64  # px: smaller pictures are enlarged (the published code crashes below 32, spec 2.10)


class LPIPS(nn.Module):
    """Perceptual distance of pictures [B, 3, H, W] in 0..1: a scalar, 0 for equal ones. Frozen.

    Args:
        state: tensors under the names above.
    """

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        self.weights = nn.ParameterList([state[f"features.{n}.weight"] for n, _, _ in LAYERS])
        self.biases = nn.ParameterList([state[f"features.{n}.bias"] for n, _, _ in LAYERS])
        self.channels = nn.ParameterList([state[f"lin{i}.model.1.weight"] for i in range(len(LAYERS))])
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # [B, 3, H, W] x 2 -> []
        total = a.new_zeros(())
        for weight, one, two in zip(self.channels, self.features(a), self.features(b)):
            total = total + F.conv2d((one - two).square(), weight).mean()
        return total

    def features(self, x: Tensor) -> list[Tensor]:
        """Unit-normalised activations of the five layers."""
        if min(x.shape[-2:]) < SMALLEST:
            x = F.interpolate(x, scale_factor=SMALLEST / min(x.shape[-2:]), mode="bilinear", align_corners=False)
        x, out = (2 * x - 1 - self.mean) / self.std, []
        for index, ((_, stride, padding), weight, bias) in enumerate(zip(LAYERS, self.weights, self.biases)):
            if index in (1, 2):
                x = F.max_pool2d(x, 3, stride=2)
            x = torch.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))
            out.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return out


def load_lpips(path: str | os.PathLike) -> LPIPS:
    """Reads the user's weights.

    Raises:
        FileFormatError: no such file, not safetensors, or tensors are missing.
    """
    try:
        return LPIPS(load_file(path))
    except (OSError, SafetensorError, KeyError) as error:
        raise FileFormatError("LPIPS weights must be a safetensors file with features.* and lin*.model.1.weight",
                              f"{Path(path).name} ({error})",
                              "Save both state dicts into one file, or train without LPIPS") from error


def patch_distance(net: LPIPS, image: Tensor, target: Tensor, low: int, high: int, generator: torch.Generator) -> Tensor:
    """LPIPS over the patches of two pictures [h, w, 3]: of an even size from low..high (spec 2.6), the picture's edge at most."""
    size = low + 2 * int(torch.randint((high - low) // 2 + 1, (1,), generator=generator))
    size = min(size, *image.shape[:2])
    return net(*(patchify(x.movedim(-1, 0), size) for x in (image, target)))
