"""Drawn landmarks and curves: they stand where the numbers say, and doubtful units look doubtful."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.draw import draw_curves, draw_landmarks, lip_curve, picture_points, unit_curves
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack, LandmarkTrack


def points(x: float = 50.0) -> np.ndarray:  # [68, 2]
    """Apart from each other: on a circle, but eyes 30 px apart."""
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    out = np.stack([x + 40 * np.cos(turn), 50 + 40 * np.sin(turn)], -1)
    out[36], out[45] = (x - 15, 40), (x + 15, 40)
    return out


def expression(reliability=None) -> ExpressionTrack:
    au = torch.full((50, 17), 2.5)
    au[10:20, AU_NAMES.index("AU12")] = torch.nan
    au[:, AU_NAMES.index("AU07")] = torch.nan
    return ExpressionTrack(au, 25.0, "test", reliability)


def test_every_point_is_marked_and_the_picture_itself_is_kept():
    picture = np.zeros((100, 100, 3), np.uint8)
    out = draw_landmarks(picture, points())
    assert not picture.any() and out.shape == picture.shape
    for x, y in np.rint(points()).astype(int):
        assert out[y, x].max() > 120
    assert not out[:8].any(), "nothing is drawn elsewhere"
    assert draw_landmarks(picture, points(), dots=False).sum() < out.sum()


def test_no_face_no_lines():
    picture = np.full((20, 20, 3), 7, np.uint8)
    out = draw_landmarks(picture, points() * np.nan)
    assert np.array_equal(out, picture) and out is not picture


def test_pixel_tracks_scale_with_the_picture():
    track = LandmarkTrack(torch.full((1, 68, 3), 9.5), 25.0, "pixels", (100, 200))
    assert np.allclose(picture_points(track, (50, 100)), 4.5)  # pixel centres: (9.5 + .5) / 2 - .5
    assert np.allclose(picture_points(track, (100, 200)), 9.5)


def test_canonical_tracks_fill_the_picture_upright_with_one_scale():
    flat = torch.from_numpy(points()).float() / 100
    solid = torch.cat([flat * torch.tensor([1.0, -1.0]), torch.zeros(68, 1)], 1)
    track = LandmarkTrack(torch.stack([solid, solid * 0.5]))
    drawn = picture_points(track, (200, 300))
    assert drawn[0].min() >= 19 and drawn[0][:, 1].max() <= 180
    assert drawn[0][17, 1] > drawn[0][51, 1], "y grows downwards in the image, as it did in the points"
    assert np.ptp(drawn[1][:, 0]) == pytest.approx(np.ptp(drawn[0][:, 0]) / 2)


def test_canonical_points_that_coincide_are_drawn_as_one():
    assert np.allclose(picture_points(LandmarkTrack(torch.ones(2, 68, 3)), (200, 300)), [149.5, 99.5])


def test_a_doubtful_unit_is_pale_and_labelled():
    """The same curve, trusted and not: darkest ink over the plot, and red words beside it."""
    def looks(reliability, name):
        (curve,) = unit_curves(expression(reliability), [name])
        picture = draw_curves([curve], 25.0).astype(int)
        label = picture[:, :130]
        red = ((label[..., 0] - label[..., 2]) > 60).any()
        return picture[:40, 140:990].min(), red, curve.reliable

    doubt = tuple(0.1 if name in ("AU04", "AU12") else 0.9 for name in AU_NAMES)
    dark, red, reliable = looks(doubt, "AU01")
    assert dark < 80 and not red and reliable
    for name in ("AU04", "AU12"):
        dark, red, reliable = looks(doubt, name)
        assert dark > 150 and red and not reliable
    assert looks(None, "AU04") == looks(doubt, "AU01"), "without a statement units are taken as they are"


def test_unknown_values_leave_gaps():
    gap, whole = (draw_curves(unit_curves(expression(), [name]), 25.0, 1000)[:40].astype(int) for name in ("AU12", "AU01"))
    inked = [(picture[..., 0] < 100)[:, 132:].any(0) for picture in (gap, whole)]
    lost = np.flatnonzero(inked[1] & ~inked[0]) / (1000 - 164) * 50
    assert lost.min() == pytest.approx(9.5, abs=0.2) and lost.max() == pytest.approx(20.5, abs=0.2), "between frame middles"
    (nothing,) = unit_curves(expression(), ["AU07"])
    picture = draw_curves([nothing], 25.0)[:40].astype(int)
    assert picture[:, 136:].min() > 200 and ((picture[:, :130, 0] - picture[:, :130, 2]) > 60).any()


def test_higher_values_stand_higher():
    au = torch.zeros(100, 17)
    au[:, 0] = torch.linspace(0, 5, 100)
    picture = draw_curves(unit_curves(ExpressionTrack(au), ["AU01"]), 25.0, 500)[:44].astype(int)
    rows = [int(np.flatnonzero(picture[:40, x, 0] < 120).mean()) for x in (160, 300, 440)]
    assert rows[0] > rows[1] + 8 and rows[1] > rows[2] + 8


def test_lip_opening_is_measured_in_eye_distances():
    shape = np.repeat(points()[None], 2, 0)
    shape[:, 60:68] = [(30, 70), (40, 70), (50, 70), (60, 70), (70, 70), (60, 70), (50, 70), (40, 70)]
    shape[1, 65:68, 1] += 6
    track = LandmarkTrack(torch.from_numpy(np.concatenate([shape, shape[..., :1] * 0], -1)).float(), 25.0, "pixels", (100, 100))
    assert np.allclose(lip_curve(track).values, [0, 6 / 30], atol=1e-6)


def test_all_of_it_in_one_picture():
    picture = draw_curves(unit_curves(expression()), 25.0, width=600, strip=30, title="built-in (approximate)")
    assert picture.shape == (30 * 17 + 44, 600, 3) and picture.dtype == np.uint8
    one = ExpressionTrack(torch.ones(1, 17))
    assert draw_curves(unit_curves(one), 25.0).shape[0] == 44 * 17 + 22, "a single frame is a dot"
    with pytest.raises(TalkingHeadsError, match="the same length"):
        draw_curves([*unit_curves(one), *unit_curves(expression())], 25.0)
    with pytest.raises(TalkingHeadsError, match="the same length"):
        draw_curves([], 25.0)
