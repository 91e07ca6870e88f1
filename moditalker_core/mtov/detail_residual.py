"""The detail residual: what the networks miss of a portrait is added to a frame, near landmarks that stand as in the portrait.

Ours. A small network draws a face softly. For a portrait whose head does not move, its error for the portrait's own landmarks is
known and can be added back; where lips or lids have moved since, that error belongs to what is no longer there, so it fades with
the distance they moved. The numbers were chosen on people 3 and 11 of benchmarks/mtov.py, which are never trained on; its people
7 and 19 were not used for it.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .rasters import middle_square

NEAR = 0.02      # of the side: standard deviation of the Gaussian with which a landmark counts around it
MOVED = 0.01     # of the side: where a landmark moved this far, 1/e of the portrait's detail is left
EYES = 0.3       # weight of the (squared) movement of lids and brows: there sharpness matters more than exactness
_CELL = 4        # px: how finely this is computed
_EYES = [*range(17, 27), *range(36, 48)]  # brows and lids of the 68 points
_NOWHERE = 0.05  # weight of "nothing moves", for pixels far from all landmarks


def trust(points: Tensor, own: Tensor, picture: tuple[int, int], size: int) -> Tensor:
    """How far a portrait's own detail holds in every pixel of some frames.

    Args:
        points: [T, 68, 2 or more] px, the frames' landmarks.
        own: [1, 68, 2 or more] px, the portrait's.
        picture: (H, W) px that both are of; its middle square is what the networks see.
        size: side of the result, px.
    Returns:
        float32 [T, 1, size, size] in 0..1; 1 where nothing moved.
    """
    side, top, left = middle_square(*picture)
    corner = torch.tensor([left, top], dtype=torch.float32)
    here, there = ((p[..., :2].float() - corner + 0.5) / side for p in (points, own))
    cells = max(size // _CELL, 1)
    place, centres = (here + there) / 2, (torch.arange(cells) + 0.5) / cells
    x, y = (torch.exp(-(centres - place[..., axis, None]).square() / (2 * NEAR ** 2)) for axis in (0, 1))  # [T, 68, cells]
    moved = (here - there).square().sum(-1)  # [T, 68]
    moved[:, _EYES] *= EYES
    apart = torch.einsum("tp,tpy,tpx->tyx", moved, y, x) / (torch.einsum("tpy,tpx->tyx", y, x) + _NOWHERE)
    held = torch.exp(-apart / MOVED ** 2)[:, None]
    return torch.nn.functional.interpolate(held, size=(size, size), mode="bilinear", align_corners=False)
