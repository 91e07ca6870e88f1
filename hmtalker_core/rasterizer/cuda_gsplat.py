"""gsplat 1.5.3 on an NVIDIA card, behind the same function.

gsplat's wheel holds CUDA sources that it compiles at first use (nvcc and a host compiler; minutes), and importing it succeeds
where rendering cannot. So a tiny scene is really rendered, forward and backward, and compared with `reference.py` first.

Never run on a card: `_call`, `render`, `_render_and_compare`, and `_probe` after its first two questions (none was at hand when
this was written). The tests run them on the CPU with a stand-in for gsplat that has its signature and its demands on shapes
(read in gsplat 1.5.3's source); `test_on_a_card` runs the real thing where there is a card.
"""
from __future__ import annotations

import functools
import logging

import torch
from torch import Tensor

from .arguments import Scene

DEVICE_TYPE = "cuda"
TOLERANCE = 1e-3           # largest difference of the probe's image and of its gradients' size from the reference

log = logging.getLogger(__name__)


def why_not(device: torch.device) -> str | None:
    """None where gsplat works on `device`, otherwise the reason why it does not, as a clause."""
    if device.type != DEVICE_TYPE:
        return f"the tensors are on {device.type}, not on an NVIDIA card"
    return _probe(device)


@functools.lru_cache(maxsize=8)
def _probe(device: torch.device) -> str | None:
    """Once a process for each card: import, compile, render, compare."""
    if not torch.cuda.is_available():
        return "torch finds no NVIDIA card"
    if getattr(torch.version, "hip", None):
        return "gsplat 1.5.3 has no kernels for AMD cards"
    log.info("Trying gsplat on %s; at its first use it compiles its kernels, which takes minutes", device)
    try:
        return _render_and_compare(device)
    except ImportError as reason:
        return f"gsplat cannot be imported ({reason})"
    except (RuntimeError, AttributeError, TypeError, OSError) as reason:      # gsplat without a compiler, or with a wrong one
        log.debug("gsplat's test render failed", exc_info=True)
        return f"gsplat's test render failed ({type(reason).__name__}: {reason})"


def _render_and_compare(device: torch.device) -> str | None:
    """Eight Gaussians on 24 x 16 pixels with gsplat and with the reference; None if images and gradients agree."""
    import gsplat

    del gsplat
    from . import rasterization
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(8, 3, generator=generator) - 0.5 + torch.tensor([0.0, 0.0, 3.0])
    others = {"quats": torch.randn(8, 4, generator=generator), "scales": torch.full((8, 3), 0.2),
              "opacities": torch.full((8,), 0.6), "colors": torch.rand(8, 3, generator=generator), "viewmats": torch.eye(4)[None],
              "Ks": torch.tensor([[[20.0, 0.0, 12.0], [0.0, 20.0, 8.0], [0.0, 0.0, 1.0]]])}
    results = []
    with torch.inference_mode(False), torch.enable_grad():
        for where, backend in ((torch.device("cpu"), "reference"), (device, None)):
            leaf = means.to(where, copy=True).requires_grad_()
            moved = {name: value.to(where) for name, value in others.items()}
            if backend is None:
                image = _call(means=leaf, width=24, height=16, **moved)[0]
            else:
                image = rasterization(leaf, **moved, width=24, height=16, backend=backend)[0]
            image.square().sum().backward()
            results.append((image.detach().cpu(), leaf.grad.cpu()))
    (image, gradient), (image_2, gradient_2) = results
    if float((image - image_2).abs().max()) > TOLERANCE:
        return "gsplat's test image differs from the reference"
    if float((gradient - gradient_2).norm() / gradient.norm()) > TOLERANCE:
        return "gsplat's test gradient differs from the reference"
    return None


def _call(**arguments) -> tuple[Tensor, Tensor, dict]:
    """`gsplat.rasterization` with the settings of this project: nothing packed, so that meta has one row for each Gaussian."""
    from gsplat import rasterization
    return rasterization(**arguments, packed=False, absgrad=False, sparse_grad=False, rasterize_mode="classic",
                         camera_model="pinhole")


def render(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Tensor, Tensor, dict]:
    """What `rasterization` returns, without the background. gsplat wants equal leading dimensions, so shared tensors are expanded
    (views), and float32."""
    tails = {"means": 2, "quats": 2, "scales": 2, "opacities": 1, "colors": 2 if scene.sh_degree is None else 3, "viewmats": 3,
             "intrinsics": 3}
    whole = {name: getattr(scene, name).float() for name in tails}
    whole = {name: value.expand(*scene.batch, *value.shape[value.dim() - tails[name]:]) for name, value in whole.items()}
    image, alpha, meta = _call(Ks=whole.pop("intrinsics").detach(), **whole, width=scene.width, height=scene.height,
                               near_plane=near_plane, far_plane=far_plane, eps2d=eps2d, sh_degree=scene.sh_degree,
                               render_mode="RGB+D" if scene.with_depth else "RGB")
    kept = {name: meta[name] for name in ("means2d", "radii", "depths")}
    return image.to(scene.means.dtype), alpha.to(scene.means.dtype), {**kept, "backend": "cuda_gsplat"}
