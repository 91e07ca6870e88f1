"""The gsplat back end with a stand-in for gsplat on the CPU; with gsplat itself where there is a card."""
from __future__ import annotations

import sys
import types

import pytest
import torch
from talking_heads.hmtalker_core.rasterizer import arguments, choose_backend, cuda_gsplat, rasterization

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)


def like_gsplat(means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=0.01, far_plane=1e10,
                radius_clip=0.0, eps2d=0.3, sh_degree=None, packed=True, tile_size=16, backgrounds=None, render_mode="RGB",
                sparse_grad=False, absgrad=False, rasterize_mode="classic", channel_chunk=32, distributed=False,
                camera_model="pinhole"):
    """gsplat 1.5.3's arguments and demands on shapes, drawn by the reference."""
    batch, n, c = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    assert quats.shape == batch + (n, 4) and scales.shape == batch + (n, 3) and opacities.shape == batch + (n,)
    assert viewmats.shape == batch + (c, 4, 4) and Ks.shape == batch + (c, 3, 3)
    assert colors.shape[:len(batch) + 1] == batch + (n,) and colors.dim() == len(batch) + (2 if sh_degree is None else 3)
    assert all(value.dtype == torch.float32 for value in (means, quats, scales, opacities, colors, viewmats, Ks))
    assert not packed and not absgrad and render_mode in ("RGB", "RGB+D") and backgrounds is None
    return rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=near_plane,
                         far_plane=far_plane, eps2d=eps2d, sh_degree=sh_degree, render_mode=render_mode, backend="reference")


@pytest.fixture
def stand_in(monkeypatch):
    """Install a function as `gsplat.rasterization`."""
    def install(function):
        monkeypatch.setitem(sys.modules, "gsplat", types.SimpleNamespace(rasterization=function))
    return install


def test_the_call_as_gsplat_wants_it(scene, stand_in):
    stand_in(like_gsplat)
    s = scene(30, 20, 15, cameras=2, degree=2)
    s["means"] = s["means"] + 0.05 * torch.randn(3, 1, 3, dtype=torch.float64)
    tensors = {name: s[name] for name in ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks")}
    checked = arguments.checked({**tensors, "backgrounds": None}, 20, 15, 0.01, 1e10, 2, "RGB+D")
    image, alpha, meta = cuda_gsplat.render(checked, 0.01, 1e10, 0.3)
    want, want_alpha, want_meta = rasterization(**s, render_mode="RGB+D", backend="reference")
    assert image.dtype == torch.float64 and meta["backend"] == "cuda_gsplat"
    torch.testing.assert_close(image, want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alpha, want_alpha, atol=1e-4, rtol=1e-4)
    assert meta["means2d"].shape == want_meta["means2d"].shape and torch.equal(meta["radii"], want_meta["radii"])


def test_probe_accepts_what_renders(stand_in):
    stand_in(like_gsplat)
    with torch.no_grad():
        assert cuda_gsplat._render_and_compare(CPU) is None
    with torch.inference_mode():
        assert cuda_gsplat._render_and_compare(CPU) is None


def test_probe_rejects_wrong_images_and_gradients(stand_in):
    def brighter(*args, **kwargs):
        image, alpha, meta = like_gsplat(*args, **kwargs)
        return 1.1 * image, alpha, meta

    def no_gradient(*args, **kwargs):
        image, alpha, meta = like_gsplat(*args, **kwargs)
        return image.detach() + 0.5 * (image - image.detach()), alpha, meta
    stand_in(brighter)
    assert "image differs" in cuda_gsplat._render_and_compare(CPU)
    stand_in(no_gradient)
    assert "gradient differs" in cuda_gsplat._render_and_compare(CPU)


@pytest.mark.parametrize("reason", [ImportError("no module"), RuntimeError("no kernel image"),
                                    AttributeError("'NoneType' object"), OSError("CUDA_HOME is not set")])
def test_probe_reports_what_went_wrong(reason, stand_in, monkeypatch):
    """Each way in which gsplat fails becomes a reason, not an exception."""
    def fails(*args, **kwargs):
        raise reason
    stand_in(fails)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cuda_gsplat._probe.cache_clear()
    assert str(reason) in cuda_gsplat._probe(CPU)
    cuda_gsplat._probe.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_cpu_is_chosen():
    name, why = choose_backend(CARD)
    assert name == "cpu" and "no NVIDIA card" in why


@pytest.mark.skipif(cuda_gsplat.why_not(CARD) is not None, reason="needs an NVIDIA card and gsplat")
def test_on_a_card(scene):
    s = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in scene(2000, 90, 60, cameras=2, degree=2).items()}
    on_card = {k: v.to(CARD).requires_grad_(k == "means") if isinstance(v, torch.Tensor) else v for k, v in s.items()}
    image, alpha, meta = rasterization(**on_card, render_mode="RGB+D")
    assert meta["backend"] == "cuda_gsplat"
    s["means"].requires_grad_()
    want, want_alpha, _ = rasterization(**s, render_mode="RGB+D", backend="reference")
    assert (((image.cpu() - want).abs() > 1e-3).float().mean()) <= 0.005
    assert (((alpha.cpu() - want_alpha).abs() > 1e-3).float().mean()) <= 0.005
    image.square().sum().backward()
    want.square().sum().backward()
    assert (on_card["means"].grad.cpu() - s["means"].grad).norm() < 1e-2 * s["means"].grad.norm()
