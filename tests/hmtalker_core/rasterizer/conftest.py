"""A small scene for every test: a cloud of Gaussians in front of a camera, in float64."""
from __future__ import annotations

import math

import pytest
import torch


def make_scene(n=300, width=52, height=37, *, cameras=1, channels=None, degree=None, opacity=(0.05, 0.95), size=0.06, seed=0,
               dtype=torch.float64):
    """Arguments of `rasterization` as a dict; `channels` plain colours, or harmonics of `degree`."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=g, dtype=torch.float64)

    means = uniform(n, 3, low=-0.5, high=0.5)
    scene = {"means": means, "quats": torch.randn(n, 4, generator=g, dtype=torch.float64),
             "scales": size * torch.exp(0.5 * torch.randn(n, 3, generator=g, dtype=torch.float64)),
             "opacities": uniform(n, low=opacity[0], high=opacity[1])}
    if degree is None:
        scene["colors"] = uniform(n, channels or 3)
    else:
        scene["colors"] = 0.4 * torch.randn(n, (degree + 1) ** 2, 3, generator=g, dtype=torch.float64)
        scene["sh_degree"] = degree
    views = []
    for camera in range(cameras):
        turn = 0.3 + 0.4 * camera
        view = torch.eye(4, dtype=torch.float64)
        view[0, 0], view[0, 2], view[2, 0], view[2, 2] = math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)
        view[:3, 3] = torch.tensor([0.05, -0.02, 1.8])
        views.append(view)
    scene["viewmats"] = torch.stack(views)
    focal = 1.4 * max(width, height)
    intrinsics = torch.tensor([[focal, 0, width / 2 + 1.3], [0, 0.9 * focal, height / 2 - 0.7], [0, 0, 1]], dtype=torch.float64)
    scene["Ks"] = intrinsics.expand(cameras, 3, 3)
    scene = {name: value.to(dtype) if isinstance(value, torch.Tensor) else value for name, value in scene.items()}
    return {**scene, "width": width, "height": height}


@pytest.fixture
def scene():
    return make_scene


@pytest.fixture
def threads():
    """Set torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
