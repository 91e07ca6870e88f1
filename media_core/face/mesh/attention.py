"""The attention mesh: a face's 478 points from a crop of 192 px, with lips, eyes and irises refined by networks of their own.

A trunk finds 468 points. Around lips and eyes a turned, stretched box is cut out of the trunk's first feature map (`region_cut`),
and three smaller networks place these points anew. Layers are in the order of the original file's numbers, which is how
weights/make_face_mesh.py fills them.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import layout
from .blocks import Block, SameConv, Squeeze, stage

SIZE = 192            # px of the crop; coordinates run from its edge (0) to its edge (192)
CELLS = 48           # of the feature map that regions are cut from
CUT, _GROW = 16, 1.5  # cells of a region's cut; how much larger than the box of its points it is
FINER = 4            # branches count in a quarter of such a cell


@dataclass(frozen=True)
class MeshOutput:
    """What the network says of B crops, in px of the crop."""

    mesh: Tensor  # [B, 468, 3]
    flag: Tensor  # [B] logit of "this is a face"
    lips: Tensor  # [B, 80, 2]
    left_eye: Tensor  # [B, 71, 2]
    left_iris: Tensor  # [B, 5, 2]
    right_eye: Tensor  # [B, 71, 2]
    right_iris: Tensor  # [B, 5, 2]

    def points(self) -> Tensor:  # [B, 478, 3]
        """All points: regions replace the mesh's x and y, irises lie as deep as the lids around them."""
        out = torch.cat([self.mesh, self.mesh.new_zeros(len(self.mesh), layout.POINTS - layout.SKIN, 3)], 1)
        out[:, layout.LIPS, :2], out[:, layout.LEFT_EYE, :2] = self.lips, self.left_eye
        out[:, layout.RIGHT_EYE, :2] = self.right_eye
        for own, iris, eye in ((self.left_iris, layout.LEFT_IRIS, layout.LEFT_EYE),
                               (self.right_iris, layout.RIGHT_IRIS, layout.RIGHT_EYE)):
            out[:, iris, :2] = own
            out[:, iris, 2] = out[:, eye[:layout.EYE_RING], 2].mean(1, keepdim=True)
        return out


class Branch(nn.Module):
    """4 x 4 x 128 -> points, in quarters of a cell of the region's cut."""

    def __init__(self, points: int):
        super().__init__()
        self.body = nn.Sequential(*stage(128), *stage(128, 128), Squeeze(128))
        self.out = nn.Conv2d(32, points * 2, 2)

    def forward(self, x: Tensor) -> Tensor:  # [B, 128, 4, 4] -> [B, points, 2]
        return self.out(self.body(x)).reshape(len(x), -1, 2)


class Region(nn.Module):
    """A cut out of the feature map -> one set of points for each branch."""

    def __init__(self, *points: int):
        super().__init__()
        self.trunk = nn.Sequential(*stage(32), *stage(64, 32), Block(64, 128, 2))
        self.branches = nn.ModuleList(Branch(n) for n in points)

    def forward(self, features: Tensor, mesh: Tensor, subset: Sequence[int], ends: tuple[int, int]) -> list[Tensor]:
        """[B, 32, 48, 48], the mesh [B, 468, 3] in px of the crop -> points [B, n, 2] in px of the crop for each branch."""
        matrix = region_matrix(mesh * (CELLS / SIZE), subset, ends)
        x = self.trunk(region_cut(features, matrix))
        finer = matrix * matrix.new_tensor([1.0, 1.0, FINER])  # the same turn and stretch, the shift in px of the crop
        return [moved(finer, branch(x)) for branch in self.branches]


class AttentionMesh(nn.Module):
    """[B, 3, 192, 192] RGB 0..1 -> points and whether there is a face."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 16, 3, 2), nn.PReLU(16), *stage(16), Block(16, 32, 2))
        self.body = nn.Sequential(*stage(32), *stage(64, 32), *stage(128, 64), *stage(128, 128), *stage(128, 128), Squeeze(128))
        self.lips, self.left_eye, self.right_eye = Region(80), Region(71, 5), Region(71, 5)
        self.mesh, self.flag = nn.Conv2d(32, layout.SKIN * 3, 3), nn.Conv2d(32, 1, 3)

    def forward(self, image: Tensor) -> MeshOutput:
        features = self.stem(image)  # [B, 32, 48, 48]
        deep = self.body(features)  # [B, 32, 3, 3]
        mesh = self.mesh(deep).reshape(-1, layout.SKIN, 3)
        lips, = self.lips(features, mesh, layout.LIPS, layout.LIP_ENDS)
        left_eye, left_iris = self.left_eye(features, mesh, layout.LEFT_EYE, layout.LEFT_ENDS)
        right_eye, right_iris = self.right_eye(features, mesh, layout.RIGHT_EYE, layout.RIGHT_ENDS)
        return MeshOutput(mesh=mesh, flag=self.flag(deep).flatten(), lips=lips, left_eye=left_eye, left_iris=left_iris,
                          right_eye=right_eye, right_iris=right_iris)


def region_matrix(points: Tensor, subset: Sequence[int], ends: tuple[int, int]) -> Tensor:
    """Takes a region's grid (0..16) to the feature map's (0..48): [B, n, >= 2] in cells of the map -> [B, 2, 3].

    The region is the box of `subset` along the line between `ends`, each side grown by 1.5; it is not made square.
    """
    return box_matrix(points[:, subset, :2], points[:, ends[1], :2] - points[:, ends[0], :2])


def box_matrix(box: Tensor, way: Tensor) -> Tensor:  # [B, n, 2], [B, 2] -> [B, 2, 3]
    """The same, of the points that the box must hold and the direction along which it lies."""
    angle = torch.atan2(way[:, 1], way[:, 0])
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = box.unbind(-1)
    upright = torch.stack([x * cos + y * sin, y * cos - x * sin], -1)  # turned by -angle
    low, high = upright.amin(1), upright.amax(1)
    (across, down), (width, height) = ((low + high) / 2).unbind(-1), ((high - low) * (_GROW / CUT)).unbind(-1)
    cos, sin = cos[:, 0], sin[:, 0]
    linear = torch.stack([torch.stack([cos * width, -sin * height], -1), torch.stack([sin * width, cos * height], -1)], -2)
    middle = torch.stack([across * cos - down * sin, across * sin + down * cos], -1)
    return torch.cat([linear, (middle - linear.sum(-1) * (CUT / 2))[..., None]], -1)


def region_cut(features: Tensor, matrix: Tensor) -> Tensor:  # [B, C, 48, 48], [B, 2, 3] -> [B, C, 16, 16]
    """Bilinear, cells' centres at half integers; a sample outside the outermost centres is 0 (neither faded nor clamped)."""
    at = torch.arange(CUT, dtype=features.dtype, device=features.device) + 0.5
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(1, -1, 2)
    xy = moved(matrix, grid) - 0.5  # as indices of cells
    last = features.shape[-1] - 1
    inside = ((xy >= 0) & (xy <= last)).all(-1)
    places = (xy * (2 / last) - 1).reshape(-1, CUT, CUT, 2)
    sample = F.grid_sample(features, places, "bilinear", "border", align_corners=True)
    return sample * inside.reshape(-1, 1, CUT, CUT)


def moved(matrix: Tensor, points: Tensor) -> Tensor:  # [B, 2, 3], [B or 1, n, 2] -> [B, n, 2]
    """The affine map of points, without a matrix product: those may run in lower precision."""
    a, b = matrix[:, None, :, 0], matrix[:, None, :, 1]
    return a * points[..., :1] + b * points[..., 1:] + matrix[:, None, :, 2]
