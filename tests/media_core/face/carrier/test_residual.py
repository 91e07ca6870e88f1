"""Motion as displacement of one face, and a portrait's life."""
import numpy as np
import pytest
import torch
from talking_heads.media_core.face.carrier.life import lively
from talking_heads.media_core.face.carrier.place import Turn
from talking_heads.media_core.face.carrier.residual import begun, canonical_residual, pixel_residual
from talking_heads.media_core.face.pose.canonical import canonical_portrait, mean_face
from talking_heads.media_core.mouth import lip_aperture


@pytest.fixture(scope="module")
def canonical(carrier, portrait):
    return canonical_portrait(carrier.place.pixels(carrier.own68)[:, :2], portrait[0].shape[:2]).points[0].double().numpy()


def spoken(face, frames=20):
    """The face with its lower lip and jaw going down and up."""
    motion = np.repeat(face[None], frames, axis=0)
    way = .12 * np.sin(np.linspace(0, np.pi, frames)) ** 2
    motion[:, [*range(5, 12), 55, 56, 57, 58, 59, 65, 66, 67], 1] -= way[:, None]
    return motion


def test_the_portrait_itself_is_no_motion(carrier, canonical):
    moved = canonical_residual(np.repeat(canonical[None], 3, axis=0), canonical, carrier.own68)
    assert moved.turns is None and np.abs(moved.points).max() < 1e-9


def test_the_lips_open_as_far_as_told(carrier, canonical):
    motion = spoken(canonical)
    moved = canonical_residual(motion, canonical, carrier.own68)
    opening = lip_aperture(torch.from_numpy(carrier.own68 + moved.points)).numpy()
    wanted = lip_aperture(torch.from_numpy(motion)).numpy()
    assert np.corrcoef(opening, wanted)[0, 1] > .999
    eyes = np.linalg.norm(canonical[45] - canonical[36])
    assert np.ptp(opening) / 60.64 == pytest.approx(np.ptp(wanted) / eyes, rel=.15)


def test_motion_of_another_face_is_taken_from_its_own_rest(carrier, canonical):
    other = mean_face().astype(np.float64)
    other[:, 0] *= 1.1  # a broader face
    moved = canonical_residual(spoken(other), canonical, carrier.own68)
    upper = moved.points[:, 27:36]
    assert np.abs(upper).max() < .5  # units; as absolute motion the nose would go elsewhere
    opening = lip_aperture(torch.from_numpy((carrier.own68 + moved.points)[..., :2])).numpy()
    assert opening.min() < 1.5 and opening.max() > 6  # the laughing portrait shuts its mouth, and opens it


@pytest.mark.parametrize("aside", [(.004, 0, 0), (0, -.012, .01), (.3, .1, 0)])
def test_a_motion_moved_aside_keeps_its_mouth_in_the_face(carrier, canonical, aside, caplog):
    """By less than tells another face apart, and by more."""
    motion = spoken(canonical)
    moved = canonical_residual(motion + np.array(aside), canonical, carrier.own68)
    assert "moved aside" in caplog.text
    caplog.clear()
    plain = canonical_residual(motion, canonical, carrier.own68)
    assert np.allclose(moved.points, plain.points, atol=1e-9) and np.abs(plain.points).max() > 5
    assert not caplog.records


def test_head_movement_in_pixels_is_the_heads(carrier):
    wanted = [Turn.of(.02 * i, .01 * i, -.01 * i, (.3 * i, .2 * i, 0)) for i in range(6)]
    move = np.zeros((68, 3))
    move[[65, 66, 67], 1] = 6
    points = np.stack([carrier.place.pixels(carrier.own68 + move, turned)[:, :2] for turned in wanted])
    moved = pixel_residual(points, carrier.place, carrier.own68)
    assert moved.turns is not None
    for found, turned in zip(moved.turns, wanted):
        assert np.abs(found.rotation - turned.rotation).max() < .02
    assert np.abs(moved.points[:, [65, 66, 67], 1] - 6).max() < .6
    assert np.abs(moved.points[:, 17:60]).max() < .6


def test_a_still_head_in_pixels_keeps_still(carrier):
    here = carrier.place.pixels(carrier.own68)[:, :2]
    points = np.repeat(here[None], 4, axis=0)
    points[2, [65, 66, 67], 1] += 3
    moved = pixel_residual(points, carrier.place, carrier.own68)
    assert moved.turns is None and not moved.points[0].any()
    assert np.allclose(moved.points[2, 66] @ carrier.place.axes.T / carrier.place.k, [0, 3, 0], atol=1e-9)


def test_a_video_begins_with_the_picture():
    motion = np.ones((25, 68, 3))
    made = begun(motion, 25.0)
    assert not made[0].any() and np.array_equal(made[5:], motion[5:]) and (np.diff(made[:5, 0, 0]) > 0).all()
    assert np.array_equal(begun(motion[:3], 25.0), motion[:3])  # too short to leave it


def test_life_is_drawn_from_its_seed():
    opening = np.abs(np.sin(np.arange(200) / 5.0))
    one, again, other = lively(opening, 25.0, 1, 1.0), lively(opening, 25.0, 1, 1.0), lively(opening, 25.0, 2, 1.0)
    assert np.array_equal(one.blink, again.blink) and np.array_equal(one.turns[70].rotation, again.turns[70].rotation)
    assert not np.array_equal(one.turns[70].rotation, other.turns[70].rotation)
    assert one.turns[0].still and not one.sway[0].any() and one.brows[0] == 0 and one.blink[0] == 0
    assert one.blink.max() == 1 and (one.blink > 0).mean() < .4
    none = lively(opening, 25.0, 1, 0.0)
    assert all(turned.still for turned in none.turns) and not none.blink.any() and not none.brows.any() and not none.sway.any()


def test_blinks_of_the_motion_are_completed_and_not_doubled():
    opening, shut = np.abs(np.sin(np.arange(300) / 5.0)), np.zeros(300)
    shut[100:104] = .8
    made = lively(opening, 25.0, 3, 1.0, shut=shut)
    assert made.blink[100:104].min() == 1
    assert not made.blink[80:100].any() and not made.blink[110:120].any()
