"""gsplat on an NVIDIA card."""
from __future__ import annotations

import torch

DEVICE_TYPE = "cuda"


def why_not(device: torch.device) -> str | None:
    """None where gsplat works, otherwise the reason why it does not."""
    if device.type != DEVICE_TYPE:
        return f"the tensors are on {device.type}, not on an NVIDIA card"
    return "not written yet"
