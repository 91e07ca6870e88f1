"""The curves of the motion editor: their text, and their value at any time."""
from __future__ import annotations

import json

import numpy as np
import pytest
from talking_heads.media_core.edit_curves import Curve, Edits, Lane, parsed_edits
from talking_heads.media_core.errors import TalkingHeadsError

LANES = (Lane("brows", -10, 10, "mm"), Lane("blink", 0, 1, ""))
BROWS = LANES[0]


def text(**lanes) -> str:
    return json.dumps({"version": 1, "lanes": lanes})


def one(points, **settings) -> str:
    return text(brows={"curves": [{"points": points, **settings}]})


def test_no_text_and_no_curves_are_no_edits():
    for empty in ("", "  \n", text(), text(brows={"curves": []}), one([])):
        edits = parsed_edits(empty, LANES)
        assert not edits
        own = np.random.default_rng(0).normal(size=9)
        assert edits.edited(BROWS, own, 25.0) is own


def test_a_muted_lane_does_not_act():
    assert not parsed_edits(text(brows={"muted": True, "curves": [{"points": [[0, 1]]}]}), LANES)


@pytest.mark.parametrize("shape", ["smooth", "linear", "hold"])
@pytest.mark.parametrize("mode, wanted", [("add", [3, 5, 0]), ("replace", [1, 3, -2])])
def test_it_is_exact_at_its_points(shape, mode, wanted):
    points = [[0.1, 1], [0.5, 3], [2.25, -2]]
    edits = parsed_edits(one(points, shape=shape, mode=mode), LANES)
    times = np.array([time for time, _ in points])
    assert edits.edited_at(BROWS, np.full(3, 2.0), times).tolist() == wanted


def test_smooth_curves_overshoot_nowhere():
    rng = np.random.default_rng(1)
    curve = Curve(np.sort(rng.uniform(0, 9, 30)), rng.normal(size=30))
    for a, b, start, end in zip(curve.values, curve.values[1:], curve.times, curve.times[1:]):
        between = curve.value(np.linspace(start, end, 50))
        assert between.min() >= min(a, b) - 1e-9 and between.max() <= max(a, b) + 1e-9


def test_shapes_between_points():
    times, points = np.array([0.25, 0.5, 0.75]), (np.array([0.0, 1.0]), np.array([0.0, 4.0]))
    assert Curve(*points, shape="linear").value(times).tolist() == [1, 2, 3]
    assert Curve(*points, shape="hold").value(times).tolist() == [0, 0, 0]
    smooth = Curve(*points).value(times)
    assert smooth[1] == 2 and smooth[0] < 1 and smooth[2] > 3


def test_it_fades_outside_its_ends_and_leaves_the_rest_alone():
    own = np.random.default_rng(2).normal(size=100)
    new = parsed_edits(one([[1.0, 4], [2.0, 4]], fade=0.4), LANES).edited(BROWS, own, 25.0)
    time = (np.arange(100) + 0.5) / 25
    far = (time < 0.6) | (time > 2.4)
    assert (new[far] == own[far]).all() and far.sum() > 40
    inside = (time >= 1) & (time <= 2)
    assert np.allclose(new[inside] - own[inside], 4)
    fading = (time > 0.6) & (time < 1)
    assert (np.diff((new - own)[fading]) > 0).all()


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_it_does_not_depend_on_the_frame_rate(mode):
    """A constant motion at 25 and at 75 frames per second: every third frame is at the same time."""
    edits = parsed_edits(one([[0.2, 1], [1.1, -3], [1.5, 2]], mode=mode), LANES)
    slow, fast = edits.edited(BROWS, np.full(50, 0.5), 25.0), edits.edited(BROWS, np.full(150, 0.5), 75.0)
    assert np.allclose(fast[1::3], slow, atol=1e-12) and np.ptp(slow) > 2


def test_motion_shorter_and_longer_than_the_curve():
    edits = parsed_edits(one([[1.0, 2], [3.0, 5]]), LANES)
    own = np.zeros(500)
    long, short = edits.edited(BROWS, own, 25.0), edits.edited(BROWS, own[:40], 25.0)
    assert (long[:40] == short).all() and (long[90:] == 0).all() and short[30] > 0
    assert (edits.edited(BROWS, own[:10], 25.0) == 0).all()


def test_values_stay_in_the_lanes_range_or_where_they_were():
    edits = parsed_edits(one([[0, 20], [9, 20]]), LANES)
    assert edits.edited(BROWS, np.array([-5.0, 0, 9, 12]), 25.0).tolist() == [10, 10, 10, 12]


def test_what_is_not_known_stays_so_unless_it_is_replaced():
    own = np.array([np.nan, np.nan, 1.0])
    added = parsed_edits(one([[0, 2], [9, 2]]), LANES).edited(BROWS, own, 25.0)
    replaced = parsed_edits(one([[0, 2], [9, 2]], mode="replace"), LANES).edited(BROWS, own, 25.0)
    assert np.isnan(added[:2]).all() and added[2] == 3 and replaced.tolist() == [2, 2, 2]


def test_curves_act_one_after_the_other():
    curves = (Curve(np.array([0.0, 9]), np.array([5.0, 5]), "replace"), Curve(np.array([0.0, 9]), np.array([1.0, 1])))
    assert Edits({"brows": curves}).edited(BROWS, np.array([-3.0]), 25.0).tolist() == [6]


@pytest.mark.parametrize("edits, said", [
    ("{", "readable JSON"), ("[]", "JSON object"), ('{"lanes": {}}', "version"),
    (json.dumps({"version": 2, "lanes": {}}), "Update"),
    (json.dumps({"version": 1, "lanes": []}), "lanes must be an object"),
    (text(chin={"curves": []}), "'chin'"), (text(brows={}), "'brows'"), (text(brows={"curves": [{}]}), "'brows'"),
    (one([[0]]), "'brows'"), (one([[0, "x"]]), "'brows'"), (one([[0, 1]], mode="times"), "'brows'"),
    (one([[0, 1]], shape="round"), "'brows'"), (one([[0, 1]], fade=-1), "'brows'"), (one([[0, 1]], colour=1), "'brows'"),
    (one([[0, 1], [0, 2]]), "'brows'"), (one([[-1, 1]]), "'brows'"), (one([[1e6, 1]]), "'brows'"), (one([[0, 21]]), "'brows'"),
    (one([[0, 11]], mode="replace"), "'brows'"), (text(brows={"curves": [], "muted": 1}), "'brows'"),
    ("{" * 200, "readable JSON"), (one([[0, 1]]).replace("1]", "NaN]"), "readable JSON")])
def test_a_wrong_text_is_refused_and_its_lane_named(edits, said):
    with pytest.raises(TalkingHeadsError) as error:
        parsed_edits(edits, LANES)
    assert said in str(error.value) and ". Got: " in str(error.value) and str(error.value).count(". ") >= 2
