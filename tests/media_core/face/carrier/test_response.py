"""A motion is corrected by how far the drawn mouth is seen to open."""
import numpy as np
import pytest
from talking_heads.media_core.face.carrier import response
from talking_heads.media_core.face.carrier.place import Place
from talking_heads.media_core.face.carrier.response import Response, corrected, gaps, shutting
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.subject.layout import to_68

HALF = Response(np.array([0, .05, .10]), np.array([0, .04, .08]))  # every opening is seen as four fifths of it


@pytest.fixture
def shut(carrier):
    return shutting(carrier.own68)


@pytest.fixture
def speech(carrier, shut, opened):  # float64 [40, 68, 3]
    way = (.5 - .5 * np.cos(np.arange(40) * .7)) * np.linspace(.7, 1, 40)
    return shut + way[:, None, None] * (opened - shut)


def test_factors_undo_what_is_seen():
    trust = 1.25 ** response._TRUST
    assert HALF.factors(np.array([.06, .08])) == pytest.approx([trust, trust])
    assert HALF.factors(np.array([.2])) == pytest.approx([trust])  # wider than was looked at: as the widest
    assert HALF.factors(np.array([0, .01, .015])) == pytest.approx([1, 1, 1])  # shut lips stay shut


def test_factors_are_bounded():
    misread = Response(np.array([0, .05, .10]), np.array([0, .001, .002]))
    assert HALF.factors(np.linspace(0, .3, 50)).min() >= 1
    assert misread.factors(np.array([.1])) == pytest.approx([response._MOST ** response._TRUST])
    gaping = Response(np.array([0, .05, .10]), np.array([0, .5, 1.0]))
    assert gaping.factors(np.array([.09])) == pytest.approx([response._LEAST ** response._TRUST])


def test_shut_lips_and_sideways_movement_stay(carrier, shut, speech):
    made = corrected(carrier, speech, shut)
    asked = gaps(carrier.own68 + speech)
    assert np.array_equal(made[asked < response._SHUT[0]], speech[asked < response._SHUT[0]])
    assert np.array_equal(made[..., 0], speech[..., 0]) and np.array_equal(made[:, 17:48], speech[:, 17:48])
    assert not np.array_equal(made, speech)


def test_the_mouth_is_seen_to_open_nearer_to_what_is_asked(carrier, shut, speech):
    asked = gaps(carrier.own68 + speech)
    wide = np.flatnonzero(asked > .05)

    def off(points):
        tracker, out = make_tracker("people"), []
        for i in wide[::3]:
            tracker.state = carrier.place.pixels(carrier.own68)[:, :2].astype(np.float32)
            seen = gaps(to_68(Place.of(tracker(carrier.draw(points[i])).mesh).own))
            out.append(abs(seen - asked[i]))
        return float(np.mean(out))

    assert off(corrected(carrier, speech, shut)) <= off(speech)


def test_shutting_brings_open_lips_together(carrier, shut):
    assert gaps(carrier.own68) > .02  # the portrait laughs
    assert 0 <= gaps(carrier.own68 + shut) < .02
    assert np.abs(shut[17:48]).max() < .5  # no other part of the face goes along


def test_a_motion_that_hardly_opens_the_mouth_is_left_alone(carrier, shut, speech):
    small = shut + (speech - shut) * .05
    assert corrected(carrier, small, shut) is small
