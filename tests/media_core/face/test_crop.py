"""Face crops: where pixels go, how they come back, and that nothing else is touched."""
from __future__ import annotations

import json

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.crop import FaceCrop, following_crop, single_crops, still_crop

H, W = 120, 160


def face(x: float = 80.0, y: float = 60.0, scale: float = 1.0, turn: float = 0.0) -> np.ndarray:  # [68, 2]
    """68 points in a box of 20 px around (x, y), eyes level before the turn (rad)."""
    points = np.random.default_rng(0).uniform(-8, 8, (68, 2))
    points[0], points[16], points[8], points[19] = (-10, 0), (10, 0), (0, 10), (0, -10)
    points[36:42], points[42:48] = (-4, -3), (4, -3)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ rotation.T * scale + (x, y)


def noise(kind=np.uint8, seed: int = 0, shape=(H, W, 3)) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, shape)
    return picture.astype(np.uint8) if kind is np.uint8 else (picture / 255).astype(np.float32)


def ramp() -> np.ndarray:  # float32 [H, W, 2]: x and y of each pixel's centre, over 200
    y, x = np.mgrid[:H, :W].astype(np.float32)
    return np.stack([x, y], -1) / 200


CROPS = {
    "larger": still_crop(face(), (H, W), 128),  # 50 px to 128
    "smaller": still_crop(face(scale=2), (H, W), 32),  # 100 px to 32
    "turned": still_crop(face(turn=0.3), (H, W), 64, upright=True, inside=False),
    "overhanging": still_crop(face(5, 110), (H, W), 64, inside=False),
}


