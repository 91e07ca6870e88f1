"""The body under the head: a small linear model of the torso layer, one state for every pose of the avatar's track.

TalkingGaussian pastes the torso of the source frame; an avatar file cannot carry a video. Here the premultiplied torso images
become their mean plus a few principal components (8-bit), and each pose keeps its coefficients: neck and shoulders go with the
head they were recorded with (our choice).
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

SAMPLES = 160  # torso images the components are fitted to: at least this many (where there are), at most twice as many


@dataclass(frozen=True)
class TorsoModel:
    """Premultiplied RGBA torso images of one resolution."""

    mean: Tensor  # uint8 [4, h, w], the crop's mean
    components: Tensor  # int8 [K, 4, h, w]
    scales: Tensor  # float32 [K], image units (0..1) per step of a component
    states: Tensor  # float32 [P, K], coefficients of each pose of the track
    box: tuple[int, int, int, int]  # (row0, row1, col0, col1) of the crop in the frame
    size: tuple[int, int]  # (H, W) of the frame

    def layer(self, index: Tensor) -> tuple[Tensor, Tensor]:  # [B] -> [B, H, W, 3], [B, H, W, 1]
        """Premultiplied colour and alpha (0..1) of the torso at poses `index` of the track."""
        rank = len(self.scales)
        basis = (self.components.float() * self.scales.view(rank, 1, 1, 1)).flatten(1)
        change = torch.stack([state @ basis for state in self.states[index]])  # one product per frame: the same in any chunk
        crop = self.mean.float().div(255).flatten() + change
        crop = crop.clamp(0, 1).view(len(index), 4, *self.mean.shape[-2:])
        row0, row1, col0, col1 = self.box
        full = crop.new_zeros(len(index), *self.size, 4)
        full[:, row0:row1, col0:col1] = crop.movedim(1, -1)
        alpha = full[..., 3:]
        return torch.minimum(full[..., :3], alpha), alpha

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "components": self.components, "scales": self.scales, "states": self.states}

    def to(self, device: str | torch.device) -> TorsoModel:
        return TorsoModel(**{name: tensor.to(device) for name, tensor in self.tensors().items()}, box=self.box, size=self.size)


def fit_torso(images: Iterable[Tensor], count: int, components: int, size: tuple[int, int]) -> TorsoModel:
    """The linear model of `count` torso images.

    Args:
        images: iterable (read twice: give a re-iterable) of uint8 [H, W, 4] straight-alpha torso layers, one per pose.
        count: how many it yields.
        components: rank of the model; less if there are fewer images.
        size: (H, W).
    """
    every = max(1, count // SAMPLES)
    sample = torch.stack([_premultiplied(image) for i, image in enumerate(images) if i % every == 0])  # [S, 4, H, W]
    seen = (sample[:, 3] > 1 / 255).any(0)
    box = _bounding_box(seen, size)
    cut = lambda x: x[..., box[0]:box[1], box[2]:box[3]]
    flat = cut(sample).flatten(1)
    mean = flat.mean(0)
    rank = min(components, len(flat) - 1)
    basis, scales = _principal_axes(flat - mean, rank)
    stepped = basis.float() * scales[:, None]
    wide = stepped.double()
    solve = torch.linalg.pinv(wide @ wide.T) if rank else wide.new_zeros(0, 0)
    states = []
    for image in images:
        offset = cut(_premultiplied(image)).flatten() - mean
        states.append((solve @ (wide @ offset.double())).float() if rank else offset.new_zeros(0))
    shape = (4, box[1] - box[0], box[3] - box[2])
    return TorsoModel(mean=(mean * 255).round().clamp(0, 255).to(torch.uint8).view(shape), components=basis.view(rank, *shape),
                      scales=scales, states=torch.stack(states), box=box, size=(size[0], size[1]))


def _premultiplied(image: Tensor) -> Tensor:  # uint8 [H, W, 4] -> float [4, H, W]
    rgba = image.float().div(255)
    return torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], dim=-1).movedim(-1, 0)


def _bounding_box(seen: Tensor, size: tuple[int, int]) -> tuple[int, int, int, int]:
    if not seen.any():
        return 0, min(2, size[0]), 0, min(2, size[1])
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def _principal_axes(centred: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """int8 axes [rank, D], the largest entry positive, and their steps [rank]; from the small Gram matrix, so D may be large."""
    if rank < 1:
        return centred.new_zeros(0, centred.shape[1], dtype=torch.int8), centred.new_zeros(0)
    values, vectors = torch.linalg.eigh((centred @ centred.T).double())
    axes = torch.nn.functional.normalize(vectors[:, -rank:].flip(-1).T.float() @ centred, dim=-1)
    peak = axes.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    sign = torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))
    scales = (peak / 127).squeeze(1)
    return (axes * sign / scales[:, None]).round().to(torch.int8), scales
