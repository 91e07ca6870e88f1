"""Gaussians of the head frame as ComfyUI's SPLAT, whose frame of reference is turned half about X (docs/comfyui.md)."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# Signs of the real spherical harmonics, degrees 0 to 3 in 3D Gaussian Splatting's order, when (x, y, z) becomes (x, -y, -z).
_SH_TURN = (1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1)


def as_splat(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One splat from several sets of Gaussians in the rasteriser's argument names (`GaussianField.deformed`).

    Returns:
        positions [1, N, 3] metres (Y down, Z forward), scales [1, N, 3] linear, rotations [1, N, 4] wxyz, opacities [1, N, 1],
        sh [1, N, K, 3], counts [1].
    """
    together = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
    turn = together["means"].new_tensor([1.0, -1.0, -1.0])  # head frame (Y up, Z to the viewer) turned half about X
    signs = turn.new_tensor(_SH_TURN[:together["colors"].shape[1]])[:, None]
    w, x, y, z = together["quats"].unbind(-1)
    return {"positions": (together["means"] * turn)[None], "scales": together["scales"][None],
            "rotations": torch.stack([-x, w, -z, y], dim=-1)[None], "opacities": together["opacities"][None, :, None],
            "sh": (together["colors"] * signs)[None], "counts": torch.tensor([len(together["means"])])}
