"""Multi-resolution grid encoder of positions: one plane, and the three planes of a head.

A plane holds L grids of rising resolution in one table; a point reads each grid bilinearly. With the avatar's settings every
grid fits its table densely, so a lookup is `grid_sample` on a view of the table (docs/hmtalker.md#tri-plane-encoder). Grids
too large for their table are hashed and read by gathering; that form also serves three-dimensional grids and is the slow twin.
Table layout and state-dict names follow the official checkpoints (`embeddings`, `offsets`).
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError

_HASH_PRIMES = (1, 2654435761, 805459861)
_FLAT_CELLS = 80  # `grid_sample` places a point within cells x 1e-7 of a cell; finer grids are gathered, which is exact
_PLANE_AXES = ((0, 1), (1, 2), (0, 2))  # xy, yz, xz


@dataclass(frozen=True)
class GridConfig:
    """Sizes of one encoder."""
    levels: int = 12            # number of grids
    features: int = 1           # values read from each grid
    base: int = 16              # cells along an axis of the first grid
    finest: float = 38.4        # cells along an axis of the last grid (may be below `base`: the mouth's shrink)
    log2_size: int = 17         # log2 of the largest number of rows of one grid
    bound: float = 0.15         # metres; coordinates lie in -bound..bound, outside the plane returns 0
    dims: int = 2               # input coordinates: 2 or 3

    @staticmethod
    def face(bound: float = 0.15) -> GridConfig:
        return GridConfig(base=16, finest=256 * bound, bound=bound)

    @staticmethod
    def mouth(bound: float = 0.15) -> GridConfig:
        return GridConfig(base=64, finest=384 * bound, bound=bound)


@dataclass(frozen=True)
class GridLevel:
    """Where one grid lies in the table."""
    scale: float     # cells - 1: coordinate u in 0..1 lies at u * scale + 0.5
    cells: int       # R; the grid has R + 1 points along an axis, the first axis running fastest
    start: int       # first row in the table
    rows: int        # rows in the table, a multiple of 8
    dense: bool      # whether every grid point has a row of its own


def grid_levels(config: GridConfig) -> tuple[GridLevel, ...]:
    """The table layout of `config`: R_l = ceil(base * s^l), rows = min(2^log2_size, (R_l + 1)^dims) up to 8.

    The official kernel computes a level's scale in single precision; so does this, else fine grids would be read 1e-5 off.
    """
    octaves = math.log2(config.finest / config.base) / max(1, config.levels - 1)
    ratio = 2.0 ** octaves
    levels, start = [], 0
    for index in range(config.levels):
        points = (math.ceil(config.base * ratio ** index) + 1) ** config.dims
        rows = math.ceil(min(2 ** config.log2_size, points) / 8) * 8
        scale = float(np.float32(config.base * 2.0 ** float(np.float32(index) * np.float32(octaves)) - 1.0))
        cells = math.ceil(scale) + 1
        levels.append(GridLevel(scale, cells, start, rows, (cells + 1) ** config.dims <= rows))
        start += rows
    return tuple(levels)


class GridPlane(nn.Module):
    """One multi-resolution grid over 2 (or 3) coordinates.

    Parameters: `embeddings` [rows, features]. Buffer: `offsets` [levels + 1] int32, first row of each grid.
    """

    def __init__(self, config: GridConfig = GridConfig()):
        super().__init__()
        self.config, self.levels = config, grid_levels(config)
        ends = [level.start + level.rows for level in self.levels]
        self.embeddings = nn.Parameter(torch.empty(ends[-1], config.features).uniform_(-1e-4, 1e-4))
        self.register_buffer("offsets", torch.tensor([0, *ends], dtype=torch.int32))

    @property
    def flat(self) -> bool:
        """Whether `grid_sample` reads every grid to 1e-5: all of them dense, none very fine."""
        return self.config.dims == 2 and all(level.dense and level.cells <= _FLAT_CELLS for level in self.levels)

    @property
    def width(self) -> int:
        """Number of output features."""
        return self.config.levels * self.config.features

    def forward(self, x: Tensor) -> Tensor:  # [N, dims] metres -> [N, levels * features]
        """Reads the grids at `x`; differentiable in `x` and in the table. Points outside the bound give 0 and no gradient."""
        return encode_planes([self], x[None]) if self.flat else self.gather(x)

    def gather(self, x: Tensor) -> Tensor:  # [N, dims] -> [N, levels * features]
        """The same function corner by corner: any dimension, hashed grids included; the slow twin of the dense form."""
        u, inside = _unit(x, self.config.bound)
        features = [self._gather_level(u, level) for level in self.levels]
        return torch.cat(features, -1) * inside[:, None]

    def _gather_level(self, u: Tensor, level: GridLevel) -> Tensor:  # [N, dims] in 0..1 -> [N, features]
        position = u * level.scale + 0.5
        cell = position.detach().floor()
        fraction, cell = position - cell, cell.long()
        total = u.new_zeros(())
        for corner in itertools.product((0, 1), repeat=self.config.dims):
            step = torch.tensor(corner, device=u.device)
            weight = torch.where(step.bool(), fraction, 1 - fraction).prod(-1, keepdim=True)
            total = total + weight * self.embeddings[_rows(cell + step, level) + level.start]
        return total


def _rows(points: Tensor, level: GridLevel) -> Tensor:  # [N, dims] integer grid points -> [N] rows within the level
    if level.dense:
        strides = torch.tensor([(level.cells + 1) ** axis for axis in range(points.shape[-1])], device=points.device)
        row = (points * strides).sum(-1)
    else:
        row = torch.zeros_like(points[:, 0])
        for axis in range(points.shape[-1]):
            row = row ^ (points[:, axis] * _HASH_PRIMES[axis] & 0xFFFFFFFF)
    return row.remainder(level.rows)  # the bound also keeps points that lie outside (their result is masked) in range


def _unit(x: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Coordinates in 0..1 and whether all of a point's lie there; those outside are moved to the border (and masked later)."""
    u = (x + bound) / (2 * bound)
    inside = ((u >= 0) & (u <= 1)).all(-1)
    return u.masked_fill(~inside[..., None], 0.0), inside


