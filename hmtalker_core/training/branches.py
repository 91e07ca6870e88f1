"""One Gaussian branch under training: its field, its motion net, their optimisers, and everything a checkpoint needs of them."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...training_core.state import misfit, strip
from ..model.gaussians import GaussianField
from ..model.motion import LR
from .densify import DensityControl

ADAM_EPS = 1e-15  # Gaussians (docs/hmtalker.md#optimisers)
NET_BETAS, NET_EPS = (0.9, 0.99), 1e-8  # motion nets


class Branch:
    """A field with its net and optimisers.

    Args:
        field: the canonical Gaussians.
        net: FaceMotionNet or MouthMotionNet.
        extent: scene extent in metres: scales the positions' learning rate and the size thresholds.
        max_points: growth stops here.
        net_lr: rate of the net's perceptrons.
        uniform_lr: that rate for every part of the net.
    """

    def __init__(self, field: GaussianField, net: nn.Module, extent: float, max_points: int | None = None,
                 net_lr: float = LR, uniform_lr: bool = False):
        self.field, self.net, self.extent = field, net, extent
        self.field_optimizer = torch.optim.Adam(field.adam_groups(extent), lr=0.0, eps=ADAM_EPS)
        self.net_optimizer = torch.optim.AdamW(net.optimizer_groups(net_lr, uniform_lr), betas=NET_BETAS, eps=NET_EPS)
        for optimizer in (self.field_optimizer, self.net_optimizer):
            for group in optimizer.param_groups:
                group["base_lr"] = group["lr"]
        self.density = DensityControl(field, self.field_optimizer, max_points=max_points)

    def set_rates(self, xyz_factor: float, net_factor: float) -> None:
        """Learning rates of this step, as multiples of their starting values."""
        for group in self.field_optimizer.param_groups:
            group["lr"] = group["base_lr"] * (xyz_factor if group["name"] == "xyz" else 1.0)
        for group in self.net_optimizer.param_groups:
            group["lr"] = group["base_lr"] * net_factor

    def weights(self) -> dict[str, Tensor]:
        """Everything that changes while training, by name, but for the optimisers' moments."""
        out = {f"field.{k}": v for k, v in self.field.state_dict().items()}
        out |= {f"net.{k}": v for k, v in self.net.state_dict().items()}
        return out | {f"density.{k}": v for k, v in self.density.state_dict().items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], net: nn.Module, extent: float, max_points: int | None,
                 net_lr: float, uniform_lr: bool, active: int) -> Branch:
        """The branch with `weights` as in `tensors`, its optimisers still fresh; `net` gives the architecture.

        Raises:
            KeyError, RuntimeError, ValueError: a tensor is missing or does not fit the others.
        """
        device = next(net.parameters()).device
        state = {k: v.to(device) for k, v in tensors.items() if k.startswith(("field.", "net.", "density."))}
        field = field_from(strip(state, "field."), active)
        branch = cls(field, net, extent, max_points, net_lr, uniform_lr)
        empty = GaussianField.empty(len(field), field.sh_degree).state_dict()
        own = branch.weights() | {f"field.{k}": v for k, v in empty.items()}
        wrong = misfit({k: v for k, v in state.items() if k in own}, own)
        if wrong is not None:
            raise ValueError(wrong)
        net.load_state_dict(strip(state, "net."))
        branch.density.load_state_dict(strip(state, "density."))
        return branch


def field_from(state: Mapping[str, Tensor], active: int) -> GaussianField:
    """A field from its state dict, whatever its size; `active` is the degree it renders."""
    return GaussianField(*(state[attribute].clone() for attribute in
                           ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")), active_sh_degree=active)
