"""The background plate and the torso's layer beside the stored reference (tests/parity.py): streaming, holes, edges, errors."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.masks.masks import PALETTE, from_parsing
from talking_heads.media_core.face.masks.plates import BackgroundPlate, on_plate, torso_layer

SIZE = 40


def scene(left: int):
    """A box of a person walking over a wall with a gradient: (frame, person)."""
    wall = np.dstack([np.tile(np.arange(SIZE) * 5, (SIZE, 1)), np.full((SIZE, SIZE), 90), np.full((SIZE, SIZE), left)])
    person = np.zeros((SIZE, SIZE), bool)
    person[15:, left:left + 8] = True
    return np.where(person[..., None], 250, wall).astype(np.uint8), person


def test_each_pixel_comes_from_the_frame_with_the_person_farthest_away():
    plate = BackgroundPlate((SIZE, SIZE))
    for left in (0, 16, 31):
        plate.accumulate(*scene(left))
    image = plate.plate()
    assert plate.covered == 1.0 and not (image == 250).any()
    assert image[30, 2, 2] == 31 and image[30, 38, 2] == 0
    assert image[30, 20, 2] in (0, 31)


def test_gathering_can_be_interrupted():
    whole, half, rest = (BackgroundPlate((SIZE, SIZE)) for _ in range(3))
    for left in (0, 16, 31):
        whole.accumulate(*scene(left))
    half.accumulate(*scene(0))
    rest.restore(half.state())
    for left in (16, 31):
        rest.accumulate(*scene(left))
    assert np.array_equal(whole.plate(), rest.plate())


def test_what_was_never_seen_is_filled_from_its_neighbours():
    plate = BackgroundPlate((SIZE, SIZE))
    frame, person = scene(16)
    plate.accumulate(frame, person)
    image = plate.plate()
    assert 0.3 < plate.covered < 0.9 and not (image == 250).any()
    assert np.array_equal(image[30, 18], frame[30, 10]) and np.array_equal(image[30, 22], frame[30, 29])


def test_an_empty_room_is_taken_whole():
    plate = BackgroundPlate((SIZE, SIZE))
    plate.accumulate(*scene(16))
    empty = np.full((SIZE, SIZE, 3), 77, np.uint8)
    plate.accumulate(empty, np.zeros((SIZE, SIZE), bool))
    assert np.array_equal(plate.plate(), empty)


def test_errors_say_what_to_do():
    plate = BackgroundPlate((SIZE, SIZE))
    with pytest.raises(TalkingHeadsError, match="background"):
        plate.plate()
    with pytest.raises(TalkingHeadsError, match="40 x 40"):
        plate.accumulate(np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), bool))
    with pytest.raises(TalkingHeadsError, match="40 x 40"):
        plate.restore(BackgroundPlate((5, 5)).state())


def person(head_top: int = 10):
    """Masks of a doll at 100 px: head over a neck over clothes, and a frame of one colour each."""
    parsing = np.full((100, 100, 3), PALETTE["background"], np.uint8)
    parsing[80:, 10:90] = PALETTE["clothes"]
    parsing[70:80, 40:60] = PALETTE["neck"]
    parsing[head_top:70, 30:70] = PALETTE["face"]
    masks = from_parsing(parsing)
    frame = np.full((100, 100, 3), 30, np.uint8)
    frame[masks.head], frame[masks.torso], frame[masks.neck] = 200, 120, 160
    return frame, masks, np.full((100, 100, 3), 30, np.uint8)


def test_the_neck_goes_on_under_the_head_and_darkens():
    frame, masks, plate = person()
    layer = torso_layer(frame, masks, plate)
    assert layer.shape == (100, 100, 4) and set(np.unique(layer[..., 3])) == {0, 255}
    assert (layer[90, 10:90, 3] == 255).all() and (layer[90, 50, :3] == 120).all()
    middle = layer[:, 50]
    above = np.flatnonzero(middle[:, 3])
    assert above.min() == 67 + 4 - 52  # the neck grows 3 rows up, its colour is taken 4 rows below that, and rises 52
    assert pytest.approx(middle[71 - 25, 0], abs=3) == 160 * 0.98 ** 25
    assert not layer[..., :3][layer[..., 3] == 0].any()
    assert layer[50, 34, 3] == 0, "beside the neck nothing rises: clothes do not touch the head there"


def test_it_stops_at_the_pictures_top():
    frame, masks, plate = person(0)
    moved = [np.roll(array, -60, 0) for array in (masks.head, masks.hair, masks.mouth, masks.teeth, masks.torso, masks.neck)]
    layer = torso_layer(np.roll(frame, -60, 0), type(masks)(*moved), plate)
    assert (layer[:10, 50, 3] == 255).all() and not layer[60:, 50, 3].any()


def test_nobody_leaves_nothing():
    frame, _, plate = person()
    nobody = from_parsing(np.full((100, 100, 3), 255, np.uint8))
    assert not torso_layer(frame, nobody, plate).any()
    assert np.array_equal(on_plate(frame, nobody, plate), plate)