def encode_planes(planes: Sequence[GridPlane], x: Tensor) -> Tensor:  # P planes, [P, N, 2] metres -> [N, P * levels * features]
    """Reads P dense planes of one layout at once: on the processor by `plane_kernels`, elsewhere by `sample_planes`.

    Raises:
        TalkingHeadsError: a plane is not `flat`, or the planes differ in layout.
    """
    first = planes[0]
    if not all(plane.flat and plane.config == first.config for plane in planes):
        raise TalkingHeadsError("Planes read together must be two-dimensional, dense, not finer than 80 cells, and of one layout",
                                f"{[plane.config for plane in planes]}",
                                "Use GridPlane.gather")
    if x.device.type == "cpu" and x.dtype == first.embeddings.dtype and first.config.features == 1:
        from .plane_kernels import ReadPlanes

        grids = tuple(zip(*((level.scale, level.cells + 1, level.start) for level in first.levels), strict=True))
        grids = *grids[:2], (*grids[2], first.levels[-1].start + first.levels[-1].rows)
        return ReadPlanes.apply(x, first.config.bound, grids, *(plane.embeddings for plane in planes))
    return sample_planes(planes, x)


def sample_planes(planes: Sequence[GridPlane], x: Tensor) -> Tensor:  # P planes, [P, N, 2] metres -> [N, P * levels * features]
    """`encode_planes` by torch, one `grid_sample` a level."""
    first = planes[0]
    u, inside = _unit(x, first.config.bound)
    tables = torch.stack([plane.embeddings for plane in planes])  # [P, rows, F]
    features = []
    for level in first.levels:
        side = level.cells + 1
        image = tables[:, level.start:level.start + side * side].unflatten(1, (side, side)).movedim(-1, 1)  # [P, F, R+1, R+1]
        at = u * (2 * level.scale / level.cells) + (1 / level.cells - 1)  # 2 p / R - 1 with p = u * scale + 0.5
        features.append(F.grid_sample(image, at[:, None], align_corners=True)[:, :, 0])  # [P, F, N]
    result = torch.stack(features, 1).flatten(1, 2) * inside[:, None]  # [P, L * F, N]
    return result.flatten(0, 1).T


class TriPlane(nn.Module):
    """Three planes (`encoder_xy`, `encoder_yz`, `encoder_xz`); the motion nets inherit it so that the names stand in their
    own namespace, as in the official checkpoints."""

    def __init__(self, config: GridConfig = GridConfig()):
        super().__init__()
        self.encoder_xy, self.encoder_yz, self.encoder_xz = (GridPlane(config) for _ in _PLANE_AXES)

    @property
    def planes(self) -> tuple[GridPlane, GridPlane, GridPlane]:
        return self.encoder_xy, self.encoder_yz, self.encoder_xz

    @property
    def position_width(self) -> int:
        """Width of `encode_position`'s result (36 with the avatar's settings)."""
        return 3 * self.encoder_xy.width

    def encode_position(self, xyz: Tensor) -> Tensor:  # [N, 3] metres -> [N, 36]
        """H(mu): features of the xy, yz and xz plane, in that order."""
        coordinates = [xyz[:, list(axes)] for axes in _PLANE_AXES]
        if self.encoder_xy.flat:
            return encode_planes(self.planes, torch.stack(coordinates))
        return torch.cat([plane.gather(x) for plane, x in zip(self.planes, coordinates, strict=True)], -1)
