"""LPIPS, a perceptual distance, from weights the user owns; without them the pack trains without this term.

The distance of Zhang et al. 2018 (arXiv 1801.03924, section 3): unit-normalised features of five layers, squared differences
weighed by channel, averaged over the image, summed over layers. One safetensors file holds both parts under their public
names: `features.{...}.{weight,bias}` (torchvision's AlexNet or VGG16) and `lin{0..4}.model.1.weight` (the lpips package).
Which of the two networks a file holds is read off its names.
"""
from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import FileFormatError

# the five stages of both networks: (number in `features`, stride, padding) of each convolution
ALEX = (((0, 4, 2),), ((3, 1, 2),), ((6, 1, 1),), ((8, 1, 1),), ((10, 1, 1),))
VGG = (((0, 1, 1), (2, 1, 1)), ((5, 1, 1), (7, 1, 1)), ((10, 1, 1), (12, 1, 1), (14, 1, 1)),
       ((17, 1, 1), (19, 1, 1), (21, 1, 1)), ((24, 1, 1), (26, 1, 1), (28, 1, 1)))
POOL = {"alex": (3, (1, 2)), "vgg": (2, (1, 2, 3, 4))}  # side of the pooling (stride 2), and the stages it stands before
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in -1..1, LPIPS' own scaling layer
SMALLEST = 64  # px: smaller images are enlarged (the published code of HM-Talker crashes below 32)


class LPIPS(nn.Module):
    """Perceptual distance of images [B, 3, H, W] in 0..1: a scalar, 0 for equal ones. Frozen.

    Args:
        state: tensors under the names above.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        kind = "vgg" if "features.28.weight" in state else "alex"
        self.stages = VGG if kind == "vgg" else ALEX
        self.pool, self.pooled = POOL[kind]
        numbers = [number for stage in self.stages for number, _, _ in stage]
        self.weights = nn.ParameterList([state[f"features.{n}.weight"] for n in numbers])
        self.biases = nn.ParameterList([state[f"features.{n}.bias"] for n in numbers])
        self.channels = nn.ParameterList([state[f"lin{i}.model.1.weight"] for i in range(len(self.stages))])
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # [B, 3, H, W] x 2 -> []
        total = a.new_zeros(())
        for weight, one, two in zip(self.channels, self.features(a), self.features(b)):
            total = total + F.conv2d((one - two).square(), weight).mean()
        return total

    def features(self, x: Tensor) -> list[Tensor]:
        """Unit-normalised activations of the five stages."""
        if min(x.shape[-2:]) < SMALLEST:
            x = F.interpolate(x, scale_factor=SMALLEST / min(x.shape[-2:]), mode="bilinear", align_corners=False)
        x, out, layer = (2 * x - 1 - self.mean) / self.std, [], 0
        for index, stage in enumerate(self.stages):
            if index in self.pooled:
                x = F.max_pool2d(x, self.pool, stride=2)
            for _, stride, padding in stage:
                x = torch.relu(F.conv2d(x, self.weights[layer], self.biases[layer], stride=stride, padding=padding))
                layer += 1
            out.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return out


def load_lpips(path: str | os.PathLike) -> LPIPS:
    """Reads the user's weights.

    Raises:
        FileFormatError: no such file, not safetensors, or tensors are missing or misshapen.
    """
    try:
        net = LPIPS({name: value.to(torch.float32, copy=True) for name, value in load_file(path).items()})
        empty = torch.zeros(1, 3, SMALLEST, SMALLEST)
        with torch.no_grad():
            net(empty, empty)  # torch tells of shapes that do not fit each other
        return net
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise FileFormatError("LPIPS weights must be a safetensors file with features.* and lin*.model.1.weight",
                              f"{Path(path).name} ({error})",
                              "Save both state dicts into one file, or train without LPIPS") from error
