"""The lanes of a face: measured, changed by exactly so much, in any space and pose."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from edit_faces import FACES, speaking, turned
from talking_heads.media_core.edit_curves import parsed_edits
from talking_heads.media_core.motion_edits import LANES, apply_edits, measured
from talking_heads.media_core.mouth import closed_mouth, lip_aperture

RIGHT_BROW, NOSE_TIP, UPPER_LIP, CHIN = 19, 30, 62, 8
BY = {"lips": 5.0, "jaw": 4.0, "brows": 3.0, "blink": 0.6, "yaw": 20.0, "pitch": -12.0}


def edits(**lanes):
    """Lane -> curve, or a number for all the time."""
    found = {name: curve if isinstance(curve, dict) else {"points": [[0, curve], [60, curve]]} for name, curve in lanes.items()}
    return parsed_edits(json.dumps({"version": 1, "lanes": {name: {"curves": [one]} for name, one in found.items()}}), LANES)


@pytest.mark.parametrize("space", FACES)
def test_no_edits_and_edits_elsewhere_change_no_bit(space):
    track = FACES[space]()
    assert apply_edits(track, parsed_edits("", LANES)) is track
    assert apply_edits(track, edits(brows={"points": [[30, 5]]})) is track
    part = apply_edits(track, edits(lips={"points": [[0.5, 5], [0.7, 5]], "fade": 0.1}))
    still = [*range(9), *range(21, 50)]
    assert torch.equal(part.points[still], track.points[still]) and not torch.equal(part.points, track.points)


@pytest.mark.parametrize("space", FACES)
@pytest.mark.parametrize("lane", BY)
def test_a_lane_changes_by_what_is_added(space, lane):
    """And no other does, but for the jaw, which opening lips take along."""
    track = FACES[space]()
    own, new = measured(track), measured(apply_edits(track, edits(**{lane: {"points": [[0.5, BY[lane]], [1.0, BY[lane]]]}})))
    if lane in ("yaw", "pitch") and space == "flat":
        return  # of flat points the look cannot be measured again
    inside, outside = slice(13, 24), slice(40, 50)
    for name in BY:
        change = (new[name] - own[name])[inside] - (new[name] - own[name])[outside].mean()
        wanted = BY[lane] if name == lane else 0.0
        if (lane, name) != ("lips", "jaw"):
            assert np.allclose(change, wanted, atol=2e-3), (name, change)


def test_directions():
    track = speaking()
    moved = {name: (apply_edits(track, edits(**{name: by})).points - track.points)[0] for name, by in BY.items()}
    assert moved["brows"][RIGHT_BROW, 1] > 0.02 and moved["jaw"][CHIN, 1] == pytest.approx(-0.04, abs=2e-3)
    assert moved["yaw"][NOSE_TIP, 0] > 0.1, "positive: to the image's right"
    assert moved["pitch"][NOSE_TIP, 1] < -0.05, "negative: downwards"
    assert moved["lips"][66, 1] < 0 < moved["lips"][UPPER_LIP, 1]
    assert moved["blink"][37, 1] < 0 < moved["blink"][41, 1]


@pytest.mark.parametrize("space", ["canonical", "pixels"])
def test_lips_close_to_rest_and_never_cross(space):
    track = FACES[space]()
    shut = apply_edits(track, edits(lips=-40))
    assert torch.allclose(shut.points, closed_mouth(track.points), atol=2e-4 * float(track.points.abs().max()))
    half = apply_edits(track, edits(lips={"points": [[0, 0], [60, 0]], "mode": "replace"}))
    assert torch.equal(half.points, shut.points)
    assert (lip_aperture(half.points) <= lip_aperture(track.points) + 1e-4).all()


def test_lids_shut_and_open_again():
    track = speaking()
    shut = apply_edits(track, edits(blink={"points": [[0, 1], [60, 1]], "mode": "replace"}))
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        assert torch.allclose(shut.points[:, upper], shut.points[:, lower], atol=1e-6)
    wide = apply_edits(track, edits(blink=-0.4))
    assert np.allclose(measured(wide)["blink"], 0, atol=1e-6), "measured from how open the eyes usually are"
    gap = lambda t: float((t.points[:, 37, 1] - t.points[:, 41, 1]).mean())  # noqa: E731
    assert gap(wide) == pytest.approx(1.4 * gap(track), rel=0.05)


def test_a_turned_head_keeps_its_shape():
    track = speaking()
    new = apply_edits(track, edits(yaw=30, pitch=10))
    spans = [torch.cdist(t.points.double(), t.points.double()) for t in (track, new)]
    assert torch.allclose(*spans, atol=1e-4) and (new.points - track.points).abs().max() > 0.3


def test_what_it_gives_does_not_depend_on_the_length():
    track = speaking(100)
    both = edits(lips={"points": [[0.3, 4], [0.6, 8]]}, yaw={"points": [[0.4, 10]]})
    assert torch.allclose(apply_edits(track, both).points[:40], apply_edits(track.slice(0, 40), both).points, atol=1e-6)


def test_edits_follow_other_motion():
    """The same curves on motion of another speaker and rate: added, not stored."""
    curves = edits(brows={"points": [[0.5, 3], [1.5, 3]]})
    for track in (speaking(), turned(speaking(60, 30.0), 10)):
        own, new = measured(track)["brows"], measured(apply_edits(track, curves))["brows"]
        middle = round(track.fps)
        assert (new - own)[middle] - (new - own)[0] == pytest.approx(3, abs=2e-3)
