"""The small multi-layer perceptrons of the motion nets, and reading their sizes back from a state dict."""
from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

DISPLACEMENT = 0.01  # metres per unit of the nets' first three outputs (docs/hmtalker.md#networks)


class MLP(nn.Module):
    """Linear layers without bias, ReLU between them and none at the end (docs/hmtalker.md#networks).

    Args:
        dim_in, dim_out: widths of input and output.
        hidden: width of the layers between.
        layers: number of linear layers, at least 1.
        zero_last: start with an output of exactly zero, so that a fresh motion net leaves the field as it is.
    """

    def __init__(self, dim_in: int, dim_out: int, hidden: int, layers: int, *, zero_last: bool = False):
        super().__init__()
        widths = [dim_in] + [hidden] * (layers - 1) + [dim_out]
        linears = [nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]
        if zero_last:
            nn.init.zeros_(linears[-1].weight)
        self.net = nn.ModuleList(linears)

    @property
    def first_weight(self) -> Tensor:
        """[width of the first layer's output, dim_in]: what a caller needs to compute that layer in parts."""
        first = self.net[0]
        assert isinstance(first, nn.Linear)
        return first.weight

    @property
    def later_weights(self) -> list[Tensor]:
        """[width out, width in] of each layer behind the first."""
        return [layer.weight for layer in self.net[1:] if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor) -> Tensor:  # [..., dim_in] -> [..., dim_out]
        return self.after_first(self.net[0](x))

    def after_first(self, h: Tensor) -> Tensor:  # [..., width of the first layer's output] -> [..., dim_out]
        """Everything behind the first layer; lets a caller that knows part of the first product add the rest."""
        for layer in self.net[1:]:
            h = layer(torch.relu(h))
        return h


def mlp_sizes(state: Mapping[str, Tensor], prefix: str = "") -> tuple[int, int, int, int]:
    """(dim_in, dim_out, hidden, layers) of the MLP stored under `prefix` in `state`."""
    names = [k for k in state if k.startswith(prefix + "net.") and k.endswith(".weight")]
    names.sort(key=lambda k: int(k.split(".")[-2]))
    first, last = state[names[0]], state[names[-1]]
    return first.shape[1], last.shape[0], first.shape[0], len(names)
