"""A mesh brought onto better points."""
import numpy as np
from talking_heads.media_core.face.carrier.measuring import mesh_at, still_mesh
from talking_heads.media_core.face.carrier.snapping import snapped
from talking_heads.media_core.subject.layout import to_68


def test_the_mesh_gets_exactly_the_points(portrait):
    _, mesh = portrait
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (68, 2))
    noise[:17] *= .3  # the jaw's points stay spaced along its edge
    points = to_68(mesh)[:, :2] + noise
    made = snapped(mesh, points)
    assert made.shape == mesh.shape
    assert np.abs(to_68(made)[17:, :2] - points[17:]).max() < 1e-6
    assert np.linalg.norm(to_68(made)[:17, :2] - points[:17], axis=1).mean() < .2
    assert np.abs(made - mesh).max() < 6


def test_snapping_to_its_own_points_changes_nothing(portrait):
    _, mesh = portrait
    assert np.abs(snapped(mesh, to_68(mesh)[:, :2]) - mesh).max() < .02


def test_points_tell_which_face(portrait):
    image, mesh = portrait
    points = to_68(mesh)[:, :2]
    found = still_mesh(image, landmarks=points + [.5, 0])
    assert np.abs(to_68(found)[17:, :2] - points[17:] - [.5, 0]).max() < 1e-6
    assert np.array_equal(still_mesh(image, landmarks=mesh), mesh)


def test_without_a_face_a_mean_mesh_is_laid_over_the_points(portrait):
    image, mesh = portrait
    points = to_68(mesh)[:, :2]
    made = mesh_at(np.full_like(image, 127), points)
    assert np.abs(to_68(made)[17:, :2] - points[17:]).max() < 1e-6
