"""The Triton back end in Triton's interpreter, on the CPU. `test_triton.py` runs this file in a process of its own, since
TRITON_INTERPRET=1 must be set before triton is imported. The interpreter takes about a millisecond for a line of a kernel: the
scenes are tiny."""
from __future__ import annotations

import os

import pytest
import torch
from raster_pairs import render_with_gradients
from talking_heads.hmtalker_core.rasterizer import rasterization, trial, triton, triton_blend
from talking_heads.hmtalker_core.rasterizer.projection import Projected
from talking_heads.media_core.errors import TalkingHeadsError

CPU = torch.device("cpu")
CASES = {
    "harmonics, depth, two cameras, odd size": {"n": 10, "width": 17, "height": 7, "cameras": 2, "degree": 3},
    "one channel, exactly one tile": {"n": 14, "width": 8, "height": 8, "channels": 1},
    "eight channels": {"n": 8, "width": 9, "height": 5, "channels": 8},
    "nine channels, in two passes": {"n": 6, "width": 7, "height": 5, "channels": 9},
    "the light runs out": {"n": 40, "width": 9, "height": 7, "opacity": (0.7, 1.0), "size": 0.3},
    "a pixel, two blocks of Gaussians": {"n": 40, "width": 1, "height": 1, "size": 0.3},
}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Here the CPU is a device that Triton draws on."""
    assert os.environ.get("TRITON_INTERPRET") == "1", "run by test_triton.py"
    monkeypatch.setattr(triton.BACKEND, "why_not", lambda device: None)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_images_and_gradients(name, dtype, scene):
    s = scene(**CASES[name])
    s["backgrounds"] = torch.rand(len(s["viewmats"]), CASES[name].get("channels", 3), dtype=torch.float64)
    more = {"render_mode": "RGB+D" if "degree" in CASES[name] else "RGB"}
    expected = render_with_gradients(s, "reference", torch.float64, **more)
    if name == "the light runs out":
        assert (expected[1] > 0.9998).double().mean() > 0.2
    ours = render_with_gradients(s, "triton", dtype, **more)
    close, alike = (1e-12, 1e-10) if dtype == torch.float64 else (2e-5, 1e-3)
    for got, want in zip(ours[:2], expected[:2], strict=True):
        assert (got - want).abs().max() < close
    for key, want in expected[2].items():
        assert (ours[2][key] - want).norm() <= alike * want.norm(), key
        assert want.norm() > 0, key


def test_leading_dimensions(scene):
    """Each argument may have frames of its own or be shared: the reference's gradients, and the images of single calls, to the
    last bit. A second run gives the same bits."""
    s = scene(4, 9, 8, cameras=2, degree=1)
    g = torch.Generator().manual_seed(2)
    framed = {**s, "means": s["means"] + 0.1 * torch.randn(2, 2, 1, 3, generator=g, dtype=torch.float64),
              "quats": s["quats"] + 0.3 * torch.randn(2, 1, 4, generator=g, dtype=torch.float64),
              "viewmats": s["viewmats"] + 0.01 * torch.randn(2, 1, 2, 4, 4, generator=g, dtype=torch.float64),
              "backgrounds": torch.rand(2, 2, 3, generator=g, dtype=torch.float64)}
    image, alpha, gradients = render_with_gradients(framed, "triton", torch.float64)
    again = render_with_gradients(framed, "triton", torch.float64)
    assert torch.equal(again[0], image) and all(torch.equal(again[2][key], value) for key, value in gradients.items())
    for key, want in render_with_gradients(framed, "reference", torch.float64)[2].items():
        assert gradients[key].shape == want.shape and (gradients[key] - want).norm() <= 1e-10 * want.norm(), key
    one = {**framed, "means": framed["means"][1, 0], "quats": framed["quats"][0], "viewmats": framed["viewmats"][1, 0],
           "backgrounds": framed["backgrounds"][0]}
    single, single_alpha, _ = rasterization(**one, backend="triton")
    assert torch.equal(single, image[1, 0]) and torch.equal(single_alpha, alpha[1, 0])


def test_shared_colours_and_opacities_of_all_frames(scene):
    """Plain colours and opacities are read where they lie."""
    s = scene(7, 9, 8, channels=2)
    views = torch.stack([scene(cameras=3)["viewmats"][i:i + 1] for i in range(3)])
    framed = {**s, "means": s["means"] + 0.02 * torch.arange(3, dtype=torch.float64)[:, None, None], "viewmats": views}
    ours, wanted = (render_with_gradients(framed, backend, torch.float64) for backend in ("triton", "reference"))
    assert (ours[0] - wanted[0]).abs().max() < 1e-12
    for key, want in wanted[2].items():
        assert (ours[2][key] - want).norm() <= 1e-10 * want.norm(), key
    rows, which = triton_blend.by_rows(s["colors"][None], (3, 1), 2)
    assert rows.data_ptr() == s["colors"].data_ptr() and which.tolist() == [0, 0, 0]


@pytest.mark.parametrize("empty", ["behind the camera", "beside the image", "transparent", "beyond far_plane", "no Gaussians"])
def test_nothing_to_see(empty, scene):
    s = scene(0 if empty == "no Gaussians" else 12, 20, 18, degree=1)
    if empty == "behind the camera":
        s["viewmats"][:, 2, 3] = -3.0
    elif empty == "beside the image":
        s["viewmats"][:, 0, 3] = 50.0
    elif empty == "transparent":
        s["opacities"].fill_(1 / 300)
    s["means"].requires_grad_()
    background = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    far = 0.1 if empty == "beyond far_plane" else 1e10
    image, alpha, meta = rasterization(**s, backgrounds=background, far_plane=far, backend="triton")
    assert (alpha == 0).all() and (meta["radii"] == 0).all()
    torch.testing.assert_close(image, background[:, None, None].expand_as(image))
    (image.sum() + alpha.sum()).backward()
    assert (s["means"].grad == 0).all()


def test_points_around_the_camera_leave_no_nan(scene):
    s = scene(16, 10, 8, degree=1)
    s["viewmats"][:, 2, 3] = 0.1
    leaves = {k: v.float().requires_grad_(k != "Ks") if isinstance(v, torch.Tensor) else v for k, v in s.items()}
    image, _, meta = rasterization(**leaves, backend="triton")
    assert 0 < (meta["radii"][0, :, 0] > 0).sum() < 16
    image.square().sum().backward()
    assert all(leaves[name].grad.isfinite().all() for name in ("means", "quats", "scales", "opacities", "colors", "viewmats"))


def test_no_gradients_asked_for(scene):
    s = scene(6, 9, 8)
    want = rasterization(**s, backend="reference")[0]
    with torch.inference_mode():
        quiet = rasterization(**{k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in s.items()}, backend="triton")[0]
    assert (quiet - want).abs().max() < 1e-12
    s["means"].requires_grad_()
    assert rasterization(**s, backend="triton")[0].requires_grad, "rows made in inference mode serve training too"


def test_the_lists_hold_what_is_seen_and_little_else(scene):
    """Every pair of a tile and a Gaussian that reaches one of its pixels, front to back; few that reach none."""
    s = scene(12, 30, 22, size=0.15)
    splats, _ = rasterizer_splats(s)
    opacities = triton_blend.Opacities(*triton_blend.by_rows(s["opacities"][None], (1,), 1))
    lists = triton_blend.tile_lists(splats, opacities, 30, 22)
    y, x = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    dx, dy = x[..., None] - splats.means2d[0, :, 0], y[..., None] - splats.means2d[0, :, 1]
    a, b, c = splats.conics[0].unbind(-1)
    seen = s["opacities"] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy) >= 1 / 255
    seen = seen & (splats.radii[0] > 0).all(-1)
    wanted = seen.reshape(3, 8, 4, 8, -1).any(3).any(1).reshape(12, -1)
    listed = 0
    for tile in range(12):
        ids = lists.ids[lists.starts[tile]:lists.starts[tile + 1]].long()
        assert splats.depths[0, ids].diff().ge(0).all() and set(wanted[tile].nonzero()[:, 0].tolist()) <= set(ids.tolist())
        listed += len(ids)
    assert listed == int(lists.counts.sum()) == len(lists.ids) and listed <= 1.2 * wanted.sum()


def rasterizer_splats(s):
    from talking_heads.hmtalker_core.rasterizer import project_by_torch
    from talking_heads.hmtalker_core.rasterizer.arguments import checked

    tensors = {name: s[name] for name in ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks")}
    splats, colors = project_by_torch(checked({**tensors, "backgrounds": None}, s["width"], s["height"], 0.01, 1e10, None, "RGB"))
    return Projected(*(field.contiguous() for field in splats)), colors


def test_too_much_for_one_call(scene, monkeypatch):
    monkeypatch.setattr(triton_blend, "LARGEST", 20)
    with pytest.raises(TalkingHeadsError, match="fewer frames"):
        rasterization(**scene(21, 9, 8), backend="triton")
    with pytest.raises(TalkingHeadsError, match="pairs of a Gaussian and a tile"):
        rasterization(**scene(8, 30, 20, size=0.5), backend="triton")


def test_the_trial_accepts_it():
    with torch.no_grad():
        assert trial.compare(CPU, triton.render, "Triton") is None
