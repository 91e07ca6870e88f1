"""The dense tri-plane against its slow twin, borders, and the published sizes."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.triplane import GridConfig, GridPlane, TriPlane, encode_planes, grid_levels, sample_planes
from talking_heads.media_core.errors import TalkingHeadsError

SMALL = GridConfig(levels=4, base=6, finest=20, bound=0.15)


def filled(module):
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    return module


def test_published_layouts():
    face, mouth = grid_levels(GridConfig.face()), grid_levels(GridConfig.mouth())
    assert [level.cells for level in face] == [16, 18, 19, 21, 22, 24, 26, 28, 31, 33, 36, 39]
    assert [level.cells for level in mouth] == [64, 64, 63, 63, 62, 62, 61, 60, 60, 59, 59, 58]
    assert face[-1].start + face[-1].rows == 9464 and mouth[-1].start + mouth[-1].rows == 46600
    assert all(level.dense for level in face + mouth)


@pytest.mark.parametrize("config", [SMALL, GridConfig.face(), GridConfig(levels=3, features=2, base=5, finest=9, bound=1.0)])
def test_dense_equals_gather(config):
    torch.manual_seed(0)
    plane = filled(GridPlane(config))
    x = ((torch.rand(200, 2) - 0.5) * 2.2 * config.bound).requires_grad_()
    weight = torch.randn(200, plane.width)
    results = []
    for read in (plane, plane.gather):
        y = read(x)
        results.append((y.detach(), *torch.autograd.grad((y * weight).sum(), [x, plane.embeddings])))
    for fast, slow in zip(*results):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4 * float(slow.abs().max()))


@pytest.mark.parametrize("point", [(0.16, 0.0), (0.0, -0.1501), (float("nan"), 0.0)])
def test_outside_is_zero_without_gradient(point):
    plane = filled(GridPlane(SMALL))
    x = torch.tensor([point], requires_grad=True)
    for read in (plane, plane.gather):
        y = read(x)
        grad_x, grad_table = torch.autograd.grad(y.sum(), [x, plane.embeddings])
        assert not y.any() and not grad_table.any()
        assert not grad_x.nan_to_num(nan=1.0).any()


def test_the_border_is_inside():
    plane = filled(GridPlane(SMALL))
    corners = torch.tensor([[-0.15, -0.15], [0.15, 0.15], [0.15, -0.15]])
    assert (plane(corners).abs().amax(-1) > 0).all()
    torch.testing.assert_close(plane(corners), plane.gather(corners), atol=1e-5, rtol=1e-5)


def test_triplane_reads_each_plane_with_its_axes():
    torch.manual_seed(1)
    net, xyz = filled(TriPlane(SMALL)), (torch.rand(50, 3) - 0.5) * 0.3
    xyz[0, 2] = 1.0  # out of the yz and xz planes only
    expected = torch.cat([net.encoder_xy.gather(xyz[:, [0, 1]]), net.encoder_yz.gather(xyz[:, [1, 2]]),
                          net.encoder_xz.gather(xyz[:, [0, 2]])], -1)
    torch.testing.assert_close(net.encode_position(xyz), expected, atol=1e-5, rtol=1e-4)
    assert net.encode_position(xyz)[0, :4].any() and not net.encode_position(xyz)[0, 4:].any()


def test_a_hashed_triplane_works_and_cannot_be_read_densely():
    hashed = GridConfig(levels=3, base=8, finest=40, log2_size=6)
    net = filled(TriPlane(hashed))
    assert net.encode_position(torch.zeros(4, 3)).shape == (4, 9)
    with pytest.raises(TalkingHeadsError, match="dense"):
        encode_planes(net.planes, torch.zeros(3, 4, 2))


def test_no_points():
    assert TriPlane(SMALL).encode_position(torch.zeros(0, 3)).shape == (0, 12)


def test_kernels_equal_grid_sample():
    torch.manual_seed(2)
    planes = [filled(GridPlane(GridConfig.face())) for _ in range(3)]
    x = ((torch.rand(3, 200, 2) - 0.5) * 0.33).requires_grad_()
    weight = torch.randn(200, 36)
    results = []
    for read in (encode_planes, sample_planes):
        y = read(planes, x)
        results.append((y.detach(), *torch.autograd.grad((y * weight).sum(), [x, *(plane.embeddings for plane in planes)])))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
