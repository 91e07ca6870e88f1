"""What `rasterization` was given, checked and brought to one shape."""
from __future__ import annotations

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from .constants import MAX_SH_DEGREE

RENDER_MODES = ("RGB", "RGB+D")


class Scene(NamedTuple):
    """Checked arguments with their own leading dimensions (each broadcasts to `batch`); one dtype, one device."""

    means: Tensor               # [..., N, 3]
    quats: Tensor               # [..., N, 4] wxyz, any length
    scales: Tensor              # [..., N, 3] standard deviations
    opacities: Tensor           # [..., N] 0..1
    colors: Tensor              # [..., N, D], or [..., N, K, 3] spherical harmonics when sh_degree is set
    viewmats: Tensor            # [..., C, 4, 4] world to camera, OpenCV axes
    intrinsics: Tensor          # [..., C, 3, 3] pinhole, pixels
    backgrounds: Tensor | None  # [..., C, D]
    batch: tuple[int, ...]      # broadcast leading dimensions
    width: int                  # pixels
    height: int                 # pixels
    sh_degree: int | None       # None: colors are colours
    with_depth: bool            # the sum of weight x depth follows the colours as one more channel

    @property
    def cameras(self) -> int:
        return self.viewmats.shape[-3]

    @property
    def frames(self) -> int:
        """M = B x C, the images to draw."""
        return math.prod(self.batch) * self.cameras

    @property
    def points(self) -> int:
        return self.means.shape[-2]

    @property
    def channels(self) -> int:
        """Colour channels D, depth not counted."""
        return 3 if self.sh_degree is not None else self.colors.shape[-1]


def checked(tensors: dict[str, Tensor | None], width: int, height: int, near_plane: float, far_plane: float,
            sh_degree: int | None, render_mode: str) -> Scene:
    """A Scene, or a TalkingHeadsError that names the first argument that does not fit.

    Args: tensors: means, quats, scales, opacities, colors, viewmats, Ks, backgrounds (may be None) as in `rasterization`.
    """
    _check_settings(width, height, near_plane, far_plane, sh_degree, render_mode)
    given = {name: value for name, value in tensors.items() if value is not None}
    _check_shapes(given, sh_degree)
    _check_devices(given)
    dtype = given["means"].dtype if given["means"].dtype in (torch.float32, torch.float64) else torch.float32
    t = {name: value.to(dtype) for name, value in given.items()}
    _check_finite(t)
    leading = [value.shape[:-_own_dims(name, sh_degree)] for name, value in t.items()]
    try:
        batch = torch.broadcast_shapes(*leading)
    except RuntimeError as reason:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in t.items())
        raise TalkingHeadsError("The leading (batch) dimensions of all arguments must broadcast", shapes,
                                "Give every argument the same leading dimensions, or none") from reason
    return Scene(means=t["means"], quats=t["quats"], scales=t["scales"], opacities=t["opacities"], colors=t["colors"],
                 viewmats=t["viewmats"], intrinsics=t["Ks"], backgrounds=t.get("backgrounds"), batch=tuple(batch),
                 width=int(width), height=int(height), sh_degree=sh_degree, with_depth=render_mode == "RGB+D")


def _check_settings(width: int, height: int, near_plane: float, far_plane: float, sh_degree: int | None,
                    render_mode: str) -> None:
    if render_mode not in RENDER_MODES:
        raise TalkingHeadsError(f"`render_mode` must be one of {', '.join(RENDER_MODES)}", repr(render_mode),
                                "Ask for one of them")
    for name, size in (("width", width), ("height", height)):
        if not isinstance(size, Integral) or size < 1:
            raise TalkingHeadsError(f"`{name}` must be a whole number of pixels above 0", repr(size),
                                    "Give the image size in pixels")
    if sh_degree is not None and not 0 <= sh_degree <= MAX_SH_DEGREE:
        raise TalkingHeadsError(f"`sh_degree` must be 0..{MAX_SH_DEGREE} or None", repr(sh_degree), "Lower the degree")
    if not 0 <= near_plane < far_plane:
        raise TalkingHeadsError("`near_plane` must be at least 0 and below `far_plane`", f"{near_plane} and {far_plane}",
                                "Give distances in the unit of the means")


def _own_dims(name: str, sh_degree: int | None) -> int:
    """How many trailing dimensions of an argument are not leading dimensions."""
    if name == "colors":
        return 2 if sh_degree is None else 3
    return {"means": 2, "quats": 2, "scales": 2, "opacities": 1, "viewmats": 3, "Ks": 3, "backgrounds": 2}[name]


def _check_shapes(tensors: dict[str, Tensor], sh_degree: int | None) -> None:
    """Types, then trailing dimensions one by one; None in a pattern is any size above zero."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise TalkingHeadsError(f"`{name}` must be a tensor of floating-point numbers",
                                    str(getattr(value, "dtype", type(value).__name__)),
                                    "Convert it with torch.as_tensor(..., dtype=torch.float32)")
    points = tensors["means"].shape[-2] if tensors["means"].dim() > 1 else None        # none at all is allowed
    _check_shape("means", tensors["means"], (points, 3), "Give one row for each Gaussian")
    _check_shape("viewmats", tensors["viewmats"], (None, 4, 4), "Add a camera dimension: viewmats[None]")
    n, c = tensors["means"].shape[-2], tensors["viewmats"].shape[-3]
    _check_shape("colors", tensors["colors"], (n, None) if sh_degree is None else (n, None, 3),
                 f"There are {n} means: give as many rows")
    d = 3 if sh_degree is not None else tensors["colors"].shape[-1]
    for name, pattern in (("quats", (n, 4)), ("scales", (n, 3)), ("opacities", (n,)), ("Ks", (c, 3, 3)), ("backgrounds", (c, d))):
        if name in tensors:
            _check_shape(name, tensors[name], pattern, f"There are {n} means and {c} view matrices: give one row for each")
    if sh_degree is not None and tensors["colors"].shape[-2] < (sh_degree + 1) ** 2:
        raise TalkingHeadsError(f"`colors` must hold at least {(sh_degree + 1) ** 2} harmonics for `sh_degree` {sh_degree}",
                                str(tensors["colors"].shape[-2]), "Lower `sh_degree`")


def _check_shape(name: str, value: Tensor, pattern: tuple[int | None, ...], do: str) -> None:
    tail = tuple(value.shape[-len(pattern):])
    fits = len(tail) == len(pattern) and all(got > 0 if want is None else got == want
                                             for want, got in zip(pattern, tail, strict=True))
    if not fits:
        wanted = ", ".join("*" if size is None else str(size) for size in pattern)
        raise TalkingHeadsError(f"`{name}` must have shape [..., {wanted}]", str(list(value.shape)), do)


def _check_devices(tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        if value.device != tensors["means"].device:
            raise TalkingHeadsError(f"`{name}` must be on the device of `means`, {tensors['means'].device}", str(value.device),
                                    "Move it with .to(means.device)")


def _check_finite(tensors: dict[str, Tensor]) -> None:
    """On the CPU by numpy (torch would wake its threads for it), elsewhere with one synchronisation for all arguments."""
    values = [value.detach() for value in tensors.values()]
    if values[0].device.type == "cpu":
        finite = [np.isfinite(value.numpy()).all() for value in values]
    else:
        finite = torch.stack([value.isfinite().all() for value in values]).tolist()
    for name, good in zip(tensors, finite, strict=True):
        if not good:
            raise TalkingHeadsError(f"`{name}` must hold finite numbers only", "NaN or infinity",
                                    "Look for the step that made them: a division by zero, or a training that diverged")
