"""Blendshapes to action units: one shape moves its own unit, rest is taken off, and nobody is told that it was measured."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES, RELIABILITY, expression_from_blendshapes
from talking_heads.media_core.motion import AU_NAMES


def film(**shapes) -> np.ndarray:  # [20, 52], at rest in the first half
    rows = np.full((20, 52), 0.1)
    for name, value in shapes.items():
        rows[10:, BLENDSHAPES.index(name)] += value
    return rows


def moved(**shapes) -> dict[str, float]:
    au = expression_from_blendshapes(film(**shapes), 25.0).au
    assert not au[:10].any(), "rest is nothing"
    return {name: round(float(value), 3) for name, value in zip(AU_NAMES, au[-1]) if value > 1e-4}


@pytest.mark.parametrize("shapes, units", [
    ({"browInnerUp": 0.4}, {"AU01": 2.0}),
    ({"eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.4}, {"AU45": 3.0}),
    ({"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}, {"AU12": 4.5}),
    ({"jawOpen": 0.5}, {"AU25": 2.0, "AU26": 2.5}),  # lips apart: jaw less closure, less the 0.1 of the other shapes
    ({"jawOpen": 0.5, "mouthClose": 0.5}, {"AU26": 2.5}),
    ({"mouthPressLeft": 0.2, "mouthPressRight": 0.2, "mouthRollLower": 0.2}, {"AU23": 1.5}),
    ({"cheekPuff": 0.9}, {}),
])
def test_shapes_move_their_units(shapes, units):
    assert moved(**shapes) == pytest.approx(units)


def test_no_face_is_unknown_and_rest_is_found_without_it():
    rows = film(jawOpen=0.5)
    rows[3] = np.nan
    track = expression_from_blendshapes(rows, 30.0)
    assert torch.isnan(track.au).any(1).nonzero().flatten().tolist() == [3] and torch.isnan(track.au[3]).all()
    assert track.fps == 30.0 and "untested" in track.source and track.reliability == RELIABILITY
    assert {"AU06", "AU09", "AU14"} <= set(track.unreliable)


def test_dicts_are_read_as_rows():
    rows = film(jawOpen=0.5, browDownLeft=0.3)
    dicts = [dict(zip(BLENDSHAPES, row)) for row in rows]
    dicts[2] = None
    track = expression_from_blendshapes(dicts, 25.0)
    assert torch.isnan(track.au[2]).all()
    assert torch.equal(track.au[3:], expression_from_blendshapes(rows, 25.0).au[3:])


@pytest.mark.parametrize("frames, word", [
    ([], "at least one frame"), ([None, None], "at least one frame"), (np.zeros((3, 51)), "52 numbers"),
    ([{"jawOpen": 0.1}], "no browDownLeft")])
def test_something_else_is_refused(frames, word):
    with pytest.raises(TalkingHeadsError, match=word):
        expression_from_blendshapes(frames, 25.0)
