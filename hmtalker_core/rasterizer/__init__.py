"""Draw 3D Gaussians: one function, `rasterization`, with gsplat's argument names, and the back ends behind it.

    reference      float64, every Gaussian against every pixel, torch autograd: an oracle for tests, on any device
    cpu            numba on tiles; with gradients `cpu.py`, without gradients the faster `cpu_fused.py`
    cuda_gsplat    gsplat on an NVIDIA GPU, where a tiny test render succeeded
    triton         Triton kernels on a GPU of NVIDIA or AMD, where a tiny test render succeeded

All follow gsplat 1.5.3's "classic" mode (docs/rasterizer.md#conventions). Another back end is a file here and a name in
`backend_registry.py` (docs/adding.md).
"""
from __future__ import annotations

import functools
import logging

import torch
from torch import Tensor

from ..backend_registry import BACKENDS
from .arguments import checked
from .backend import Backend, Rendered, chosen, pending
from .frames import blended, on_background, project_by_torch
from .trial import wait_for_trial

__all__ = ["BACKENDS", "Backend", "blended", "choose_backend", "drawing_device", "must_compile", "on_background", "probe_pending",
           "project_by_torch", "rasterization", "wait_for_trial"]
log = logging.getLogger(__name__)


def rasterization(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor, Ks: Tensor,
                  width: int, height: int, *, near_plane: float = 0.01, far_plane: float = 1e10, eps2d: float = 0.3,
                  sh_degree: int | None = None, backgrounds: Tensor | None = None, render_mode: str = "RGB",
                  backend: str = "auto") -> Rendered:
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
    one, _ = _chosen(scene.means.device, backend)
    return one.render(scene, near_plane, far_plane, eps2d)


def _chosen(device: torch.device, wanted: str) -> tuple[Backend, str]:
    """The choice, said in the log once per process."""
    one, why = chosen(device, wanted)
    _say(f"Rasteriser back end for {device}: {one.name} ({why})")
    return one, why


@functools.lru_cache(maxsize=32)
def _say(message: str) -> None:
    """Logs a message once per process."""
    log.info("%s", message)


def choose_backend(device: torch.device | str, wanted: str = "auto") -> tuple[str, str]:
    """The back end that draws tensors on `device`, and why in a sentence.

    "auto": gsplat where it works, else Triton where that works, else the cpu kernels (tensors of another device are copied to
    memory and back).
    Raises: TalkingHeadsError for a name that is not in BACKENDS or a back end that does not work here.
    """
    one, why = _chosen(torch.device(device), wanted)
    return one.name, why


def probe_pending(device: torch.device | str, wanted: str = "auto") -> bool:
    """Whether `choose_backend` will try gsplat or Triton on `device` first, which may compile for minutes.

    Asking compiles nothing; `wait_for_trial` tries, and tells how long it takes.
    """
    return pending(torch.device(device), wanted)


def must_compile(device: torch.device | str, wanted: str = "auto", gradients: bool = False) -> bool:
    """Whether the next image drawn on `device` waits for a compiler: it is the first on this machine (half a minute perhaps),
    or a back end for GPUs has not been tried yet. Asking compiles nothing.

    Args: as `choose_backend`; gradients: the images are to be learnt from.
    """
    return probe_pending(device, wanted) or _chosen(torch.device(device), wanted)[0].must_compile(gradients)


def drawing_device(device: torch.device, backend: str = "auto") -> torch.device:
    """Where what is drawn should lie as a whole: the CPU where the cpu kernels will draw tensors of `device`, else `device`.

    Copying everything back and forth for each frame, in the one thread that serves a GPU, is slower than a computer without a
    GPU. Said in the log once per process.
    Raises: TalkingHeadsError as `choose_backend` does.
    """
    if device.type in ("cpu", "meta"):  # meta tensors hold nothing to be moved
        return device
    place = _chosen(device, backend)[0].place(device)
    if place != device:
        _say(f"Avatars are trained and rendered on the CPU as a whole: nothing draws them on {device}")
    return place
