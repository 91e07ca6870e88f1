"""The function's interface: shapes that broadcast, backgrounds, odd inputs, errors, the choice of a back end."""
from __future__ import annotations

import logging

import pytest
import torch
from talking_heads.hmtalker_core import rasterizer
from talking_heads.hmtalker_core.rasterizer import choose_backend, rasterization
from talking_heads.media_core.errors import TalkingHeadsError

BOTH = pytest.mark.parametrize("backend", ["reference", "cpu"])


@BOTH
def test_shapes(backend, scene):
    s = scene(20, 19, 11, cameras=2)
    image, alpha, meta = rasterization(**s, render_mode="RGB+D", backend=backend)
    assert image.shape == (2, 11, 19, 4) and alpha.shape == (2, 11, 19, 1)
    assert meta["means2d"].shape == (2, 20, 2) and meta["radii"].shape == (2, 20, 2) and meta["depths"].shape == (2, 20)
    assert meta["backend"] == backend


@BOTH
@pytest.mark.parametrize("gradients", [False, True])
def test_leading_dimensions_broadcast(backend, gradients, scene):
    """Each argument may have frames of its own or be shared; the result is that of single calls."""
    s = scene(40, 20, 15, cameras=2, degree=1)
    s["scales"].requires_grad_(gradients)
    g = torch.Generator().manual_seed(2)
    means = s["means"] + 0.1 * torch.randn(2, 3, 1, 3, generator=g, dtype=torch.float64)           # [2, 3, N, 3]
    quats = s["quats"] + 0.3 * torch.randn(3, 1, 4, generator=g, dtype=torch.float64)              # [3, N, 4]
    views = s["viewmats"] + 0.01 * torch.randn(2, 1, 2, 4, 4, generator=g, dtype=torch.float64)    # [2, 1, C, 4, 4]
    backgrounds = torch.rand(3, 2, 3, generator=g, dtype=torch.float64)                            # [3, C, 3]
    framed = {**s, "means": means, "quats": quats, "viewmats": views}
    whole, alpha, meta = rasterization(**framed, backgrounds=backgrounds, backend=backend)
    assert whole.shape == (2, 3, 2, 15, 20, 3) and alpha.shape == (2, 3, 2, 15, 20, 1)
    assert meta["means2d"].shape == (2, 3, 2, 40, 2) and meta["radii"].shape == (2, 3, 2, 40, 2)
    for a in range(2):
        for b in range(3):
            one = {**s, "means": means[a, b], "quats": quats[b], "viewmats": views[a, 0]}
            image, alpha_one, meta_one = rasterization(**one, backgrounds=backgrounds[b], backend=backend)
            assert torch.equal(image, whole[a, b]) and torch.equal(alpha_one, alpha[a, b])
            assert torch.equal(meta_one["means2d"], meta["means2d"][a, b])


@BOTH
def test_background_shows_through(backend, scene):
    s = scene(50, channels=5)
    plain, alpha, _ = rasterization(**s, backend=backend)
    background = torch.tensor([[0.3, -1.5, 0.0, 1.0, 7.0]], dtype=torch.float64)
    image, _, _ = rasterization(**s, backgrounds=background, backend=backend)
    torch.testing.assert_close(image, plain + background[:, None, None] * (1 - alpha))


@BOTH
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("empty", ["behind the camera", "beside the image", "transparent", "beyond far_plane", "no Gaussians"])
def test_nothing_to_see(backend, gradients, empty, scene):
    s = scene(0 if empty == "no Gaussians" else 12, 20, 18, degree=1)
    if empty == "behind the camera":
        s["viewmats"][:, 2, 3] = -3.0
    elif empty == "beside the image":
        s["viewmats"][:, 0, 3] = 50.0
    elif empty == "transparent":
        s["opacities"].fill_(1 / 300)
    s["means"].requires_grad_(gradients)
    background = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    far = 0.1 if empty == "beyond far_plane" else 1e10
    image, alpha, meta = rasterization(**s, backgrounds=background, far_plane=far, backend=backend)
    assert (alpha == 0).all() and (meta["radii"] == 0).all()
    torch.testing.assert_close(image, background[:, None, None].expand_as(image))
    if gradients:
        (image.sum() + alpha.sum()).backward()
        assert (s["means"].grad == 0).all()


def test_points_around_the_camera_leave_no_nan(scene):
    """Gaussians at, behind and beside the camera: the visible ones are drawn and all gradients are finite."""
    s = scene(60, 30, 20, degree=2)
    s["viewmats"][:, 2, 3] = 0.1
    for dtype in (torch.float64, torch.float32):
        t = {k: v.to(dtype, copy=True).requires_grad_(k != "Ks") if isinstance(v, torch.Tensor) else v for k, v in s.items()}
        t["quats"] = torch.cat([torch.zeros(1, 4, dtype=dtype), t["quats"][1:].detach()]).requires_grad_()
        image, _, meta = rasterization(**t, backend="cpu")
        assert 0 < (meta["radii"][0, :, 0] > 0).sum() < 60
        image.square().sum().backward()
        for name in ("means", "quats", "scales", "opacities", "colors", "viewmats"):
            assert t[name].grad.isfinite().all(), name


