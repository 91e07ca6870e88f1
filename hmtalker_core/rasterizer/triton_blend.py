"""Blending by `triton_kernels.py`: tile lists, then a differentiable function. Everything stays on the device of the splats but
one number, the length of all lists together (`tile_lists`), without which nothing could be allocated."""
from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...media_core.errors import TalkingHeadsError
from . import triton_kernels as kernels
from .projection import Projected

LARGEST = 2 ** 31 - 1  # entries of all lists, splats, tiles, and programs of a kernel


class TileLists(NamedTuple):
    """Which splats each tile of M frames draws, front to back; I entries in all."""

    starts: Tensor     # int64 [M * tiles + 1] into ids and places
    ids: Tensor        # int32 [I] splats, g = frame * N + Gaussian
    places: Tensor     # int64 [I] where an entry stood when entries were grouped by splat
    first: Tensor      # int64 [M * N] a splat's first entry in that grouping
    counts: Tensor     # int32 [M * N] the number of its entries
    tiles_x: int
    tiles: int         # of one frame


class Opacities(NamedTuple):
    """Values of Gaussians of which frames may share rows."""

    values: Tensor     # [R, N], contiguous
    rows: Tensor       # int32 [M] the row that each frame reads


@functools.lru_cache(maxsize=256)
def frame_rows(own: tuple[int, ...], lead: tuple[int, ...], device: torch.device) -> Tensor:  # int32 [prod(lead)]
    """Which row of a tensor with leading dimensions `own` each frame of `lead`, to which they broadcast, reads. Do not write."""
    with torch.inference_mode(False):
        rows = torch.arange(math.prod(own), dtype=torch.int32, device=device)
        return rows.reshape(own).expand(lead).reshape(-1).contiguous()


@functools.lru_cache(maxsize=8)
def _first_keys(count: int, device: torch.device) -> Tensor:  # int64 [count]
    """A key below all those of each tile. Do not write."""
    with torch.inference_mode(False):
        return torch.arange(count, device=device) << 32


def by_rows(value: Tensor, lead: tuple[int, ...], own: int) -> tuple[Tensor, Tensor]:
    """A tensor [..., *own dims] as contiguous rows [R, *own dims] and the row of each frame; nothing is copied per frame."""
    dims = value.shape[:value.dim() - own]
    rows = value.detach().reshape(math.prod(dims), *value.shape[value.dim() - own:]).contiguous()
    return rows, frame_rows(tuple(dims), lead, value.device)


