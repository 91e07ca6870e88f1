"""The gsplat back end with a stand-in for gsplat on the CPU; with gsplat itself where there is a card."""
from __future__ import annotations

import sys
import types

import pytest
import torch
from raster_pairs import check_on_a_gpu
from talking_heads.hmtalker_core import rasterizer
from talking_heads.hmtalker_core.rasterizer import arguments, choose_backend, cuda_gsplat, rasterization, reference, triton
from talking_heads.media_core.errors import TalkingHeadsError

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)


def like_gsplat(means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=0.01, far_plane=1e10,
                radius_clip=0.0, eps2d=0.3, sh_degree=None, packed=True, tile_size=16, backgrounds=None, render_mode="RGB",
                sparse_grad=False, absgrad=False, rasterize_mode="classic", channel_chunk=32, distributed=False,
                camera_model="pinhole"):
    """gsplat 1.5.3's arguments and demands on shapes, drawn by the reference."""
    batch, n, c = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    assert quats.shape == batch + (n, 4) and scales.shape == batch + (n, 3) and opacities.shape == batch + (n,)
    assert viewmats.shape == batch + (c, 4, 4) and Ks.shape == batch + (c, 3, 3)
    lead, own = colors.shape[:-1 if sh_degree is None else -2], 1 if sh_degree is None else 2
    assert colors.dim() == len(lead) + own and (lead == batch + (n,) or sh_degree is None and lead == batch + (c, n))
    assert all(value.dtype == torch.float32 for value in (means, quats, scales, opacities, colors, viewmats, Ks))
    assert not packed and not absgrad and render_mode in ("RGB", "RGB+D") and backgrounds is None
    if sh_degree is not None or lead == batch + (n,):
        return rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=near_plane,
                             far_plane=far_plane, eps2d=eps2d, sh_degree=sh_degree, render_mode=render_mode, backend="reference")
    values = {"means": means, "quats": quats, "scales": scales, "opacities": opacities, "colors": colors[..., 0, :, :],
              "viewmats": viewmats, "Ks": Ks}
    whole = arguments.checked({**{k: v.double() for k, v in values.items()}, "backgrounds": None}, width, height, near_plane,
                              far_plane, None, render_mode)
    splats, _ = rasterizer.project_by_torch(whole, near_plane, far_plane, eps2d)
    made = rasterizer.blended(whole, splats, colors.double().reshape(-1, n, colors.shape[-1]), reference.render, "test", CPU)
    return made[0].float(), made[1].float(), made[2]


def like_gsplat_1_6(means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree=None, **options):
    """The coming 1.6.0: harmonics only without leading dimensions, and no alpha above .99 (read in its source, 90d7b4b)."""
    batch, n, c = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    if sh_degree is not None and not (colors.dim() == 3 and colors.shape[0] == n):
        raise RuntimeError(f"SH colors must have shape [N, K, D], got {list(colors.shape)}")
    if sh_degree is None and colors.shape[:-1] not in (batch + (n,), batch + (c, n)):
        raise RuntimeError(f"colors must have shape [..., N, D] or [..., C, N, D], got {list(colors.shape)}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "ALPHA_MAX", 0.99)
        return like_gsplat(means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree=sh_degree, **options)


VERSIONS = pytest.mark.parametrize("version", [like_gsplat, like_gsplat_1_6])


@pytest.fixture
def stand_in(monkeypatch):
    """Install a function as `gsplat.rasterization`."""
    def install(function):
        monkeypatch.setitem(sys.modules, "gsplat", types.SimpleNamespace(rasterization=function))
    return install


@VERSIONS
def test_the_call_as_gsplat_wants_it(scene, stand_in, version):
    stand_in(version)
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


@VERSIONS
def test_an_avatars_frames_and_their_gradients(scene, stand_in, version):
    """Moving Gaussians, shared harmonics, a camera for each frame, depth: what rendering and training ask for."""
    stand_in(version)
    s = scene(25, 18, 14, degree=2)
    s["means"] = s["means"] + 0.05 * torch.randn(4, 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    s["viewmats"] = s["viewmats"].expand(4, 1, 4, 4)
    results = []
    for ours in (False, True):
        leaves = {name: s[name].float().requires_grad_() for name in ("means", "quats", "scales", "opacities", "colors")}
        rest = {"viewmats": s["viewmats"].float(), "Ks": s["Ks"].float()}
        if ours:
            checked = arguments.checked({**leaves, **rest, "backgrounds": None}, 18, 14, 0.01, 1e10, 2, "RGB+D")
            image, alpha, meta = cuda_gsplat.render(checked, 0.01, 1e10, 0.3)
        else:
            image, alpha, meta = rasterization(**leaves, **rest, width=18, height=14, sh_degree=2, render_mode="RGB+D",
                                               backend="reference")
        meta["means2d"].retain_grad()
        (image.square().sum() + alpha.sum()).backward()
        results.append([image.detach(), alpha.detach(), meta["means2d"].grad, *(leaf.grad for leaf in leaves.values())])
    assert results[1][0].shape == (4, 1, 14, 18, 4)
    for got, want in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)


@VERSIONS
def test_probe_accepts_what_renders(stand_in, version):
    stand_in(version)
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
                                    AttributeError("'NoneType' object"), OSError("CUDA_HOME is not set"),
                                    AssertionError("torch.Size([2, 12])"), ValueError("no such mode"), KeyError("means2d"),
                                    TypeError("unexpected keyword"), Exception("anything else")])
