"""BlazeFace, short range: where faces are in a square image of 128 px, each with six key points."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from .blocks import Block, SameConv

SIZE = 128        # px of the image
STEP = 16         # images of other sizes must be whole numbers of this
THRESHOLD = 0.5   # score of a face
_OVERLAP = 0.3    # boxes (intersection over union) that overlap more are one face
_LOGIT = 100.0    # scores are clipped here
_WIDTHS = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
_STRIDED = (2, 5, 11)  # blocks with stride 2
_FINE = 11        # blocks before the first head
_GRIDS = ((8, 2), (STEP, 6))  # px of a cell, boxes per cell


@dataclass(frozen=True)
class Detection:
    """One face; px of the image, float64."""

    score: float  # 0..1
    box: np.ndarray  # [4] x0, y0, x1, y1: the face without its forehead
    keys: np.ndarray  # [6, 2] image-left eye, image-right eye, nose, mouth, ears


class BlazeFace(nn.Module):
    """[B, 3, 128, 128] RGB -1..1 -> boxes [B, 896, 16] (px of the image from their anchor), logits [B, 896]."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [Block(a, b, 2 if i in _STRIDED else 1, prelu=False) for i, (a, b) in enumerate(zip(_WIDTHS, _WIDTHS[1:]))]
        self.fine = nn.Sequential(SameConv(3, 24, 5, 2), nn.ReLU(), *blocks[:_FINE])  # 16 x 16 x 88
        self.coarse = nn.Sequential(*blocks[_FINE:])  # 8 x 8 x 96
        ends = tuple(zip((88, 96), (each for _, each in _GRIDS)))
        self.score = nn.ModuleList(nn.Conv2d(inner, each, 1) for inner, each in ends)
        self.box = nn.ModuleList(nn.Conv2d(inner, each * 16, 1) for inner, each in ends)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(image)
        maps = fine, self.coarse(fine)
        boxes = [_listed(head(x), 16) for head, x in zip(self.box, maps)]
        logits = [_listed(head(x), 1) for head, x in zip(self.score, maps)]
        return torch.cat(boxes, 1), torch.cat(logits, 1)[..., 0]


def _listed(x: Tensor, numbers: int) -> Tensor:  # [B, each * numbers, h, w] -> [B, h * w * each, numbers]
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, numbers)


@lru_cache(maxsize=4)
def anchors(height: int = SIZE, width: int = SIZE) -> np.ndarray:  # float64 [A, 2] px of the image
    """Where each box is counted from: the middle of its cell."""
    rows = []
    for cell, each in _GRIDS:
        x, y = np.meshgrid((np.arange(width // cell) + 0.5) * cell, (np.arange(height // cell) + 0.5) * cell)
        rows.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), each, 0))
    return np.concatenate(rows)


def decoded(boxes: np.ndarray, logits: np.ndarray, threshold: float = THRESHOLD,
            size: tuple[int, int] = (SIZE, SIZE)) -> list[Detection]:
    """The faces of one image of (H, W) px, best first: [A, 16], [A] -> px of that image.

    Boxes that overlap are averaged by their scores; the best score stays.
    """
    score = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_LOGIT, _LOGIT)))
    numbers = boxes.astype(np.float64)
    at = anchors(*size)
    centre, extent = numbers[:, :2] + at, numbers[:, 2:4]
    keep = np.flatnonzero((score >= threshold) & (extent >= 0).all(1))
    keep = keep[np.argsort(-score[keep], kind="stable")]
    box = np.concatenate([centre - extent / 2, centre + extent / 2], 1)[keep]
    keys, score = (numbers[:, 4:].reshape(-1, 6, 2) + at[:, None])[keep], score[keep]
    found: list[Detection] = []
    while len(score):
        same = overlap(box[0], box) > _OVERLAP
        same[0] = True
        weight = score[same] / score[same].sum()
        found.append(Detection(float(score[0]), weight @ box[same], np.tensordot(weight, keys[same], 1)))
        box, keys, score = box[~same], keys[~same], score[~same]
    return found


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:  # [4], [N, 4] -> [N]
    """Intersection over union."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - common
    return common / np.maximum(area, 1e-12)
