"""Camera conversions: axes, inverses, the synthetic subject's own matrices."""
from __future__ import annotations

import torch
from talking_heads.hmtalker_core.model import camera


def pose(euler=(0.1, -0.3, 0.2), shift=(0.1, -0.2, -7.0)):
    return camera.tracker_to_c2w(torch.tensor(euler, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64))


def test_a_view_is_the_inverse_and_batches():
    c2w = torch.stack([pose(), pose((0, 0.5, 0))])
    view = camera.opengl_c2w_to_viewmat(c2w)
    torch.testing.assert_close(camera.opengl_c2w_to_viewmat(c2w[1]), view[1])
    flip = torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))
    torch.testing.assert_close(view, torch.linalg.inv(c2w @ flip))


def test_a_camera_before_the_face_sees_up_as_up():
    c2w = torch.eye(4)
    c2w[2, 3] = 0.7  # 0.7 m before the face, looking along -z
    points = torch.tensor([[0.0, 0, 0], [0.0, 0.1, 0], [0.1, 0, 0]])
    pixels, depth = camera.project(points, camera.opengl_c2w_to_viewmat(c2w), camera.intrinsics(700, 64, 48))
    torch.testing.assert_close(pixels, torch.tensor([[32.0, 24], [32, -76], [132, 24]]))
    torch.testing.assert_close(depth, torch.full((3,), 0.7))


def test_rotations_are_rotations():
    R = camera.euler_to_rotation(torch.randn(20, 3, dtype=torch.float64))
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(20, dtype=torch.float64))


def test_extent_is_a_tenth_more_than_the_farthest():
    c2w = torch.eye(4).repeat(2, 1, 1)
    c2w[1, 0, 3] = 0.4
    assert abs(camera.scene_extent(c2w) - 0.22) < 1e-6
    assert camera.scene_extent(c2w[:1]) == 0
