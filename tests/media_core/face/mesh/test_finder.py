"""Faces of still images: found, counted, turned, and doubted."""
import cv2
import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.mesh import finder as module
from talking_heads.media_core.face.mesh.finder import DOUBTFUL, Candidate, MeshFace, accepted
from talking_heads.media_core.face.mesh.layout import eye_distance, points_68
from talking_heads.media_core.face.mesh.squares import Square


@pytest.fixture(scope="module")
def face(finder, astronaut):
    one, = finder.faces(astronaut, wanted=1)
    return one


def apart(one, other):
    """Mean distance of two faces' points, in distances of the eye corners."""
    return np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean() / eye_distance(one)


def test_a_portrait(face):
    assert face.points.shape == (478, 3) and face.points.dtype == np.float32
    assert face.confidence > 0.99 and face.disagreement < 0.02 and not face.doubtful and face.turn == 0
    right, left = face.points[[468, 473], :2]  # irises
    np.testing.assert_allclose([*right, *left], [203, 101, 246, 103], atol=2)


def test_the_points_are_those_that_the_original_measured(face):
    """The synthetic subject's portrait comes with points of a later version of the original."""
    from talking_heads.media_core.subject.portrait import load

    assert apart(load().points, face.points) < 0.03


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_portraits_are_read_upright_and_the_turn_is_told(finder, astronaut, face, quarter):
    turned = np.ascontiguousarray(np.rot90(astronaut, -quarter))  # clockwise
    found, = finder.faces(turned, wanted=1)
    assert found.turn == 90 * quarter
    x, y = found.points[:, :2].T
    back = [x, y]
    for _ in range(quarter):  # counterclockwise again
        back = [back[1], 511 - back[0]]
    assert apart(face.points, np.stack(back, 1)) < 0.015
    upright = np.rot90(turned, found.turn // 90)
    np.testing.assert_array_equal(upright, astronaut)


def test_a_small_face_in_a_large_image_is_found_by_a_closer_search(finder, astronaut, face):
    wide = np.full((1000, 1800, 3), 90, np.uint8)
    wide[500:692, 1300:1492] = cv2.resize(astronaut, (192, 192), interpolation=cv2.INTER_AREA)
    found, = finder.faces(wide, wanted=1)
    assert not [c for c in next(finder.searched(wide)) if c.score > 0.9]
    assert apart(face.points, (found.points[:, :2] - [1300, 500] + 0.5) * 512 / 192 - 0.5) < 0.05


@pytest.mark.parametrize("side, there", [(213, False), (427, False), (853, True)])
def test_the_closer_the_search_the_smaller_the_faces(finder, astronaut, side, there):
    """A head of 50 px in a picture of 1080."""
    wide = np.full((1080, 1500, 3), 90, np.uint8)
    wide[400:580, 900:1080] = cv2.resize(astronaut, (180, 180), interpolation=cv2.INTER_AREA)
    found = [c for c in finder.detect_closer(wide, side) if c.score > 0.6]
    assert bool(found) == there
    for candidate in found[:1]:  # the face is at (224, 112) of the portrait's 512 px
        assert np.hypot(candidate.square.x - 978.5, candidate.square.y - 441) < 12 and 40 < candidate.square.side < 90


def test_a_closer_search_is_bounded(finder):
    assert finder.detect_closer(np.zeros((64, 33000, 3), np.uint8), 213) == []  # too long
    assert finder.detect_closer(np.zeros((100, 100, 3), np.uint8), 427) == []  # too much enlarged


def test_several_faces_in_order(finder, couple):
    largest, left = (finder.faces(couple, order=order, wanted=2) for order in ("largest", "left"))
    assert len(largest) == 2 and largest[0].square.side > 1.5 * largest[1].square.side
    assert [f.square.x for f in left] == sorted(f.square.x for f in largest)
    flipped = np.ascontiguousarray(couple[:, ::-1])
    smaller, larger = finder.faces(flipped, order="left", wanted=2)[0], finder.faces(flipped, wanted=1)[0]
    assert smaller.square.side < larger.square.side
    assert finder.face(couple, face_index=1).square.x > 500


def test_a_mask_tells_where_to_look(finder, couple):
    mask = np.zeros(couple.shape[:2], bool)
    mask[:, 500:] = True
    found, = finder.faces(couple, mask=mask, wanted=1)
    assert found.square.x > 500
    assert not finder.faces(couple, mask=np.zeros_like(mask))


def test_a_careful_look_stays_where_it_was(finder, astronaut, face):
    careful = finder.face(astronaut)
    assert 0 < apart(face.points, careful.points) < 0.01


@pytest.mark.parametrize("image", [np.zeros((300, 200, 3), np.uint8), np.full((1, 1, 3), 200, np.uint8),
                                   np.random.default_rng(0).integers(0, 255, (200, 320, 3), np.uint8)])
def test_no_face(finder, image):
    assert finder.faces(image, wanted=1) == []
    with pytest.raises(TalkingHeadsError, match=r"must show a face. Got: none found in \d+ x \d+ px. Crop closer"):
        finder.face(image)


def test_half_a_face_at_the_border(finder, astronaut, face):
    found = finder.faces(np.ascontiguousarray(astronaut[:, 205:]), wanted=1)
    assert not found or apart(face.points, found[0].points + [205, 0, 0]) < 0.3


def test_an_image_larger_than_opencv_can_warp_at_once(finder, astronaut):
    tall = np.zeros((33000, 64, 3), np.uint8)
    assert finder.faces(tall, wanted=1) == []
    large = cv2.resize(astronaut, (4096, 4096))
    assert finder.faces(large, wanted=1)[0].confidence > 0.99


def test_a_heads_image_upside_down_read_as_upright_is_doubtful(finder, astronaut):
    turned = np.ascontiguousarray(astronaut[::-1, ::-1])
    read = [finder.looked(turned, c.square) for c in finder.detect(turned, [module._whole(turned)])]
    assert all(f.turn == 180 or f.disagreement > DOUBTFUL or f.confidence < 0.5 for f in read)


def test_what_closer_search_alone_has_shown_must_fit():
    square = Square(0, 0, 1)

    def takes(score, sure, disagreement, confidence=1.0):
        face = MeshFace(np.zeros((478, 3), np.float32), confidence, disagreement, square)
        return accepted(face, Candidate(score, square, sure))

    assert takes(0.6, True, 0.5) and not takes(0.99, True, 0.01, confidence=0.4)
    assert takes(0.8, False, 0.06) and not takes(0.8, False, 0.2) and takes(0.6, False, 0.02) and not takes(0.6, False, 0.06)


def test_its_points_are_the_packs_68(face):
    points = points_68(face.points)
    assert points.shape == (68, 2) and points[36, 0] < points[45, 0] and points[8, 1] > points[57, 1]


@pytest.mark.parametrize("image, options, match", [
    (np.zeros((4, 4), np.uint8), {}, "uint8 RGB"), (np.zeros((4, 4, 3), np.float32), {}, "uint8 RGB"), (None, {}, "uint8 RGB"),
    (np.zeros((4, 4, 3), np.uint8), {"order": "best"}, "order of faces"),
    (np.zeros((4, 4, 3), np.uint8), {"mask": np.ones((4, 5), bool)}, "as large as the image")])
def test_bad_input(finder, image, options, match):
    with pytest.raises(TalkingHeadsError, match=match):
        finder.faces(image, **options)


def test_faces_are_numbered_from_0(finder, astronaut):
    with pytest.raises(TalkingHeadsError, match="0 or more"):
        finder.face(astronaut, face_index=-1)
    with pytest.raises(TalkingHeadsError, match="must show 3 faces. Got: 1 found.*smaller face index"):
        finder.face(astronaut, face_index=2)
