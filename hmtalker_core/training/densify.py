"""Growing and thinning the Gaussians during training (docs/hmtalker.md#densification).

Own density control rather than a library's: scales pass through softplus, and the published order of rows (survivors,
clones, splits) and treatment of the optimiser's moments are kept, so that runs can be compared.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...media_core.errors import TalkingHeadsError
from ...training_core.process_group import SingleProcess
from ..model.gaussians import GaussianField

SPLIT = 2              # Gaussians that replace a split one
SHRINK = 0.8 * SPLIT   # their size is divided by this
LARGE = 0.1            # of the extent: larger Gaussians are removed once size is tested


@dataclass(frozen=True)
class DensifyReport:
    """What one step did."""
    cloned: int   # small Gaussians doubled
    split: int    # large Gaussians replaced by two
    pruned: int   # Gaussians removed for opacity or size, new ones included
    total: int    # Gaussians afterwards


def inverse_softplus(scale: Tensor) -> Tensor:  # positive -> raw
    return scale + torch.log(-torch.expm1(-scale))


def rotation_matrices(quats: Tensor) -> Tensor:  # [N, 4] unit wxyz -> [N, 3, 3]
    w, x, y, z = quats.unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


class DensityControl:
    """Statistics of the screen-space gradient, and the steps they lead to.

    Every parameter of the field whose first dimension counts Gaussians is edited, whatever its name, together with its moments
    in `optimizer` (one parameter a group, as `GaussianField.adam_groups` makes them).

    Args:
        field: the Gaussians.
        optimizer: Adam over the field's parameters.
        percent_dense: of the extent; Gaussians up to this size are cloned, larger ones split.
        max_points: growth stops here: only the candidates of the largest gradient grow. None: no limit.
    """

    def __init__(self, field: GaussianField, optimizer: Optimizer, percent_dense: float = 0.005,
                 max_points: int | None = None):
        self.field, self.optimizer, self.percent_dense, self.max_points = field, optimizer, percent_dense, max_points
        self.reset()

    def reset(self) -> None:
        """Forgets the statistics."""
        self.gradient = self.field.xyz.new_zeros(len(self.field))  # [N] sum of norms, in units of half the image
        self.seen = self.field.xyz.new_zeros(len(self.field))      # [N] how often each was visible

    @torch.no_grad()
    def accumulate(self, means2d_grad: Tensor, radii: Tensor, width: int, height: int) -> None:
        """Adds one rendering's gradients.

        Args:
            means2d_grad: [..., N, 2] gradient of the loss to the projected centres, per pixel.
            radii: [..., N, 2] or [..., N] pixels; a Gaussian was visible where they are positive.
            width, height: of the image in pixels; the gradient is counted per half image, so thresholds hold at any size.
        """
        visible = (radii > 0).all(-1) if radii.ndim == means2d_grad.ndim else radii > 0
        norm = (means2d_grad * means2d_grad.new_tensor([width / 2, height / 2])).norm(dim=-1)
        visible, norm = visible.reshape(-1, len(self.field)), norm.reshape(-1, len(self.field))
        self.gradient += torch.where(visible, norm, 0.0).sum(0)
        self.seen += visible.sum(0)

    def accumulate_all(self, renderings: Sequence[tuple[Tensor, Tensor]], width: int, height: int, group: SingleProcess) -> None:
        """`accumulate` of the renderings (means2d_grad, radii) that all processes have made."""
        before = self.gradient, self.seen
        if group.size > 1:  # what is new is added up, and then added to what was there
            self.reset()
        for means2d_grad, radii in renderings:
            self.accumulate(means2d_grad, radii, width, height)
        if group.size > 1:
            self.gradient, self.seen = before[0] + group.total(self.gradient), before[1] + group.total(self.seen)

    @torch.no_grad()
    def densify_and_prune(self, grad_threshold: float, min_opacity: float, extent: float, max_screen: float | None = None, *,
                          generator: torch.Generator | None = None, noise: Tensor | None = None) -> DensifyReport:
        """Clones, splits, prunes, and resets the statistics.

        Args:
            grad_threshold: mean gradient from which a Gaussian grows.
            min_opacity: below this it is removed.
            extent: scene extent in metres.
            max_screen: None while young; any number also removes those larger than 0.1 extent. The number itself stands for
                the published screen-size test, which never fires there (its radii are zeroed first) and is not made here.
            generator: for the split's noise.
            noise: [2 S, 3] standard normal for S split Gaussians, first all first halves, then all second ones; instead of
                the generator.
        Raises:
            TalkingHeadsError: nothing would be left.
        """
        field = self.field
        mean = (self.gradient / self.seen).nan_to_num(nan=0.0, posinf=torch.inf)  # never seen: 0 / 0
        grows = self._within_cap(mean >= grad_threshold, mean)
        large = field.scales.max(-1).values > self.percent_dense * extent
        cloned, parents = (grows & ~large).nonzero()[:, 0], (grows & large).nonzero()[:, 0]
        kept, halves = (~(grows & large)).nonzero()[:, 0], parents.repeat(SPLIT)
        rows = torch.cat([kept, cloned, halves])
        scaling, xyz = field.scaling[rows], field.xyz[rows]
        if len(halves):
            scales = field.scales[halves]
            noise = self._noise(scales, generator) if noise is None else noise.to(scales)
            offsets = rotation_matrices(field.quats[halves]) @ (scales * noise)[..., None]
            xyz[-len(halves):] += offsets[..., 0]
            scaling[-len(halves):] = inverse_softplus(scales / SHRINK)
        stays = field.opacities[rows] >= min_opacity
        if max_screen is not None:
            stays &= nn.functional.softplus(scaling).max(-1).values <= LARGE * extent
        fresh = torch.arange(len(rows), device=rows.device) >= len(kept)
        self._rebuild(rows[stays], fresh[stays], {"xyz": xyz[stays], "scaling": scaling[stays]})
        self.reset()
        return DensifyReport(len(cloned), len(parents), int((~stays).sum()), len(field))

    @torch.no_grad()
    def prune(self, mask: Tensor) -> None:  # [N] bool, True is removed
        """Removes Gaussians; the others keep their moments and statistics."""
        rows = (~mask).nonzero()[:, 0]
        self._rebuild(rows, torch.zeros_like(rows, dtype=torch.bool), {})
        self.gradient, self.seen = self.gradient[rows], self.seen[rows]

    def state_dict(self) -> dict[str, Tensor]:
        """The statistics, for a checkpoint."""
        return {"gradient": self.gradient, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes up statistics saved for the field as it is now.

        Raises:
            ValueError: those of another number of Gaussians.
        """
        gradient, seen = (state[name].to(self.field.xyz) for name in ("gradient", "seen"))
        if gradient.shape != self.gradient.shape or seen.shape != self.seen.shape:
            raise ValueError(f"statistics of {list(gradient.shape)} and {list(seen.shape)} for {len(self.field)} Gaussians")
        self.gradient, self.seen = gradient, seen

    def _within_cap(self, grows: Tensor, mean: Tensor) -> Tensor:  # [N] bool, [N] -> [N] bool
        room = len(grows) if self.max_points is None else max(0, self.max_points - len(grows))
        if int(grows.sum()) <= room:
            return grows
        best = torch.where(grows, mean, -1.0).topk(room).indices
        return torch.zeros_like(grows).index_fill_(0, best, True)

    @staticmethod
    def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
        device = generator.device if generator is not None else like.device
        return torch.randn(like.shape, generator=generator, device=device).to(like)

    def _rebuild(self, rows: Tensor, fresh: Tensor, changed: dict[str, Tensor]) -> None:
        """Makes row i of every parameter its old row `rows[i]` (or that of `changed`); fresh rows start with zero moments."""
        if len(rows) == 0:
            raise TalkingHeadsError("At least one Gaussian must remain", f"all {len(self.field)} would be removed",
                                    "Lower the pruning opacity, or check the masks of the training frames")
        groups = {id(group["params"][0]): group for group in self.optimizer.param_groups if len(group["params"]) == 1}
        for name, old in list(self.field.named_parameters()):
            new = nn.Parameter(changed.get(name, old.detach()[rows]).contiguous(), requires_grad=old.requires_grad)
            setattr(self.field, name, new)
            group = groups.get(id(old))
            if group is None:
                continue
            group["params"][0] = new
            state = self.optimizer.state.pop(old, None)
            if state is not None:
                self.optimizer.state[new] = {key: self._moments(value, old, rows, fresh) for key, value in state.items()}

    @staticmethod
    def _moments(value: Tensor, old: Tensor, rows: Tensor, fresh: Tensor) -> Tensor:
        if not torch.is_tensor(value) or value.shape != old.shape:
            return value  # the step counter
        value = value[rows]
        value[fresh] = 0
        return value
