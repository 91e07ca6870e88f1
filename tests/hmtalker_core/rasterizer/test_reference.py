"""The oracle itself: against stored gsplat output, and its parts against textbook formulas."""
from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.rasterizer import rasterization
from talking_heads.hmtalker_core.rasterizer.projection import camera_positions, project, sh_basis

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "talkinggaussian"


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_stored_gsplat_image(backend):
    f = load_file(FIXTURES / "raster_gsplat.safetensors")
    height, width = f["out.alpha"].shape
    image, alpha, meta = rasterization(f["in.means"], f["in.quats_wxyz"], f["in.scales"], f["in.opacities"], f["in.colors"],
                                       f["in.viewmat"][None], f["in.K"][None], width, height, render_mode="RGB+D",
                                       backend=backend)
    for ours, stored in ((image[0, ..., :3], f["out.image"]), (alpha[0, ..., 0], f["out.alpha"]),
                         (image[0, ..., 3], f["out.depth_sum"])):
        wrong = ((ours - stored).abs() > 1e-4).reshape(height, width, -1).any(-1)
        assert wrong.float().mean() <= 0.005
    assert ((meta["radii"][0] != f["out.radii"]).any(-1).float().mean()) <= 0.005


def test_one_gaussian_by_hand():
    """On the axis, round, seen from 2 m: a 2D Gaussian of known width, alpha and depth."""
    def double(*rows):
        return torch.tensor(rows, dtype=torch.float64)
    image, alpha, meta = rasterization(double([0, 0, 0]), double([2, 0, 0, 0]), double([0.1, 0.1, 0.1]), double(0.7),
                                       double([0.2, 0.5]), _camera_at(2.0), _intrinsics(40.0, 10.5, 10.5), 21, 21,
                                       render_mode="RGB+D", backend="reference")
    variance = (40.0 * 0.1 / 2.0) ** 2 + 0.3
    for x, y in ((10, 10), (13, 10), (12, 7)):
        expected = 0.7 * math.exp(-((x - 10) ** 2 + (y - 10) ** 2) / (2 * variance))
        assert alpha[0, y, x, 0].item() == pytest.approx(expected, rel=1e-12)
        assert image[0, y, x].tolist() == pytest.approx([0.2 * expected, 0.5 * expected, 2.0 * expected], rel=1e-12)
    reach = math.ceil(math.sqrt(variance) * math.sqrt(2 * math.log(255 * 0.7)))
    assert meta["radii"][0, 0].tolist() == [reach, reach]
    assert meta["means2d"][0, 0].tolist() == [10.5, 10.5] and meta["depths"][0, 0].item() == 2.0


def test_nearer_hides_farther():
    """Two opaque layers: the nearer one's colour, whatever the order of the arguments, and at most 0.999 of it."""
    means = torch.tensor([[0.0, 0, 1.0], [0.0, 0, -0.5]]).double()
    common = (torch.tensor([[1.0, 0, 0, 0]] * 2).double(), torch.full((2, 3), 0.5).double(), torch.ones(2).double())
    color = torch.eye(2).double()
    for flip in (False, True):
        order = [1, 0] if flip else [0, 1]
        image, alpha, _ = rasterization(means[order], *common, color[order], _camera_at(3.0), _intrinsics(20.0, 4.5, 4.5), 9, 9,
                                        backend="reference")
        assert image[0, 4, 4].tolist() == pytest.approx([0.0, 0.999])
        assert alpha[0, 4, 4].item() == pytest.approx(0.999)


def test_conic_is_the_inverse_of_the_projected_covariance(scene):
    s = scene(40)
    splats = project(s["means"][None], s["quats"][None], s["scales"][None], s["opacities"][None], s["viewmats"][:, None],
                     s["Ks"][:, None], s["width"], s["height"])
    view, intrinsics = s["viewmats"][0], s["Ks"][0]
    for n in range(40):
        w, x, y, z = (s["quats"][n] / s["quats"][n].norm()).tolist()
        rotation = torch.tensor([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                                 [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                                 [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]], dtype=torch.float64)
        spread = view[:3, :3] @ rotation @ torch.diag(s["scales"][n] ** 2) @ rotation.T @ view[:3, :3].T
        point = view[:3, :3] @ s["means"][n] + view[:3, 3]
        jacobian = torch.autograd.functional.jacobian(lambda p: (intrinsics @ p)[:2] / p[2], point)
        covariance = jacobian @ spread @ jacobian.T + 0.3 * torch.eye(2)
        a, b, c = splats.conics[0, n]
        torch.testing.assert_close(torch.stack([torch.stack([a, b]), torch.stack([b, c])]), torch.linalg.inv(covariance))


def test_harmonics_are_orthonormal():
    """Over an even spread of directions the sixteen functions have the unit matrix as their inner products."""
    k = torch.arange(20000, dtype=torch.float64) + 0.5
    z, turn = 1 - k / 10000, math.pi * (1 + math.sqrt(5)) * k
    r = (1 - z * z).sqrt()
    basis = torch.stack(sh_basis(torch.stack([r * turn.cos(), r * turn.sin(), z], -1), 3))
    torch.testing.assert_close(basis @ basis.T * (4 * math.pi / 20000), torch.eye(16, dtype=torch.float64), atol=1e-4, rtol=0)


def test_camera_positions(scene):
    views = scene(cameras=3)["viewmats"]
    torch.testing.assert_close(camera_positions(views), torch.linalg.inv(views)[..., :3, 3])


def _camera_at(distance):
    view = torch.eye(4, dtype=torch.float64)
    view[2, 3] = distance
    return view[None]


def _intrinsics(focal, cx, cy):
    return torch.tensor([[[focal, 0, cx], [0, focal, cy], [0, 0, 1]]], dtype=torch.float64)