def test_inputs_in_any_layout(scene):
    """Strided, half-precision, inference-mode tensors; nothing is written into them."""
    s = scene(40, 30, 20)
    want = rasterization(**s, backend="cpu")[0]
    strided = {**s, "means": s["means"].T.contiguous().T, "colors": torch.cat([s["colors"]] * 2, 1)[:, :3]}
    before = {k: v.clone() for k, v in strided.items() if isinstance(v, torch.Tensor)}
    assert torch.equal(rasterization(**strided, backend="cpu")[0], want)
    assert all(torch.equal(strided[k], v) for k, v in before.items())
    with torch.inference_mode():
        own = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in s.items()}
        assert torch.equal(rasterization(**own, backend="cpu")[0], want)
    half = {k: v.bfloat16() if isinstance(v, torch.Tensor) else v for k, v in s.items()}
    assert rasterization(**half, backend="cpu")[0].dtype == torch.float32


def test_no_grad_needs_no_graph(scene):
    s = scene(40)
    s["means"].requires_grad_()
    with torch.no_grad():
        quiet = rasterization(**s, backend="cpu")[0]
    loud = rasterization(**s, backend="cpu")[0]
    assert not quiet.requires_grad and loud.requires_grad
    torch.testing.assert_close(quiet, loud.detach())


def test_pixel_gradients_when_tensors_come_from_another_device(scene, monkeypatch):
    """Densification reads meta's means2d.grad. A move to another device makes a copy; here every move does."""
    s = scene(40)
    s["means"].requires_grad_()
    here = rasterization(**s, backend="cpu")
    here[2]["means2d"].retain_grad()
    here[0].square().sum().backward()
    plain = torch.Tensor.to
    moved = lambda self, *to, **more: plain(self, *to, **more).clone() if to and isinstance(to[0], torch.device) else plain(
        self, *to, **more)
    monkeypatch.setattr(torch.Tensor, "to", moved)
    image, _, meta = rasterization(**s, backend="cpu")
    meta["means2d"].retain_grad()
    image.square().sum().backward()
    assert meta["means2d"].grad is not None
    torch.testing.assert_close(meta["means2d"].grad, here[2]["means2d"].grad)


WRONG = {
    "means": [("means", lambda v: v[:, :2]), ("means", lambda v: v[0]), ("means", lambda v: v.tolist())],
    "quats": [("quats", lambda v: v[:, :3]), ("quats", lambda v: v[:-1])],
    "scales": [("scales", lambda v: v[..., 0])],
    "opacities": [("opacities", lambda v: v[:, None].expand(-1, 2))],
    "colors": [("colors", lambda v: v[:-1]), ("colors", lambda v: v[:, :0]), ("colors", lambda v: (255 * v).long())],
    "viewmats": [("viewmats", lambda v: v[0]), ("viewmats", lambda v: v[:, :3])],
    "Ks": [("Ks", lambda v: v[:, :2]), ("Ks", lambda v: torch.cat([v, v]))],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named(name, scene):
    for argument, spoil in WRONG[name]:
        s = scene(6)
        with pytest.raises(TalkingHeadsError, match=f"`{name}`"):
            rasterization(**{**s, argument: spoil(s[argument])})


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named(name, value, scene):
    s = {**scene(6), "backgrounds": torch.zeros(1, 3, dtype=torch.float64)}
    s[name] = s[name].clone()
    s[name].view(-1)[3 if name != "backgrounds" else 2] = value
    with pytest.raises(TalkingHeadsError, match=f"`{name}` must hold finite") as error:
        rasterization(**s)
    assert error.value.do


@pytest.mark.parametrize("change, word", [
    ({"width": 0}, "width"), ({"height": 2.5}, "height"), ({"render_mode": "ED"}, "render_mode"),
    ({"sh_degree": 4}, "sh_degree"), ({"near_plane": -1.0}, "near_plane"), ({"near_plane": 5.0, "far_plane": 1.0}, "near_plane"),
    ({"backend": "taichi"}, "back end"),
    ({"backgrounds": torch.zeros(1, 4)}, "backgrounds"), ({"backgrounds": torch.zeros(3)}, "backgrounds")])
def test_wrong_settings_are_named(change, word, scene):
    with pytest.raises(TalkingHeadsError, match=word):
        rasterization(**{**scene(6), **change})


def test_too_few_harmonics(scene):
    with pytest.raises(TalkingHeadsError, match="at least 9 harmonics"):
        rasterization(**{**scene(6, degree=1), "sh_degree": 2})


def test_leading_dimensions_that_do_not_fit(scene):
    s = scene(6)
    with pytest.raises(TalkingHeadsError, match="broadcast"):
        rasterization(**{**s, "means": s["means"].expand(2, 6, 3), "quats": s["quats"].expand(3, 6, 4)})


def test_choice_for_the_cpu(caplog):
    rasterizer._say.cache_clear()
    with caplog.at_level(logging.INFO, logger=rasterizer.log.name):
        name, why = choose_backend("cpu")
        assert choose_backend(torch.device("cpu")) == (name, why)
    assert name == "cpu" and "cuda_gsplat" in why
    assert len(caplog.records) == 1, "one line a process"
    assert "cpu" in caplog.text and "cuda_gsplat is not used" in caplog.text
    assert choose_backend("cpu", "reference")[0] == "reference"


def test_choice_that_cannot_be():
    with pytest.raises(TalkingHeadsError, match="auto or one of") as error:
        choose_backend("cpu", "opengl")
    assert "opengl" in error.value.came and error.value.do
    with pytest.raises(TalkingHeadsError, match="NVIDIA") as error:
        choose_backend("cpu", "cuda_gsplat")
    assert "cpu" in error.value.came and error.value.do