def tile_lists(splats: Projected, opacities: Opacities, width: int, height: int) -> TileLists:
    """The lists of all tiles of M frames; `splats` has fields [M, N, ...], detached and contiguous.

    Raises:
        TalkingHeadsError: more than 2^31 entries.
    """
    m, n = splats.depths.shape
    tiles_x, tiles = -(-width // kernels.TILE), -(-width // kernels.TILE) * -(-height // kernels.TILE)
    check_size(max(m * n, m * tiles))
    device = splats.depths.device
    counts = torch.empty(m * n, dtype=torch.int32, device=device)
    if m * n == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=device)
        return TileLists(nothing.new_zeros(m * tiles + 1), nothing.int(), nothing, nothing, counts, tiles_x, tiles)
    given = (splats.means2d, splats.conics, opacities.values, opacities.rows, splats.depths, splats.radii)
    sizes = {"M": m, "N": n, "W": width, "H": height, "TILES_X": tiles_x, "TILES": tiles, "TILE": kernels.TILE,
             "BLOCK": kernels.SPLATS}
    programs = -(-m * n // kernels.SPLATS)
    kernels.launch(kernels.list_tiles, programs, *given, counts, counts, counts, counts, WRITE=False, **sizes)
    ends = counts.cumsum(0, dtype=torch.int64)
    total = int(ends[-1])  # the one wait for the device
    check_size(total)
    first = ends - counts
    keys, ids = torch.empty(total, dtype=torch.int64, device=device), torch.empty(total, dtype=torch.int32, device=device)
    kernels.launch(kernels.list_tiles, programs, *given, first, counts, keys, ids, WRITE=True, **sizes)
    keys, places = torch.sort(keys, stable=True)
    starts = torch.searchsorted(keys, _first_keys(m * tiles + 1, device))
    return TileLists(starts, ids[places], places, first, counts, tiles_x, tiles)


def check_size(count: int) -> None:
    """Raises: TalkingHeadsError for more entries than an index of 32 bits reaches."""
    if count > LARGEST:
        raise TalkingHeadsError("One call of the rasteriser can draw at most 2^31 pairs of a Gaussian and a tile",
                                f"{count} of them", "Render fewer frames at a time, or smaller ones")


def blend(splats: Projected, colors: Tensor, opacities: Tensor, lead: tuple[int, ...], width: int, height: int
          ) -> tuple[Tensor, Tensor]:
    """Blend projected Gaussians front to back.

    Args:
        splats: fields [M, N, ...] of M frames. colors [..., N, D] and opacities [..., N], whose leading dimensions broadcast to
            `lead`, M frames in all.
    Returns: images [M, H, W, D] without background and alphas [M, H, W, 1], differentiable in means2d, conics, colors, opacities.
    """
    fixed = Projected(*(field.detach().contiguous() for field in splats))
    lists = tile_lists(fixed, Opacities(*by_rows(opacities, lead, 1)), width, height)
    images, left = [], None
    for chunk in colors.split(kernels.CHANNELS, -1):
        image, own_left = _Blend.apply(splats.means2d, splats.conics, chunk, opacities, lists, lead, (width, height))
        images.append(image)
        left = own_left if left is None else left
    assert left is not None, "there is at least one channel"
    return images[0] if len(images) == 1 else torch.cat(images, -1), (1.0 - left)[..., None]


class _Blend(torch.autograd.Function):
    """M frames at once, up to eight channels."""

    @staticmethod
    def forward(ctx, means2d, conics, colors, opacities, lists, lead, size):
        (m, n), d, (width, height) = means2d.shape[:2], colors.shape[-1], size
        splats = (means2d.detach().contiguous(), conics.detach().contiguous(), *by_rows(opacities, lead, 1),
                  *by_rows(colors, lead, 2))
        image, left = means2d.new_empty(m, height, width, d), means2d.new_empty(m, height, width)
        last = torch.empty(m, height, width, dtype=torch.int32, device=means2d.device)
        sizes = {"N": n, "W": width, "H": height, "TILES_X": lists.tiles_x, "TILES": lists.tiles, "D": d, "TILE": kernels.TILE}
        if len(lists.ids):
            kernels.launch(kernels.blend, m * lists.tiles, *splats, lists.starts, lists.ids, image, left, last,
                           AT_ONCE=kernels.AT_ONCE, **sizes)
        else:  # the kernel writes every pixel
            for value, empty in ((image, 0.0), (left, 1.0), (last, 0)):
                value.fill_(empty)
        ctx.kept = splats, lists, left, last, sizes, lead, colors.shape, opacities.shape
        return image, left

    @staticmethod
    @once_differentiable
    def backward(ctx, g_image, g_left):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub knows (ctx, *grad_outputs) only
        splats, lists, left, last, sizes, lead, color_shape, opacity_shape = ctx.kept
        (m, n), wide = splats[0].shape[:2], kernels.GEOMETRY + sizes["D"]
        total = left.new_zeros(m * n, wide)
        if len(lists.ids):
            slots = left.new_zeros(len(lists.ids), wide)
            kernels.launch(kernels.blend_backward, m * lists.tiles, *splats, lists.starts, lists.ids, lists.places, left, last,
                           g_image.contiguous(), g_left.contiguous(), slots, GEOMETRY=kernels.GEOMETRY, **sizes)
            kernels.launch(kernels.add_slots, -(-m * n // kernels.ROWS), slots, lists.first, lists.counts, total, m * n,
                           WIDTH=wide, ROWS=kernels.ROWS, COLUMNS=16)
        total = total.reshape(*lead, n, wide)
        flat = total.reshape(m, n, wide)
        g_colors = total[..., kernels.GEOMETRY:].sum_to_size(color_shape)
        return flat[..., :2], flat[..., 2:5], g_colors, total[..., 5].sum_to_size(opacity_shape), None, None, None
