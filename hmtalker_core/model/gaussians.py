"""The canonical Gaussian field of one branch (face or inside-mouth): raw parameters, their activations, their learning rates.

Source: TalkingGaussian (docs/hmtalker.md#gaussian-field). Scales go through softplus, not exp. Opacity and
colour are never deformed. Positions are metres in the head frame, quaternions are wxyz.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError

SH_C0 = 0.28209479177387814  # value of the constant spherical harmonic
INITIAL_OPACITY = 0.1
MIN_SQUARED_DISTANCE = 1e-7  # metres^2; keeps coincident points from having no size
# group name in the optimiser -> (attribute of the field, learning rate); xyz's is multiplied by the scene extent
PARAMETERS = {
    "xyz": ("xyz", 1.6e-4),
    "f_dc": ("features_dc", 2.5e-3),
    "f_rest": ("features_rest", 1.25e-4),
    "opacity": ("opacity", 0.05),
    "scaling": ("scaling", 3e-3),
    "rotation": ("rotation", 1e-3),
}


def mean_squared_neighbour_distance(points: Tensor, neighbours: int = 3, chunk: int = 4096) -> Tensor:  # [N, 3] -> [N]
    """Mean of the squared distances to the nearest `neighbours` other points, metres^2. Zero for a lone point."""
    wanted = min(neighbours, len(points) - 1)
    if wanted < 1:
        return points.new_zeros(len(points))
    rows = []
    for start in range(0, len(points), chunk):
        part = points[start:start + chunk]
        squared = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist").square()
        own = torch.arange(start, start + len(part), device=points.device)
        squared[own - start, own] = torch.inf
        rows.append(squared.topk(wanted, largest=False).values.mean(-1))
    return torch.cat(rows)


class GaussianField(nn.Module):
    """N Gaussians as raw, optimisable parameters.

    Attributes:
        xyz: [N, 3] centres, metres, head frame.
        features_dc, features_rest: [N, 1, 3], [N, K - 1, 3] spherical harmonic coefficients, K = (sh_degree + 1)^2.
        scaling: [N, 3] raw; softplus gives the standard deviation along each axis in metres.
        rotation: [N, 4] raw wxyz; normalised on use.
        opacity: [N, 1] raw; sigmoid gives 0..1.
        sh_degree: highest degree stored (0..3).
        active_sh_degree: degree rendered now; starts at 0 and grows during training (`grow_sh_degree`).
    """

    def __init__(self, xyz: Tensor, features_dc: Tensor, features_rest: Tensor, scaling: Tensor, rotation: Tensor,
                 opacity: Tensor, *, active_sh_degree: int = 0):
        super().__init__()
        self.xyz = nn.Parameter(xyz)
        self.features_dc = nn.Parameter(features_dc)
        self.features_rest = nn.Parameter(features_rest)
        self.scaling = nn.Parameter(scaling)
        self.rotation = nn.Parameter(rotation)
        self.opacity = nn.Parameter(opacity)
        self.sh_degree = round((1 + features_rest.shape[1]) ** 0.5) - 1
        self.active_sh_degree = active_sh_degree

    @classmethod
    def create(cls, points: Tensor, colors: Tensor, sh_degree: int = 2) -> GaussianField:
        """A field on a point cloud: grey-transparent isotropic blobs as large as the spacing of the points.

        Args:
            points: [N, 3] metres.
            colors: [N, 3] RGB in 0..1.
            sh_degree: highest degree stored.
        Raises:
            TalkingHeadsError: `points` is empty or of another shape, or `colors` does not match it.
        """
        if points.ndim != 2 or points.shape[-1] != 3 or len(points) == 0 or colors.shape != points.shape:
            raise TalkingHeadsError("Points and colours must both be [N, 3] with N at least 1",
                                    f"points {tuple(points.shape)}, colours {tuple(colors.shape)}", "Give one colour a point")
        n = len(points)
        field = cls.empty(n, sh_degree, device=points.device)
        spacing = mean_squared_neighbour_distance(points.float()).clamp_min(MIN_SQUARED_DISTANCE).sqrt()
        with torch.no_grad():
            field.xyz.copy_(points)
            field.features_dc.copy_(((colors - 0.5) / SH_C0)[:, None])
            field.scaling.copy_(spacing.log()[:, None].expand(n, 3))  # log, although softplus reads it: equal for small sizes
            field.opacity.fill_(INITIAL_OPACITY).logit_()
        return field

    @classmethod
    def empty(cls, n: int, sh_degree: int = 2, device: torch.device | None = None) -> GaussianField:
        """A field of `n` Gaussians with zero parameters and unit rotations, to be filled from a state dict."""
        rest = (sh_degree + 1) ** 2 - 1
        shapes = ((n, 3), (n, 1, 3), (n, rest, 3), (n, 3), (n, 4), (n, 1))
        tensors = [torch.zeros(shape, device=device) for shape in shapes]
        tensors[4][:, 0] = 1.0
        return cls(*tensors)

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def scales(self) -> Tensor:
        """[N, 3] standard deviations, metres."""
        return F.softplus(self.scaling)

    @property
    def opacities(self) -> Tensor:
        """[N] in 0..1."""
        return torch.sigmoid(self.opacity).squeeze(-1)

    @property
    def quats(self) -> Tensor:
        """[N, 4] unit quaternions wxyz."""
        return F.normalize(self.rotation, dim=-1)

    @property
    def sh(self) -> Tensor:
        """[N, K, 3] spherical harmonic coefficients, the constant one first."""
        return torch.cat([self.features_dc, self.features_rest], dim=1)

    def deformed(self, d_xyz: Tensor | None = None, d_rot: Tensor | None = None,
                 d_scale: Tensor | None = None) -> dict[str, Tensor]:
        """The field moved by offsets on the raw parameters, under the rasteriser's argument names.

        Args:
            d_xyz, d_rot, d_scale: [..., N, 3], [..., N, 4], [..., N, 3] or None for no change; leading dimensions are frames.
        Returns:
            means [..., N, 3], quats [..., N, 4], scales [..., N, 3], opacities [N], colors [N, K, 3].
        """
        return {
            "means": self.xyz if d_xyz is None else self.xyz + d_xyz,
            "quats": self.quats if d_rot is None else F.normalize(self.rotation + d_rot, dim=-1),
            "scales": self.scales if d_scale is None else F.softplus(self.scaling + d_scale),
            "opacities": self.opacities,
            "colors": self.sh,
        }

    def grow_sh_degree(self) -> None:
        """Renders one more degree from now on, up to `sh_degree` (every 1 000 steps)."""
        self.active_sh_degree = min(self.active_sh_degree + 1, self.sh_degree)

    def adam_groups(self, extent: float) -> list[dict]:
        """Parameter groups for Adam(eps=1e-15): one parameter each, with `lr` and `name` (docs/hmtalker.md#optimisers).

        Args:
            extent: scene extent in metres; multiplies the positions' learning rate.
        """
        return [{"params": [getattr(self, attribute)], "lr": lr * extent if name == "xyz" else lr, "name": name}
                for name, (attribute, lr) in PARAMETERS.items()]
