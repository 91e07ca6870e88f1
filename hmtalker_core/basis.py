"""The deformation of a trained avatar as a mean and K components: a fast way of rendering, and what a browser can play.

Layout (int8 components in an avatar file, and for a player): P = 10 N + 3 M numbers, for each of the N Gaussians of the face
three of position, four of rotation, three of scale, then for each of the M of the mouth three of position;

    offsets[j] = (mean[j] + sum over k of coefficients[k] x scales[k] x components[k, j]) x units[kind of j]

are added to positions in metres (head frame), raw quaternions (wxyz) and raw scales (softplus gives metres). `coefficients` gives
K numbers a frame. They come from the nets at a few hundred chosen Gaussians only, by least squares: no code outside of those that
were fitted is guessed, and the nets do a twentieth of their work.
"""
from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ..media_core.motion import UPPER_INDEX
from .model.motion import FaceCache, MouthCache

if TYPE_CHECKING:
    from .avatar_motion import AvatarMotion
    from .avatar_rendering import Rendering

Deformation = Literal["exact", "basis"]
DEFORMATIONS: tuple[Deformation, ...] = ("exact", "basis")
COMPONENTS = 12      # by default
FACE_NUMBERS, MOUTH_NUMBERS = (3, 4, 3), 3  # of a Gaussian: position, rotation, scale
KINDS = 4            # position, rotation, scale of the face; position of the mouth
_STABLE = 1e-9       # of the largest entry, added to the normal equations


@dataclass(frozen=True)
class LinearBasis:
    """See the module."""

    mean: Tensor          # float32 [P], in units
    components: Tensor    # int8 [K, P], in units
    scales: Tensor        # float32 [K], of a component's numbers
    units: Tensor         # float32 [4], see KINDS
    points: Tensor        # int64 [S], Gaussians of the face from which coefficients are computed
    mouth_points: Tensor  # int64 [S'], of the mouth
    faces: int            # N
    psnr: float           # dB, of frames drawn so to exact ones, on speech that was not fitted

    def to(self, device: str | torch.device) -> LinearBasis:
        """The same on another device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """What an avatar file holds."""
        return {field.name: value for field in fields(self) if isinstance(value := getattr(self, field.name), Tensor)}

    @cached_property
    def _kinds(self) -> Tensor:
        """[P] unit of each number."""
        face = self.units[:3].repeat_interleave(torch.tensor(FACE_NUMBERS, device=self.units.device)).repeat(self.faces)
        return torch.cat([face, self.units[3].expand(len(self.mean) - len(face))])

    @cached_property
    def _rows(self) -> Tensor:
        """Numbers of the chosen Gaussians."""
        wide, start = sum(FACE_NUMBERS), self.faces * sum(FACE_NUMBERS)
        number = lambda points, n: (points[:, None] * n + torch.arange(n, device=points.device)).flatten()
        return torch.cat([number(self.points, wide), start + number(self.mouth_points, MOUTH_NUMBERS)])

    @cached_property
    def _solve(self) -> Tensor:
        """float32 [R, K]: numbers of the chosen Gaussians, in units, without the mean -> coefficients."""
        part = (self.components[:, self._rows].double() * self.scales[:, None].double())
        gram = part @ part.T
        gram.diagonal().add_(_STABLE * gram.diagonal().max())
        return torch.linalg.solve(gram, part).T.float().contiguous()

    @cached_property
    def _at_rows(self) -> tuple[Tensor, Tensor]:
        """Unit and mean of the numbers of the chosen Gaussians."""
        return self._kinds[self._rows], self.mean[self._rows]

    def _few(self, face: FaceCache, mouth: MouthCache) -> tuple[FaceCache, MouthCache]:
        """The chosen Gaussians' part of an avatar's caches; of the last avatar it is kept."""
        kept = self.__dict__.get("_chosen")
        if kept is None or kept[0] is not face:
            few = FaceCache(face.first[self.points], face.attention[self.points]), MouthCache(mouth.first[self.mouth_points])
            kept = self.__dict__["_chosen"] = (face, few)
        return kept[1]

    def coefficients(self, avatar: Rendering, motion: AvatarMotion, begin: int, end: int) -> Tensor:  # -> [B, K]
        """Of frames begin..end; the same in any chunk."""
        few, inside = self._few(*avatar.position_caches)
        device, unit, mean = self.mean.device, *self._at_rows
        codes, mouth_codes = (part[begin:end].to(device) for part in (motion.codes, motion.mouth_codes))
        upper = motion.au[begin:end, list(UPPER_INDEX)].to(device)
        out = []
        for i in range(len(codes)):
            moved = torch.cat(avatar.face_net.deform_cached(few, codes[i:i + 1], upper[i:i + 1]), dim=-1)
            seen = torch.cat([moved.flatten(), avatar.mouth_net.deform_cached(inside, mouth_codes[i:i + 1]).flatten()])
            out.append((seen / unit - mean)[None] @ self._solve)
        return torch.cat(out)

    def offsets(self, coefficients: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:  # [B, K]
        """What `Avatar.offsets` gives."""
        weights = coefficients * self.scales
        moved = torch.stack([(self.mean + w @ self.components.to(w.dtype)) * self._kinds for w in weights])
        face, mouth = moved.split([self.faces * sum(FACE_NUMBERS), moved.shape[1] - self.faces * sum(FACE_NUMBERS)], dim=1)
        d_xyz, d_rot, d_scale = face.unflatten(1, (self.faces, -1)).split(FACE_NUMBERS, dim=-1)
        return (d_xyz, d_rot, d_scale), mouth.unflatten(1, (-1, MOUTH_NUMBERS))
