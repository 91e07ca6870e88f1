"""The background plate and the torso's layer beside the stored reference (tests/parity.py): streaming, holes, edges, errors."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.masks.filling import filled
from talking_heads.media_core.face.masks.masks import PALETTE, from_parsing, parsing_png
from talking_heads.media_core.face.masks.plates import BackgroundPlate, on_plate, torso_layer
from talking_heads.media_core.face.masks.torso import torso_under_head

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


def test_what_is_seldom_seen_counts_where_nothing_is_seen_often():
    frame, person = scene(16)
    plate = BackgroundPlate((SIZE, SIZE), often=0.5)
    plate.accumulate(frame, person)
    for _ in range(3):
        plate.accumulate(frame, np.ones_like(person))
    image = plate.plate()
    assert np.array_equal(image[30, :10], frame[30, :10]) and not (image == 250).any()


def test_holes_are_filled_smoothly_from_both_sides():
    plate = BackgroundPlate((SIZE, SIZE), near=7)
    frame, person = scene(16)
    plate.accumulate(frame, person)
    image = plate.plate(smooth=True)
    assert np.array_equal(image[30, :8], frame[30, :8]) and np.array_equal(image[30, 31:], frame[30, 31:])
    low, high = frame[39, :9].min(0), frame[39, 31:].max(0)
    assert (image >= low.min(0)).all() and not (image == 250).any() and (image[35:, :, 1] == 90).all()
    jumps = np.abs(np.diff(image[36, 8:32, 0].astype(int)))
    assert jumps.max() <= 20 < int(high[0]) - int(low[0]), "the nearest seen pixel would jump in the middle"


def test_nothing_known_fills_nothing_and_a_known_image_stays():
    image = np.random.default_rng(0).uniform(0, 255, (9, 14, 3)).astype(np.float32)
    assert not filled(image, np.zeros((9, 14), bool)).any()
    assert np.array_equal(filled(image, np.ones((9, 14), bool)), image)
    one = np.zeros((9, 14), bool)
    one[2, 3] = True
    assert np.allclose(filled(image, one), image[2, 3], atol=.01)


def test_what_few_frames_show_is_not_trusted():
    """Once, of twenty times, the mask has missed the person: what is seen there is no background."""
    plates = [BackgroundPlate((SIZE, SIZE), often=often) for often in (0.0, 0.1)]
    for k in range(20):
        frame, person = scene(16)
        for plate in plates:
            plate.accumulate(frame, person & (k != 7))
    assert (plates[0].plate(smooth=True) == 250).any()
    assert not (plates[1].plate(smooth=True) == 250).any() and plates[1].covered < plates[0].covered == 1


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


def test_only_what_the_head_hides_is_painted():
    """Under the jaw the neck's width, a tenth of the height up, darkening; no pillars beside it."""
    frame, masks, _ = person()
    layer = torso_under_head(frame, masks)
    alpha = layer[..., 3] == 255
    assert np.array_equal(alpha[70:], masks.torso[70:]) and np.array_equal(layer[72:, :, :3][alpha[72:]], frame[72:][alpha[72:]])
    painted = alpha & ~masks.torso
    assert not (painted & ~masks.head).any() and not painted[:, :36].any() and not painted[:, 64:].any()
    assert painted[60:70, 45:55].all() and np.flatnonzero(painted.any(1)).min() == 60
    assert 50 < layer[61, 50, 0] < layer[69, 50, 0] <= 160
    assert not layer[..., :3][~alpha].any()


def test_shoulders_go_on_behind_long_hair():
    parsing = np.full((100, 100, 3), PALETTE["background"], np.uint8)
    parsing[80:, 5:95] = PALETTE["clothes"]
    parsing[70:80, 40:60] = PALETTE["neck"]
    parsing[10:98, 24:36], parsing[10:98, 64:76], parsing[10:30, 24:76] = [PALETTE["hair"]] * 3
    parsing[20:70, 36:64] = PALETTE["face"]
    masks = from_parsing(parsing)
    frame = np.full((100, 100, 3), 30, np.uint8)
    frame[masks.head], frame[masks.torso], frame[masks.neck] = 200, 120, 160
    layer = torso_under_head(frame, masks)
    assert (layer[85:, 5:95, 3] == 255).all(), "no hole where hair lies before the chest"
    assert not layer[:60, 24:36, 3].any() and not layer[:60, 64:76, 3].any(), "beside the head nothing stands"
    assert (np.abs(layer[86:96, 26:34, :3].astype(int) - 120) <= 40).all()


def test_nobody_leaves_nothing():
    frame, masks, plate = person()
    nobody = from_parsing(np.full((100, 100, 3), 255, np.uint8))
    clothed = (parsing_png(masks) == PALETTE["clothes"]).all(-1)[..., None]
    bust = from_parsing(np.where(clothed, PALETTE["clothes"], 255).astype(np.uint8))
    assert not torso_under_head(frame, nobody).any()
    assert np.array_equal(torso_under_head(frame, bust)[..., 3] == 255, bust.torso)
    assert not torso_layer(frame, nobody, plate).any()
    assert np.array_equal(on_plate(frame, nobody, plate), plate)
