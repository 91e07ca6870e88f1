"""What an unfinished training keeps on disk beside its weights."""
from __future__ import annotations

from typing import Mapping, Optional

import torch
from torch import Tensor


def strip(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix`, without it."""
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


def optimizer_tensors(optimizer: Optional[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Moments and step counts as `<parameter number>.<entry>`."""
    if optimizer is None:
        return {}
    return {f"{index}.{key}": torch.as_tensor(value) for index, entries in optimizer.state_dict()["state"].items()
            for key, value in entries.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave. The moments go to their parameters' device; step counters stay where `tensors`
    lie, which should be the CPU: on a card, reading them would stop every step.

    Moments are laid out in memory as their parameters are (files hold plain rows): fused optimisers walk through both side by
    side."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if torch.is_tensor(value) and value.shape == parameter.shape and value.stride() != parameter.stride():
                entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
