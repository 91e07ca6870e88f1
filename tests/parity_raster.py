"""Parity cases of the rasteriser: gsplat's rules, which ours are, and those of the published code. Run by tests/parity.py."""
from __future__ import annotations

import math
from typing import Any

import torch
from parity_case import EXACT, RASTER, Case
from talking_heads.hmtalker_core.rasterizer import rasterization
from talking_heads.hmtalker_core.rasterizer.projection import project
from torch import Tensor

Computed = dict[str, Tensor]


def _raster(f: Any) -> Computed:
    height, width = f.outputs["image"].shape[:2]
    names = ("means", "quats_wxyz", "scales", "opacities", "colors")
    pictures = {}
    for backend in ("reference", "cpu"):
        scene = (*(f.inputs[name] for name in names), f.inputs["viewmat"][None], f.inputs["K"][None])
        image, alpha, meta = rasterization(*scene, width, height, render_mode="RGB+D", backend=backend)
        pictures[backend] = {"image": image[0, ..., :-1], "depth_sum": image[0, ..., -1], "alpha": alpha[0, ..., 0],
                             "radii": meta["radii"][0]}
    return {name: torch.stack([picture[name].double() for picture in pictures.values()]) for name in pictures["cpu"]}


def _raster_inria(f: Any) -> Computed:
    """The rasteriser of the published code: another cap of opacity and other tile edges than gsplat's, which ours follow: up to
    0.01 in the few pixels that may deviate. Its radii are those of a square of three standard deviations, from our projection."""
    names = ("means", "quats_wxyz", "scales", "opacities")
    height, width = f.outputs["image"].shape[:2]
    scene = (f.inputs[name].double()[None] for name in names)
    found = project(*scene, f.inputs["viewmat"].double()[None, None], f.inputs["K"].double()[None, None], width, height)
    xx, xy, yy = found.conics[0].unbind(-1)
    inverse = xx * yy - xy ** 2
    half = (xx + yy) / 2 / inverse  # mean variance of the two axes
    radii = torch.ceil(3 * (half + (half ** 2 - 1 / inverse).clamp_min(0.1).sqrt()).sqrt())  # published: a root of 0.1 at least
    seen = _on_tiles(found.means2d[0] - 0.5, radii, width, height) & (found.depths[0] > 0.2)
    return {**_raster(f), "radii": (radii * seen)[None, :, None].expand(-1, -1, 2)}


def _on_tiles(means: Tensor, radii: Tensor, width: int, height: int, tile: int = 16) -> Tensor:  # [N, 2], [N] -> bool [N]
    """Whether a square around a pixel touches any tile of the picture."""
    tiles = torch.tensor([math.ceil(width / tile), math.ceil(height / tile)])
    first = ((means - radii[:, None]) / tile).floor().clamp(min=0).minimum(tiles)
    behind = ((means + radii[:, None] + tile - 1) / tile).floor().clamp(min=0).minimum(tiles)
    return (behind > first).all(-1)


CASES = {"raster_gsplat": Case(_raster, RASTER), "raster_inria": Case(_raster_inria, {"radii": EXACT, "*": RASTER})}
