"""The pack's own landmark networks: face (68 points and whether there is a face), mouth (20 points) and eye (6 points).

A face crop of 96 px gives all points; from these a mouth crop of 64 px and two eye crops of 48 px are cut at a finer scale, and
their points replace the first ones (docs/capture.md#landmark-network). Plain convolutions, no pretrained part:
trained by weights/make_face_landmarks.py on renders of invented people only.
"""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import FileFormatError
from ...files import load_tensors, save_tensors
from ..geometry import LEFT_EYE, MOUTH, RIGHT_EYE, Similarity, fit_similarity, similarity

KIND, VERSION = "face_landmarks", 1
FACE_SIZE, MOUTH_SIZE, EYE_SIZE = 96, 64, 48  # px of the crops
FACE_SIDE, MOUTH_SIDE, EYE_SIDE = 2.0, 1.0, 0.62  # sides of the crops in distances of the outer eye corners
FACE_MIDDLE = 0.42  # how far the face crop's middle lies below the eyes, in the same unit


class Residual(nn.Module):
    """Two 3 x 3 convolutions, the second added to the first's result."""

    def __init__(self, inner: int, outer: int, stride: int = 2):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True))
        self.b = nn.Sequential(nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:  # [B, inner, H, W] -> [B, outer, H / stride, W / stride]
        x = self.a(x)
        return torch.relu(x + self.b(x))


class PointNet(nn.Module):
    """RGB crop -> points in crop sides (0..1), and `extra` further numbers.

    Args:
        size: px of the crop, a multiple of 16.
        points: how many.
        widths: channels of the stem and the three residual stages.
        hidden: numbers between image and points.
    """

    def __init__(self, size: int, points: int, widths: tuple[int, ...], hidden: int, extra: int = 0):
        super().__init__()
        first, *others = widths
        blocks = [Residual(a, b) for a, b in zip(widths[:-1], others)]
        self.points = points
        self.trunk = nn.Sequential(nn.Conv2d(3, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True),
                                   *blocks, nn.Conv2d(widths[-1], hidden, size // 16, bias=False), nn.BatchNorm2d(hidden),
                                   nn.ReLU(inplace=True), nn.Flatten())
        self.head = nn.Linear(hidden, 2 * points + extra)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # [B, 3, S, S] 0..1 -> [B, points, 2], [B, extra]
        out = self.head(self.features(image))
        return out[:, :2 * self.points].unflatten(1, (self.points, 2)), out[:, 2 * self.points:]

    def features(self, image: Tensor) -> Tensor:  # [B, 3, S, S] 0..1 -> [B, hidden]
        """What the points are read from; any exposure looks the same."""
        middle, spread = image.mean((1, 2, 3), keepdim=True), image.std((1, 2, 3), keepdim=True)
        return self.trunk((image - middle) / (spread + 0.02))


class LandmarkNets(nn.Module):
    """The three networks and the template that places their crops.

    Attributes:
        template: buffer [68, 2], the mean frontal face in distances of the outer eye corners, eyes at the origin, y down.
    """

    def __init__(self) -> None:
        super().__init__()
        self.face = PointNet(FACE_SIZE, 68, (16, 32, 64, 96), 160, extra=1)
        self.mouth = PointNet(MOUTH_SIZE, 20, (16, 32, 56, 80), 128)
        self.eye = PointNet(EYE_SIZE, 6, (16, 24, 40, 64), 96)
        self.register_buffer("template", torch.zeros(68, 2))

    template: Tensor  # float32 [68, 2], a buffer

    @property
    def device(self) -> torch.device:
        return self.template.device


def face_crop(points: np.ndarray, template: np.ndarray) -> Similarity:  # [68, 2] image px, [68, 2] -> image -> crop px
    """Where the face crop is cut for a face at `points`."""
    to_units = fit_similarity(points, template)
    return to_units.then(similarity(0.0, FACE_SIZE / FACE_SIDE, (0.0, FACE_MIDDLE), ((FACE_SIZE - 1) / 2,) * 2))


def part_crop(points: np.ndarray, part: slice, side: float, size: int, template: np.ndarray) -> Similarity:
    """Where the crop of a part is cut: upright with the face, as large as the face says, about the part's own middle."""
    to_units = fit_similarity(points, template)
    middle = to_units(points[part].mean(0))
    return to_units.then(similarity(0.0, size / side, middle, ((size - 1) / 2,) * 2))


def mouth_crop(points: np.ndarray, template: np.ndarray) -> Similarity:
    return part_crop(points, MOUTH, MOUTH_SIDE, MOUTH_SIZE, template)


def eye_crop(points: np.ndarray, left: bool, template: np.ndarray) -> Similarity:
    return part_crop(points, LEFT_EYE if left else RIGHT_EYE, EYE_SIDE, EYE_SIZE, template)


def save_nets(nets: LandmarkNets, path: str | os.PathLike, config: dict) -> Path:
    """Writes the weights in half precision."""
    tensors = {k: v.half() if v.is_floating_point() and k != "template" else v for k, v in nets.state_dict().items()}
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config=config)


def load_nets(path: str | os.PathLike, device: torch.device | str = "cpu") -> LandmarkNets:
    """Reads weights of `save_nets`, ready to be used.

    Raises:
        FileFormatError: absent, truncated, of another kind, newer, or other weights inside.
    """
    tensors, _ = load_tensors(path, kind=KIND, version=VERSION)
    nets = LandmarkNets()
    try:
        nets.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except RuntimeError as error:
        raise FileFormatError("The landmark weights must fit this version", f"{Path(path).name} does not ({error})",
                              "Install the pack again") from error
    return nets.eval().requires_grad_(False).to(device)