@pytest.mark.parametrize("name", ["larger", "smaller", "turned"])
def test_pixels_show_the_place_they_are_said_to_show(name):
    """Read off a ramp: the crop's pixel (u, v) shows the source at to_source(u, v), to 1/20 px, for growing and shrinking."""
    crop = CROPS[name]
    seen = crop.crop(ramp()) * 200
    inside = crop.size // 4
    for u, v in [(inside, inside), (crop.size - inside, inside), (crop.size // 2, crop.size - inside)]:
        assert np.allclose(seen[v, u], crop.to_source(np.array([u, v])), atol=0.05)
    points = face()
    assert np.allclose(crop.to_source(crop.to_crop(points)), points)


def test_the_square_stands_around_the_head_at_whole_pixels():
    crop = still_crop(face(80.3, 60.2), (H, W), 50)  # box 20 px, so a square of 50
    assert crop.side() == pytest.approx(50)
    assert np.allclose(crop.to_crop(np.array([80.3, 60.2])), [24.5, 24.5 + 20 * 0.08], atol=0.51)
    corner = crop.to_source(np.zeros(2))
    assert np.allclose(corner, np.rint(corner))
    x, y = corner.astype(int)
    picture = noise()
    assert np.array_equal(crop.crop(picture), picture[y:y + 50, x:x + 50]), "same size: pixels are copied, not interpolated"


@pytest.mark.parametrize("centre, scale", [((80, 60), 1.0), ((12, 112), 1.0), ((80, 60), 9.0)])
def test_the_square_stays_inside_the_picture(centre, scale):
    crop = still_crop(face(*centre, scale), (H, W), 64)
    edges = crop.to_source(np.array([[-0.5, -0.5], [63.5, 63.5]]))
    assert (edges >= -0.5 - 1e-9).all() and (edges <= [W - 0.5 + 1e-9, H - 0.5 + 1e-9]).all()
    assert crop.side() == pytest.approx(min(50 * scale, H))


def test_beyond_the_picture_lies_its_edge():
    picture = noise()
    seen = CROPS["overhanging"].crop(picture)
    assert CROPS["overhanging"].to_source(np.zeros(2))[0] < -1
    assert np.array_equal(seen[:, 0], seen[:, 1]) and seen.std() > 0


def test_upright_levels_the_eyes():
    points = face(turn=0.3)
    crop = CROPS["turned"]
    right, left = crop.to_crop(points[36]), crop.to_crop(points[42])
    assert right[1] == pytest.approx(left[1]) and left[0] > right[0]
    tilted = still_crop(points, (H, W), 64).to_crop(points[[36, 42]])
    assert abs(tilted[0, 1] - tilted[1, 1]) > 1


def test_pasting_an_unchanged_crop_of_the_same_size_changes_nothing():
    picture = noise()
    crop = still_crop(face(), (H, W), 50)
    assert np.array_equal(crop.paste_back(picture, crop.crop(picture), feather=0.0), picture)
    assert np.array_equal(crop.paste_back(picture, crop.crop(picture)), picture)


@pytest.mark.parametrize("name", sorted(CROPS))
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("feather", [0.0, 0.1, 0.5])
def test_outside_the_square_nothing_changes_by_a_bit(name, kind, feather):
    crop, picture = CROPS[name], noise(kind)
    before = picture.copy()
    edit = np.zeros((crop.size, crop.size, 3), kind)
    out = crop.paste_back(picture, edit, feather=feather)
    y, x = np.mgrid[:H, :W]
    u, v = np.moveaxis(crop.to_crop(np.stack([x, y], -1)), -1, 0)
    outside = (np.minimum(u, v) < -0.5) | (np.maximum(u, v) > crop.size - 0.5)
    assert np.array_equal(out[outside], picture[outside]) and outside.any()
    assert np.array_equal(picture, before), "the source itself is never written to"
    deep = (np.minimum(u, v) > crop.size * feather) & (np.maximum(u, v) < crop.size * (1 - feather) - 1)
    assert deep.sum() > 100 or feather == 0.5
    assert (out[deep] == 0).all(), "well inside, the edit is all there is"


def test_the_edit_fades_steadily_and_nowhere_leaves_a_step():
    crop, picture = CROPS["larger"], np.zeros((H, W, 3), np.float32)
    out = crop.paste_back(picture, np.ones((128, 128, 3), np.float32), feather=0.25)[..., 0]
    row = out[round(crop.to_source(np.array([64.0, 64.0]))[1])]
    rise = np.diff(row[:80])
    assert (rise >= 0).all() and 0 < rise.max() < 0.15 and row.max() == 1
    mask = crop.feather_mask(0.25)
    assert mask.shape == (128, 128) and mask[64, 64] == 1 and mask[0, 64] < 0.01
    assert np.array_equal(mask, mask[::-1]) and np.array_equal(mask, mask.T)


def test_what_comes_back_is_what_was_seen():
    """Smooth image, crop enlarged and shrunk: back in its place within a few grey levels."""
    y, x = np.mgrid[:H, :W]
    waves = np.stack([80 * np.sin(x / 17), 80 * np.cos(y / 13), 60 * np.sin((x + y) / 19)], -1)
    picture = (128 + waves).astype(np.uint8)
    for crop in (CROPS["larger"], CROPS["smaller"], CROPS["turned"]):
        out = crop.paste_back(picture, crop.crop(picture), feather=0.1)
        assert np.abs(out.astype(int) - picture)[5:-5, 5:-5].max() <= (6 if crop is CROPS["smaller"] else 2)


def test_an_edit_that_enlarged_lands_in_the_same_place():
    import cv2

    crop, picture = CROPS["larger"], ramp()
    twice = cv2.resize(crop.crop(picture), (256, 256), interpolation=cv2.INTER_LINEAR)
    assert np.abs(crop.paste_back(picture, twice) - picture).max() * 200 < 0.1  # px


def test_a_mask_keeps_the_rest_bit_for_bit():
    crop, picture = CROPS["larger"], noise()
    mask = np.zeros((64, 64), np.float32)  # half the crop's size: any size over the square will do
    mask[32:] = 1.0
    out = crop.paste_back(picture, np.zeros((128, 128, 3), np.uint8), feather=0.0, mask=mask)
    changed = np.nonzero((out != picture).any((1, 2)))[0]
    middle = crop.to_source(np.array([64.0, 63.5]))[1]
    assert middle - 1 <= changed.min() <= middle + 1.5
    assert (out[round(middle) + 4:round(middle) + 20, 70:90] == 0).all()
    assert np.array_equal(crop.paste_back(picture, np.zeros((128, 128, 3), np.uint8), mask=mask * 0), picture)


def test_following_goes_along_without_delay_and_without_trembling():
    random = np.random.default_rng(1)
    time = np.arange(100) / 25
    way = 80 + 20 * np.sin(2 * np.pi * 0.1 * time)
    points = np.stack([face(x + dx, 60 + dy) for x, dx, dy in zip(way, *random.normal(0, 1.0, (2, 100)))])
    crop = following_crop(points, (H, W), 50, 25.0)
    assert crop.moves and len(crop) == 100
    middle = np.array([crop.to_source(np.array([24.5, 24.5]), i)[0] for i in range(100)])
    assert np.abs(middle - way)[10:-10].max() < 2.0, "no delay: 20 px of swing are followed"
    assert np.abs(np.diff(middle, 2)).max() < 0.2 < np.abs(np.diff(points[:, :, 0].mean(1), 2)).max()
    assert len({round(crop.side(i), 6) for i in range(100)}) == 1


def test_following_keeps_a_turning_head_level():
    turns = 0.4 * np.sin(2 * np.pi * 0.1 * np.arange(75) / 25)
    points = np.stack([face(turn=turn) for turn in turns])
    crop = following_crop(points, (H, W), 64, 25.0, upright=True)
    eyes = np.array([crop.to_crop(points[i, [36, 42]], i) for i in range(75)])
    assert np.abs(np.arctan2(*(eyes[:, 1] - eyes[:, 0]).T[::-1]))[10:-10].max() < 0.03  # rad
    assert crop.matrices[40, 1, 0] != 0 == following_crop(points, (H, W), 64, 25.0).matrices[40, 1, 0]


def test_unrelated_pictures_get_squares_of_their_own():
    points = np.stack([face(60, 50), face(100, 70, 1.4)])
    crop = single_crops(points, (H, W), 64)
    for i in range(2):
        assert np.array_equal(crop.matrices[i], still_crop(points[i], (H, W), 64).matrices[0])
    with pytest.raises(TalkingHeadsError, match="found"):
        single_crops(np.stack([points[0], points[0] * np.nan]), (H, W), 64)


def test_frames_without_a_face_are_bridged():
    points = np.stack([face(60 + i, 60) for i in range(20)])
    points[5:9] = np.nan
    crop = following_crop(points, (H, W), 50, 25.0, cutoff=5.0)
    assert np.isfinite(crop.matrices).all()
    x = [crop.to_source(np.array([24.5, 0]), i)[0] for i in range(20)]
    assert np.allclose(np.diff(x)[3:-3], 1, atol=0.1)
    assert still_crop(points, (H, W), 50).to_source(np.array([24.5, 24.5]))[0] == pytest.approx(69.5, abs=2.5)
    with pytest.raises(TalkingHeadsError, match="found"):
        still_crop(points * np.nan, (H, W), 50)


def test_a_film_streams_and_equals_its_frames():
    crop = following_crop(np.stack([face(60 + i, 60) for i in range(4)]), (H, W), 32)
    frames = [noise(seed=i) for i in range(4)]
    cut = list(crop.crops(iter(frames)))
    back = crop.pasted(iter(frames), iter(cut), feather=0.2)
    assert next(back).shape == (H, W, 3), "frames come one at a time"
    assert np.array_equal(next(back), crop.paste_back(frames[1], cut[1], 1, feather=0.2))
    with pytest.raises(TalkingHeadsError, match="frame 4"):
        crop.crop(frames[0], 4)
    still = still_crop(face(), (H, W), 32)
    assert np.array_equal(still.crop(frames[0], 17), still.crop(frames[0])), "a still square serves any frame"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels(channels):
    picture = noise(shape=(H, W, channels))
    for crop in (CROPS["larger"], CROPS["smaller"]):
        assert crop.crop(picture).shape == (crop.size, crop.size, channels)
        assert crop.paste_back(picture, crop.crop(picture)).shape == (H, W, channels)


def test_it_is_stored_as_json():
    crop = following_crop(np.stack([face(60 + i, 60) for i in range(3)]), (H, W), 32, 30.0, upright=True)
    again = FaceCrop.from_dict(json.loads(json.dumps(crop.to_dict())))
    assert np.array_equal(again.matrices, crop.matrices)
    assert (again.size, again.source_size, again.fps) == (32, (H, W), 30.0)
    with pytest.raises(TalkingHeadsError, match="version"):
        FaceCrop.from_dict({**crop.to_dict(), "version": 2})
    with pytest.raises(TalkingHeadsError, match="matrices"):
        FaceCrop.from_dict({})


@pytest.mark.parametrize("call, word", [
    (lambda: CROPS["larger"].crop(noise(shape=(H, W - 1, 3))), "160 x 120"),
    (lambda: CROPS["larger"].crop(noise().astype(np.float64)), "float64"),
    (lambda: CROPS["larger"].paste_back(noise(), noise(shape=(128, 127, 3))), "square"),
    (lambda: CROPS["larger"].paste_back(noise(), noise(np.float32, shape=(128, 128, 3))), "float32"),
    (lambda: CROPS["larger"].paste_back(noise(), noise(shape=(9, 9, 3)), mask=np.ones((3, 4))), "mask"),
    (lambda: CROPS["larger"].paste_back(noise(), noise(shape=(9, 9, 3)), feather=0.7), "feather"),
    (lambda: still_crop(face(), (H, W), 8), "16 to 8192"),
    (lambda: still_crop(face(), (H, W), 64, margin=0.5), "margin"),
    (lambda: FaceCrop(np.zeros((1, 2, 3)), 64, (H, W)), "neither mirror"),
])
def test_what_does_not_fit_is_refused(call, word):
    with pytest.raises(TalkingHeadsError, match=word):
        call()


@pytest.mark.parametrize("cut", [still_crop, following_crop])
def test_nothing_is_put_back_where_nobody_was_seen(cut):
    points = np.stack([face()] * 4)
    points[1:3] = np.nan
    crop = FaceCrop.from_dict(json.loads(json.dumps(cut(points, (H, W), 32).to_dict())))
    assert crop.faceless == (1, 2)
    film = [noise(seed=k) for k in range(4)]
    back = list(crop.pasted(film, [noise(seed=9, shape=(32, 32, 3))] * 4))
    assert [np.array_equal(*pair) for pair in zip(film, back)] == [False, True, True, False]
