"""Which point is which."""
import numpy as np
from talking_heads.media_core.face import geometry
from talking_heads.media_core.face.mesh import layout
from talking_heads.media_core.subject import layout as subject


def test_the_mirror_is_an_involution_that_keeps_the_parts():
    mirror = layout.MIRROR
    assert sorted(mirror) == list(range(478)) and (mirror[mirror] == np.arange(478)).all()
    assert {*mirror[layout.LIPS]} == {*layout.LIPS} and {*mirror[layout.LEFT_EYE]} == {*layout.RIGHT_EYE}
    assert mirror[list(layout.LEFT_IRIS)].tolist() == [473, 476, 475, 474, 477]  # picture-right becomes picture-left
    assert (mirror == np.arange(478)).sum() == 28


def test_regions_are_what_the_pack_calls_them():
    assert {*layout.LIPS} == {*subject.LIPS.ravel().tolist()} and len(layout.LIPS) == 80
    for eye, ring in zip((layout.LEFT_EYE, layout.RIGHT_EYE), subject.EYES):
        assert {*eye[:layout.EYE_RING]} == {*ring.tolist()} and len({*eye}) == 71


def test_68_points_of_the_mirrored_face_are_the_mirrored_68_points():
    rng = np.random.default_rng(0)
    face = rng.normal(size=(2, 478, 3)) * 50 + 200
    mirrored = face[:, layout.MIRROR].copy()
    mirrored[..., 0] = 399 - mirrored[..., 0]
    np.testing.assert_allclose(layout.points_68(mirrored), geometry.mirrored(layout.points_68(face), 400), atol=1e-4)


def test_unknown_faces_stay_unknown():
    assert np.isnan(layout.points_68(np.full((2, 478, 3), np.nan))).all()
    assert layout.points_68(np.zeros((0, 478, 3))).shape == (0, 68, 2)
