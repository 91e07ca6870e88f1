"""Blendshapes from displacements: each is what its row of the table says, mirrored, and free of the head's pose."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES
from talking_heads.media_core.face.action_units.mesh_shapes import shapes_of_mesh, shapes_of_points
from talking_heads.media_core.subject.layout import POINTS_17_TO_67

BASE = np.random.default_rng(0).normal(size=(70, 3))
BASE[36], BASE[45] = [-0.5, 0, 0], [0.5, 0, 0]
BASE[62, 1] = BASE[66, 1]


def moved(frames: int = 10, **points) -> np.ndarray:
    """A face at rest whose last frame has points moved by (x, y, z), with the lips apart."""
    out = np.tile(BASE, (frames, 1, 1))
    for name, shift in points.items():
        out[-1, int(name[1:])] += shift
    out[-1, 66, 1] -= 1e-4
    return out


def shape(found: np.ndarray, name: str) -> float:
    return float(found[-1, BLENDSHAPES.index(name)])


def test_the_jaw_opens_by_the_chin_over_the_eyes_distance():
    found = shapes_of_points(moved(p8=(0, -0.14, 0)))
    assert shape(found, "jawOpen") == pytest.approx(0.14 / 0.35, abs=1e-5) and not found[:-1].any()
    assert shape(shapes_of_points(3 * moved(p8=(0, -0.14, 0))), "jawOpen") == pytest.approx(0.4, abs=1e-5), "any unit"


def test_a_smile_is_one_sided_and_mirrored():
    left, right = shapes_of_points(moved(p54=(0.1, 0.1, 0))), shapes_of_points(moved(p48=(-0.1, 0.1, 0)))
    assert shape(left, "mouthSmileLeft") == pytest.approx(0.14 / 0.15, abs=1e-5) == shape(right, "mouthSmileRight")
    assert shape(left, "mouthSmileRight") == shape(right, "mouthSmileLeft") == 0
    assert shape(left, "mouthStretchLeft") == pytest.approx(0.1 / 0.12, abs=1e-5)


def test_cheeks_count_where_they_are_known():
    both = moved(p68=(-0.05, 0, 0), p69=(0.05, 0, 0))
    assert shape(shapes_of_points(both), "cheekPuff") == pytest.approx(0.7, abs=1e-5)
    assert shape(shapes_of_points(both[:, :68]), "cheekPuff") == 0


def test_a_turned_mesh_gives_the_shapes_of_the_head_and_lost_frames_stay_unknown():
    rng = np.random.default_rng(3)
    mesh = np.tile(rng.normal(size=(478, 3)).astype(np.float32) * 100, (8, 1, 1))
    mesh[-1, POINTS_17_TO_67[51 - 17]] += [0, -9, 0]  # the upper lip's middle goes up
    mesh[-1, POINTS_17_TO_67[66 - 17], 1] = 1000.0  # and the lips part
    mesh[:-1, POINTS_17_TO_67[66 - 17], 1] = mesh[:-1, POINTS_17_TO_67[62 - 17], 1]
    poses = np.tile(np.eye(4, dtype=np.float32), (8, 1, 1))
    front = shapes_of_mesh(mesh, poses)
    angle = 0.4
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    flip = np.diag([1.0, -1, -1])
    turned = (mesh @ flip.T @ turn @ flip).astype(np.float32)  # in camera axes by the inverse of the pose
    poses[:, :3, :3] = turn
    turned[3] = np.nan
    found = shapes_of_mesh(turned, poses)
    assert np.isnan(found[3]).all() and np.allclose(np.delete(found, 3, 0), np.delete(front, 3, 0), atol=1e-4)
    assert front[-1, BLENDSHAPES.index("mouthShrugUpper")] > 0


def test_other_arrays_are_refused():
    with pytest.raises(TalkingHeadsError, match="68 points"):
        shapes_of_points(np.zeros((4, 5, 3)))
    with pytest.raises(TalkingHeadsError, match="0 frames known"):
        shapes_of_points(np.full((4, 68, 3), np.nan))
    with pytest.raises(TalkingHeadsError, match="one pose per frame"):
        shapes_of_mesh(np.zeros((4, 478, 3)), np.zeros((3, 4, 4)))
