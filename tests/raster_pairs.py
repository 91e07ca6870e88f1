"""One back end of the rasteriser against another: images and gradients of the same scene."""
from __future__ import annotations

import torch
from talking_heads.hmtalker_core.rasterizer import rasterization

DIFFERENTIABLE = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds")
CARD = torch.device("cuda:0")


def render_with_gradients(scene, backend, dtype, **more):
    """Image, alpha, gradients by name (pixel-space ones as means2d), all float64."""
    leaves = {k: v.to(dtype).clone().requires_grad_(k in DIFFERENTIABLE) if isinstance(v, torch.Tensor) else v
              for k, v in scene.items()}
    image, alpha, meta = rasterization(**leaves, **more, backend=backend)
    assert meta["backend"] == backend
    meta["means2d"].retain_grad()
    g = torch.Generator().manual_seed(7)
    weights = [torch.randn(value.shape, generator=g, dtype=torch.float64).to(dtype) for value in (image, alpha)]
    ((image * weights[0]).sum() + (alpha * weights[1]).sum()).backward()
    gradients = {k: v.grad.double() for k, v in leaves.items() if k in DIFFERENTIABLE and k in scene}
    return image.detach().double(), alpha.detach().double(), {**gradients, "means2d": meta["means2d"].grad.double()}


def check_on_a_gpu(scene, backend, **asked):
    """A back end on a real GPU against the reference; `asked`: how it is asked for."""
    s = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in scene(2000, 90, 60, cameras=2, degree=2).items()}
    on_gpu = {k: v.to(CARD).requires_grad_(k == "means") if isinstance(v, torch.Tensor) else v for k, v in s.items()}
    image, alpha, meta = rasterization(**on_gpu, render_mode="RGB+D", **asked)
    assert meta["backend"] == backend
    s["means"].requires_grad_()
    want, want_alpha, _ = rasterization(**s, render_mode="RGB+D", backend="reference")
    assert (((image.cpu() - want).abs() > 1e-3).float().mean()) <= 0.005
    assert (((alpha.cpu() - want_alpha).abs() > 1e-3).float().mean()) <= 0.005
    image.square().sum().backward()
    want.square().sum().backward()
    assert (on_gpu["means"].grad.cpu() - s["means"].grad).norm() < 1e-2 * s["means"].grad.norm()
