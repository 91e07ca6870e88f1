"""Draw 3D Gaussians: one function, `rasterization`, with gsplat's argument names, and the back ends behind it.

    reference      float64, every Gaussian against every pixel, torch autograd: an oracle for tests, on any device
    cpu            numba on tiles; with gradients `cpu.py`, without gradients the faster `cpu_fused.py`
    cuda_gsplat    gsplat on an NVIDIA card, where a tiny test render succeeded

All follow gsplat 1.5.3's "classic" mode (docs/rasterizer.md#conventions).
"""
from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from .arguments import Scene, checked
from .projection import Projected, project, sh_colors

log = logging.getLogger(__name__)

BACKENDS = ("reference", "cpu", "cuda_gsplat")


def rasterization(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor, Ks: Tensor,
                  width: int, height: int, *, near_plane: float = 0.01, far_plane: float = 1e10, eps2d: float = 0.3,
                  sh_degree: int | None = None, backgrounds: Tensor | None = None, render_mode: str = "RGB",
                  backend: str = "auto") -> tuple[Tensor, Tensor, dict]:
    """Render Gaussians into C cameras; differentiable in everything but `Ks`, `width` and `height`.

    Leading dimensions `...` of all arguments broadcast: Gaussians shared by all frames [N, 3] go with per-frame means [B, N, 3]
    and cameras [B, 1, 4, 4]. Nothing is copied per frame on the way.

    Args:
        means: [..., N, 3] centres in the world. quats: [..., N, 4] wxyz, any length. scales: [..., N, 3] standard deviations > 0.
        opacities: [..., N] 0..1. colors: [..., N, D], or with `sh_degree` harmonics [..., N, K, 3], constant term first.
        viewmats: [..., C, 4, 4] world to camera, OpenCV axes (x right, y down, z forward). Ks: [..., C, 3, 3] pinhole, pixels.
        width, height: pixels. near_plane, far_plane: z range drawn. eps2d: blur added to each 2D covariance, px^2.
        backgrounds: [..., C, D] colour behind everything; None leaves black with the colours weighted by alpha.
        render_mode: "RGB", or "RGB+D" for one more channel, the sum of weight x z (not divided by alpha).
        backend: one of BACKENDS, or "auto" (see `choose_backend`).

    Returns:
        render [..., C, H, W, D (+1)], alphas [..., C, H, W, 1] 0..1, meta: means2d [..., C, N, 2] pixels (in the graph:
        call retain_grad on it to get gradients in pixels), radii int32 [..., C, N, 2] (0 = not drawn), depths [..., C, N],
        backend.

    Raises: TalkingHeadsError for shapes that do not fit, NaN or infinity, devices that differ, or a back end that is not there.
    """
    scene = checked({"means": means, "quats": quats, "scales": scales, "opacities": opacities, "colors": colors,
                     "viewmats": viewmats, "Ks": Ks, "backgrounds": backgrounds},
                    width, height, near_plane, far_plane, sh_degree, render_mode)
    name, _ = choose_backend(scene.means.device, backend)
    if name == "cuda_gsplat":
        from . import cuda_gsplat
        image, alpha, meta = cuda_gsplat.render(scene, near_plane, far_plane, eps2d)
        return on_background(image, alpha, scene), alpha, meta
    return (_cpu if name == "cpu" else _reference)(scene, near_plane, far_plane, eps2d)


def _reference(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Tensor, Tensor, dict]:
    """Everything in float64 torch."""
    from .reference import render
    wide = scene._replace(**{name: value.double() for name, value in scene._asdict().items() if isinstance(value, Tensor)})
    splats, colors = project_by_torch(wide, near_plane, far_plane, eps2d)
    image, alpha, meta = _blended(wide, splats, colors, render, "reference", scene.means.device)
    return image.to(scene.means.dtype), alpha.to(scene.means.dtype), meta


def _cpu(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Tensor, Tensor, dict]:
    """numba; tensors of another device are copied there and back, gradients too. numba is imported here, at first use."""
    from . import cpu, cpu_fused
    device = scene.means.device
    tensors = {name: value for name, value in scene._asdict().items() if isinstance(value, Tensor)}
    scene = scene._replace(**{name: value.cpu() for name, value in tensors.items()})
    if torch.is_grad_enabled() and any(value.requires_grad for value in tensors.values()):
        splats, colors = cpu.project(scene, near_plane, far_plane, eps2d)
        return _blended(scene, splats, colors, cpu.blend, "cpu", device)
    image, alpha, meta = cpu_fused.render(scene, near_plane, far_plane, eps2d)
    return image.to(device), alpha.to(device), {k: v.to(device) if isinstance(v, Tensor) else v for k, v in meta.items()}


def project_by_torch(scene: Scene, near_plane: float = 0.01, far_plane: float = 1e10, eps2d: float = 0.3
                     ) -> tuple[Projected, Tensor]:
    """Splats with fields [M, N, ...] and colours [M, N, D] of all M = B x C frames, by `projection.py`."""
    means, quats, scales, opacities = (value.unsqueeze(axis) for value, axis in (
        (scene.means, -3), (scene.quats, -3), (scene.scales, -3), (scene.opacities, -2)))
    viewmats, intrinsics = scene.viewmats[..., None, :, :], scene.intrinsics.detach()[..., None, :, :]
    splats = project(means, quats, scales, opacities, viewmats, intrinsics, scene.width, scene.height,
                     near_plane, far_plane, eps2d)
    if scene.sh_degree is None:
        colors = scene.colors.unsqueeze(-3)
    else:
        colors = sh_colors(scene.colors.unsqueeze(-4), means, viewmats, scene.sh_degree)
    lead = (*scene.batch, scene.cameras, scene.points)
    splats = Projected(*(field.expand(*lead, *tail).reshape(scene.frames, scene.points, *tail)
                         for field, tail in zip(splats, ((2,), (3,), (), (2,)), strict=True)))
    return splats, colors.expand(*lead, colors.shape[-1]).reshape(scene.frames, scene.points, colors.shape[-1])