def test_probe_reports_what_went_wrong(reason, stand_in, monkeypatch):
    """Each way in which gsplat fails becomes a reason, not an exception."""
    def fails(*args, **kwargs):
        raise reason
    stand_in(fails)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert str(reason) in cuda_gsplat._probe(CPU)


def test_probe_refuses_harmonics_a_batch_or_depth_that_do_not_work(stand_in, monkeypatch):
    """What only avatars ask for is asked for before it is needed."""
    def one_frame(means, *args, **kwargs):
        assert means.dim() == 2, "no leading dimensions"
        return like_gsplat(means, *args, **kwargs)

    def no_depth(*args, **kwargs):
        image, alpha, meta = like_gsplat(*args, **kwargs)
        return torch.cat([image[..., :3], 0 * image[..., 3:]], -1), alpha, meta

    def no_centres(*args, **kwargs):
        image, alpha, meta = like_gsplat(*args, **kwargs)
        return image, alpha, meta | {"means2d": meta["means2d"].detach()}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for function, words in ((one_frame, "AssertionError: no leading"), (no_depth, "image differs"), (no_centres, "RuntimeError")):
        stand_in(function)
        assert words in cuda_gsplat._probe(CPU)


@pytest.mark.parametrize("beside", [True, False])
def test_a_builder_that_is_neither_on_the_path_nor_beside_python_is_named(stand_in, monkeypatch, beside):
    def fails(*args, **kwargs):
        raise RuntimeError("Ninja is required to load C++ extensions")
    stand_in(fails)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_gsplat.shutil, "which", lambda name, path=None: f"{path}/ninja" if path and beside else None)
    reason = cuda_gsplat._probe(CPU)
    assert "Ninja is required" in reason and ("install it" in reason) is not beside


@pytest.fixture
def untried(monkeypatch):
    """A card that nothing is known of yet, with gsplat beside it."""
    kept = {}
    monkeypatch.setattr(cuda_gsplat, "verdicts", lambda: kept)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    monkeypatch.setattr(cuda_gsplat, "find_spec", lambda name: name == "gsplat")
    monkeypatch.setattr(triton, "find_spec", lambda name: None)
    return kept


@pytest.mark.parametrize("full", [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), MemoryError(),
                                  RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")])
def test_a_full_card_is_no_verdict(untried, monkeypatch, full):
    """The CPU draws this time; once there is room, the card does."""
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", raising(full))
    assert choose_backend(CARD)[0] == "cpu" and "no room" in choose_backend(CARD)[1]
    assert rasterizer.drawing_device(CARD) == CPU
    with pytest.raises(TalkingHeadsError, match="no room"):
        choose_backend(CARD, "cuda_gsplat")
    assert not untried and rasterizer.probe_pending(CARD)
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", lambda device: None)
    assert choose_backend(CARD)[0] == "cuda_gsplat" and rasterizer.drawing_device(CARD) == CARD
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", raising(AssertionError("tried again")))
    assert choose_backend(CARD)[0] == "cuda_gsplat"


def test_what_is_asked_for_by_name_tries_no_other(untried, monkeypatch):
    """gsplat is not compiled for minutes to learn that the CPU draws."""
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", raising(KeyboardInterrupt()))
    assert choose_backend(CARD, "cpu")[0] == "cpu" and choose_backend(CARD, "reference")[0] == "reference"
    assert not rasterizer.must_compile(CARD, "reference")


def test_a_trial_is_seen_coming_without_being_made(untried, monkeypatch):
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", raising(RuntimeError("no kernel image")))
    for backend, wanted in (("auto", True), ("cuda_gsplat", True), ("cpu", False), ("reference", False)):
        assert rasterizer.probe_pending(CARD, backend) is wanted
    assert rasterizer.must_compile(CARD) and not rasterizer.probe_pending(CPU) and not untried
    monkeypatch.setattr(cuda_gsplat, "find_spec", lambda name: None)
    assert not rasterizer.probe_pending(CARD, "cuda_gsplat"), "where gsplat is not installed nothing is compiled"
    monkeypatch.setattr(cuda_gsplat, "find_spec", lambda name: True)
    assert choose_backend(CARD)[0] == "cpu" and not rasterizer.probe_pending(CARD)


def raising(error):
    def fails(*args):
        raise error
    return fails


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_cpu_is_chosen():
    name, why = choose_backend(CARD)
    assert name == "cpu" and "no NVIDIA GPU" in why


@pytest.mark.skipif(cuda_gsplat.why_not(CARD) is not None, reason="needs an NVIDIA GPU and gsplat")
def test_on_a_card(scene):
    check_on_a_gpu(scene, "cuda_gsplat")
