"""The avatar's Gaussians in the frame core's splat nodes expect."""
from __future__ import annotations

from typing import Any, Mapping

import torch
from comfy_api.latest import Types

from .sockets import SplatBatch

# The sign of each real spherical harmonic, degrees 0 to 3 in 3D Gaussian Splatting's order, when (x, y, z) becomes (x, -y, -z).
_SH_SIGNS = (1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1)


def to_core(splat: Mapping[str, torch.Tensor]) -> Any:
    """Gaussians in the head's frame (X right, Y up, Z to the viewer) as core's SPLAT (Y down, Z forward): half a turn about X.

    Args:
        splat: of `Avatar.splat`: positions, scales [1, N, 3], rotations wxyz [1, N, 4], opacities [1, N, 1], sh [1, N, K, 3].
    """
    values = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in splat.items()}
    w, x, y, z = values["rotations"].unbind(-1)
    sh = values["sh"]
    kind = getattr(Types, "SPLAT", SplatBatch)
    return kind(
        positions=values["positions"] * torch.tensor([1.0, -1.0, -1.0]),
        scales=values["scales"],
        rotations=torch.nn.functional.normalize(torch.stack([-x, w, -z, y], -1), dim=-1),
        opacities=values["opacities"],
        sh=sh * torch.tensor(_SH_SIGNS[:sh.shape[2]], dtype=torch.float32)[:, None],
    )