def _blended(scene: Scene, splats: Projected, colors: Tensor, blend: Callable, name: str, device: torch.device
             ) -> tuple[Tensor, Tensor, dict]:
    """Blend splats [M, N, ...] and give the results their leading dimensions, on `device`.

    meta's tensors stay in the graph: where `device` is another than the splats', the image is made from their copies' copies.
    """
    lead = (*scene.batch, scene.cameras)
    means2d, depths = (value.reshape(*lead, *value.shape[1:]).to(device) for value in (splats.means2d, splats.depths))
    flat = scene.frames, scene.points
    splats = splats._replace(means2d=means2d.reshape(*flat, 2).to(colors.device), depths=depths.reshape(flat).to(colors.device))
    if scene.with_depth:
        colors = torch.cat([colors, splats.depths[..., None]], -1)
    opacities = scene.opacities.unsqueeze(-2).expand(*lead, scene.points).reshape(flat)
    image, alpha = blend(splats, colors, opacities, scene.width, scene.height)
    image, alpha = (value.reshape(*lead, *value.shape[1:]) for value in (image, alpha))
    radii = splats.radii.reshape(*lead, scene.points, 2).to(device)
    meta = {"means2d": means2d, "radii": radii, "depths": depths, "backend": name}
    return on_background(image, alpha, scene).to(device), alpha.to(device), meta


def on_background(image: Tensor, alpha: Tensor, scene: Scene) -> Tensor:
    """Add the background behind the colours [..., C, H, W, D (+1)]; depth, if there is any, has none."""
    if scene.backgrounds is None:
        return image
    behind = scene.backgrounds.to(image.dtype)[..., None, None, :] * (1.0 - alpha)
    if scene.with_depth:
        behind = torch.cat([behind, torch.zeros_like(behind[..., :1])], -1)
    return image + behind


def _chosen(device: torch.device, wanted: str) -> tuple[str, str]:
    """The choice. What is found out about a card is kept in `cuda_gsplat`; a card that was only full is asked again."""
    from . import cuda_gsplat
    missing = cuda_gsplat.why_not(device) if wanted in ("auto", "cuda_gsplat") else None
    if wanted == "auto":
        name = "cpu" if missing else "cuda_gsplat"
        why = f"cuda_gsplat is not used: {missing}" if missing else f"a test render with gsplat succeeded on {device}"
    else:
        name, why = wanted, "asked for by name"
        if wanted == "cuda_gsplat" and missing:
            raise TalkingHeadsError("The back end cuda_gsplat needs an NVIDIA card and a working gsplat", missing,
                                    'Use backend="auto" or "cpu", or install gsplat with a CUDA compiler')
    _say(f"Rasteriser back end for {device}: {name} ({why})")
    return name, why


@functools.lru_cache(maxsize=32)
def _say(message: str) -> None:
    """Logs a message once a process."""
    log.info("%s", message)


def choose_backend(device: torch.device | str, wanted: str = "auto") -> tuple[str, str]:
    """The back end that draws tensors on `device`, and why in a sentence.

    "auto": gsplat where it works, otherwise the cpu kernels (tensors of another device are copied to memory and back).
    Raises: TalkingHeadsError for a name that is not in BACKENDS or a back end that does not work here.
    """
    if wanted != "auto" and wanted not in BACKENDS:
        raise TalkingHeadsError(f"The rasteriser's back end must be auto or one of {', '.join(BACKENDS)}",
                                repr(wanted), "Choose one of them")
    return _chosen(torch.device(device), wanted)


def probe_pending(device: torch.device | str, wanted: str = "auto") -> bool:
    """Whether `choose_backend` will try gsplat on `device` first, which may compile for minutes. Asking compiles nothing."""
    from . import cuda_gsplat

    return wanted in ("auto", "cuda_gsplat") and cuda_gsplat.is_pending(torch.device(device))


def must_compile(device: torch.device | str, wanted: str = "auto", gradients: bool = False) -> bool:
    """Whether the next picture drawn on `device` waits for a compiler: it is the first on this machine (half a minute perhaps),
    or gsplat has not been tried yet. Asking compiles nothing.

    Args: as `choose_backend`; gradients: the pictures are to be learnt from.
    """
    if probe_pending(device, wanted):
        return True
    if choose_backend(device, wanted)[0] != "cpu":
        return False
    from . import kernels
    from .jit import is_compiled

    return not is_compiled(kernels.blend_backward if gradients else kernels.blend)


def drawing_device(device: torch.device, backend: str = "auto") -> torch.device:
    """Where what is drawn should lie as a whole: the CPU where the cpu kernels will draw tensors of `device`, else `device`.

    Everything to and fro for each frame, in the one thread that serves a card, is slower than a computer without a card. Said
    in the log once a process.
    Raises: TalkingHeadsError as `choose_backend` does.
    """
    if device.type in ("cpu", "meta") or choose_backend(device, backend)[0] != "cpu":  # meta tensors hold nothing to be moved
        return device
    _say(f"Avatars are trained and rendered on the CPU as a whole: nothing draws them on {device}")
    return torch.device("cpu")
