"""Landmarks in MoDiTalker's units: there and back, the split, angles, the five points, and one mean face in another's frame."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core import landmarks as lm

MEAN = torch.from_numpy(mean_face())


def faces(count: int = 5, seed: int = 0) -> torch.Tensor:  # [count, 68, 3] dm
    return MEAN + 0.1 * torch.randn(count, 68, 3, generator=torch.Generator().manual_seed(seed))


def test_idexp_there_and_back():
    points = faces()
    flat = lm.idexp(points, MEAN)
    assert flat.shape == (5, 204)
    assert torch.equal(lm.idexp(MEAN, MEAN), torch.zeros(204))
    torch.testing.assert_close(lm.absolute(flat, MEAN), points, atol=1e-6, rtol=0)


def test_idexp_is_centimetres_point_by_point():
    moved = MEAN.clone()
    moved[57, 1] -= 0.1  # 1 cm down
    flat = lm.idexp(moved, MEAN)
    assert flat[3 * 57 + 1] == pytest.approx(-1.0, abs=1e-5)
    assert int((flat.abs() > 1e-6).sum()) == 1


def test_lips_and_the_rest_are_every_point_once():
    assert sorted(lm.LIP_RELATED + lm.UPPER) == list(range(68))
    assert (len(lm.LIP_RELATED), len(lm.UPPER)) == (37, 31)


def test_rotation_is_a_rotation_for_row_vectors():
    angles = 0.6 * torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turn = lm.rotation_from_euler(angles)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3, dtype=torch.float64).expand(20, 3, 3))
    about_z = lm.rotation_from_euler(torch.tensor([0.0, 0.0, torch.pi / 2]))
    torch.testing.assert_close(torch.tensor([1.0, 0, 0]) @ about_z, torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_posed_there_and_back():
    turn, shift = lm.rotation_from_euler(torch.randn(5, 3)), torch.randn(5, 3)
    torch.testing.assert_close(lm.unposed(lm.posed(faces(), turn, shift), turn, shift), faces(), atol=1e-5, rtol=0)


def test_five_points():
    five = lm.five_points(MEAN)
    assert five.shape == (5, 3)
    assert float(five[0, 0]) < 0 < float(five[1, 0])  # the eye on the picture's left first
    assert torch.equal(five[2], MEAN[30])
    with pytest.raises(TalkingHeadsError, match="68"):
        lm.five_points(MEAN[:5])


def test_registration_finds_a_similarity_and_undoes_it():
    turn = lm.rotation_from_euler(torch.tensor([0.2, -0.1, 0.05], dtype=torch.float64)).numpy()
    there = lm.Registration(1.3, turn, np.array([0.1, -0.4, 0.7]))
    other = there(MEAN.double()).numpy()
    found = lm.registration(mean_face(), other)
    assert found.scale == pytest.approx(1.3, abs=1e-6)
    points = faces().double()
    torch.testing.assert_close(found(points), there(points), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.inverse()(found(points)), points, atol=1e-9, rtol=0)


def test_registration_never_mirrors():
    mirrored = mean_face() * np.array([1, 1, -1], np.float32)
    assert np.linalg.det(lm.registration(mean_face(), mirrored).rotation) == pytest.approx(1)


@pytest.mark.parametrize("bad", [np.zeros((68, 3)), np.full((68, 3), np.nan), np.zeros((67, 3))])
def test_bad_faces_are_not_registered(bad):
    with pytest.raises(TalkingHeadsError):
        lm.registration(mean_face(), bad)


@pytest.mark.parametrize("call", [lambda: lm.idexp(torch.zeros(4, 68, 2), MEAN), lambda: lm.idexp(faces(), MEAN[:, :2]),
                                  lambda: lm.absolute(torch.zeros(4, 203), MEAN),
                                  lambda: lm.absolute(torch.zeros(4, 204), MEAN[:5])])
def test_other_shapes_are_told(call):
    with pytest.raises(TalkingHeadsError, match="Got"):
        call()
