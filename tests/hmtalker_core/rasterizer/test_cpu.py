"""The numba back end against its slow twin: images, gradients, and what they must not depend on."""
from __future__ import annotations

import pytest
import torch
from raster_pairs import render_with_gradients
from talking_heads.hmtalker_core.rasterizer import rasterization

CASES = {
    "harmonics, two cameras": {"cameras": 2, "degree": 3},
    "exactly one tile": {"n": 80, "width": 16, "height": 16},
    "tall, five channels": {"width": 33, "height": 70, "channels": 5},
    "saturated": {"n": 900, "width": 40, "height": 23, "opacity": (0.7, 1.0), "size": 0.12, "degree": 1},
    "nearly nothing": {"n": 2, "width": 20, "height": 20},
    "smaller than a tile": {"n": 50, "width": 5, "height": 3},
    "faint": {"opacity": (0.0, 0.02), "degree": 0},
}


def make_case(scene, name):
    """A scene with background; three channels come with depth (every number of channels compiles kernels of its own)."""
    s = scene(**CASES[name])
    channels = CASES[name].get("channels", 3)
    s["backgrounds"] = torch.rand(len(s["viewmats"]), channels, dtype=torch.float64)
    return {**s, "render_mode": "RGB+D" if channels == 3 else "RGB"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_images_and_gradients(name, dtype, scene):
    s = make_case(scene, name)
    expected = render_with_gradients(s, "reference", torch.float64)
    if name == "saturated":
        assert (expected[1] > 0.9998).float().mean() > 0.2, "the light should run out in many pixels"
    ours = render_with_gradients(s, "cpu", dtype)
    close, alike = (1e-12, 1e-10) if dtype == torch.float64 else (2e-5, 1e-3)
    for got, want in zip(ours[:2], expected[:2], strict=True):
        assert (got - want).abs().max() < close
    for key, want in expected[2].items():
        assert (ours[2][key] - want).norm() <= alike * want.norm(), key
        assert want.norm() > 0, key


@pytest.mark.parametrize("name", CASES)
def test_without_gradients(name, scene):
    """The fused path: the same image as the reference, in float32 and float64, with background and depth."""
    s = make_case(scene, name)
    want, alpha, meta = rasterization(**s, backend="reference")
    for dtype, close in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        got, got_alpha, got_meta = rasterization(**cast(s, dtype), backend="cpu")
        assert got.dtype == dtype and (got - want).abs().max() < close and (got_alpha - alpha).abs().max() < close
        assert torch.equal(got_meta["radii"], meta["radii"]) and got_meta["radii"].dtype == torch.int32
        torch.testing.assert_close(got_meta["means2d"].double(), meta["means2d"], atol=1e-3, rtol=1e-5)
        torch.testing.assert_close(got_meta["depths"].double(), meta["depths"])


def test_gradcheck(scene):
    """Finite differences of the numba path in float64, through everything at once."""
    s = scene(10, 12, 9, degree=2, opacity=(0.3, 0.6), size=0.25)
    names = ("means", "quats", "scales", "opacities", "colors", "viewmats")

    def render(*values):
        image, alpha, _ = rasterization(**{**s, **dict(zip(names, values, strict=True))}, render_mode="RGB+D", backend="cpu")
        return image, alpha
    rigid_moves = [s[name].clone().requires_grad_(name != "viewmats") for name in names]
    assert torch.autograd.gradcheck(render, rigid_moves, eps=1e-7, atol=1e-5, rtol=1e-4, nondet_tol=0.0)


def test_view_matrix_gradient_with_harmonics(scene):
    """Rigid motions of the camera only: the view direction's part of the gradient holds for those."""
    s = scene(60, 24, 17, degree=3, opacity=(0.3, 0.6), size=0.1)
    gradients = [render_with_gradients(s, backend, torch.float64)[2]["viewmats"] for backend in ("reference", "cpu")]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-9)
    assert (gradients[0][:, 3] == 0).all() and (gradients[1][:, 3] == 0).all()


def test_shared_gaussians_collect_the_gradients_of_all_frames(scene):
    s = scene(60, 24, 17, degree=1)
    views = torch.stack([scene(cameras=3)["viewmats"][i:i + 1] for i in range(3)])
    offsets = 0.02 * torch.arange(3, dtype=torch.float64)[:, None, None]
    whole = {**s, "means": s["means"] + offsets, "viewmats": views}
    together = render_with_gradients(whole, "cpu", torch.float64)[2]
    reference = render_with_gradients(whole, "reference", torch.float64)[2]
    for name in ("means", "quats", "scales", "opacities", "colors", "viewmats", "means2d"):
        assert together[name].shape == reference[name].shape
        torch.testing.assert_close(together[name], reference[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gradients", [False, True])
def test_result_does_not_depend_on_threads(gradients, scene, threads):
    s = cast(scene(3000, 90, 60, cameras=2, degree=2), torch.float32)
    results = []
    for count in (1, 2, 4):
        threads(count)
        if gradients:
            image, alpha, grads = render_with_gradients(s, "cpu", torch.float32)
            results.append([image, alpha, *grads.values()])
        else:
            results.append(list(rasterization(**s, backend="cpu")[:2]))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("gradients", [False, True])
def test_result_does_not_depend_on_the_batch(gradients, scene):
    """Frames rendered together, in chunks and one by one: equal to the last bit."""
    s = cast(scene(500, 60, 45, degree=2), torch.float32)
    means = s["means"] + 0.05 * torch.randn(5, 1, 3, generator=torch.Generator().manual_seed(1))
    s["quats"].requires_grad_(gradients)

    def frames(a, b):
        chunk = {**s, "means": means[a:b], "viewmats": s["viewmats"].expand(b - a, 1, 4, 4)}
        return rasterization(**chunk, backend="cpu")[0].detach()
    whole = frames(0, 5)
    assert not torch.equal(whole[0], whole[1])
    assert torch.equal(whole, torch.cat([frames(0, 2), frames(2, 5)]))
    assert torch.equal(whole, torch.cat([frames(i, i + 1) for i in range(5)]))


def test_equal_depths_keep_their_order(scene):
    """Ties are drawn in the order of the arguments, in both back ends."""
    s = scene(40, 24, 24, opacity=(0.5, 0.9), size=0.2)
    s["means"] = s["means"] * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    s["viewmats"] = torch.eye(4, dtype=torch.float64)[None].clone()
    s["viewmats"][0, 2, 3] = 2.0
    want = rasterization(**s, backend="reference")[0]
    assert (rasterization(**s, backend="cpu")[0] - want).abs().max() < 1e-12
    assert (rasterization(**cast(s, torch.float32), backend="cpu")[0] - want).abs().max() < 1e-5
    flipped = {**s, **{name: s[name].flip(0) for name in ("means", "quats", "scales", "opacities", "colors")}}
    assert (rasterization(**flipped, backend="cpu")[0] - want).abs().max() > 1e-2


def test_colours_do_not_fall_below_zero(scene):
    s = scene(100, degree=1)
    s["colors"] = s["colors"] - 3.0
    assert (rasterization(**s, backend="cpu")[0] == 0).all()


def cast(scene, dtype):
    return {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in scene.items()}
