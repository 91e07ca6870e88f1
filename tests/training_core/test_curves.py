"""A training's curves: thinned without losing their shape, and gone on with after a break."""
from __future__ import annotations

import json

import pytest
from talking_heads.training_core.curves import LOSS, MOST, RATE, SHOWN, Curves


def rows(curves: Curves) -> dict[str, dict]:
    return {row["name"]: row for row in curves.to_json()["curves"]}


def test_a_long_training_has_few_points_and_keeps_its_shape():
    curves = Curves()
    for step in range(1, 10_001):
        curves.add(step, {"loss": 1 / step, "lr": 1e-3, "text": "x", "grad_norm": 3.0}, "first" if step < 40 else "second")
    found = rows(curves)
    assert found.keys() == {"loss", "lr"}, "what is no figure, or is not shown, is left out"
    steps, values = found["loss"]["steps"], found["loss"]["values"]
    assert MOST / 2 <= len(steps) <= MOST + 1 and steps == sorted(set(steps)) and steps[-1] == 10_000
    assert all(later < before for before, later in zip(values, values[1:])), "means of a falling curve fall"
    assert values[-1] == pytest.approx(1e-4, rel=0.05)
    assert (found["lr"]["steps"], found["lr"]["values"]) == ([1], [1e-3]), "what stays as it is is one point"
    assert curves.to_json()["phases"] == [[1, "first"], [40, "second"]]
    assert (found["loss"]["chart"], found["lr"]["chart"]) == (LOSS, RATE) and json.dumps(curves.to_json(), allow_nan=False)


def test_the_newest_value_is_always_there():
    curves = Curves()
    for step in range(1, 2 * MOST + 4):
        curves.add(step, {"loss": float(step)})
    assert rows(curves)["loss"]["steps"][-1] == 2 * MOST + 3


def test_what_is_not_finite_is_left_out():
    curves = Curves()
    for step, value in enumerate((1.0, float("nan"), float("inf"), 2.0), 1):
        curves.add(step, {"loss": value})
    assert (rows(curves)["loss"]["steps"], rows(curves)["loss"]["values"]) == ([1, 4], [1.0, 2.0])


def test_a_resumed_training_goes_on_with_what_was_before_its_step():
    curves = Curves()
    for step in range(1, 101):
        curves.add(step, {"loss": float(step)}, "a" if step < 50 else "b")
    again = Curves.until(json.loads(json.dumps(curves.to_json())), 40)
    again.add(41, {"loss": 7.0}, "a")
    found = rows(again)["loss"]
    assert found["steps"] == list(range(1, 42)) and found["values"][-1] == 7.0
    assert again.to_json()["phases"] == [[1, "a"]]


@pytest.mark.parametrize("record", [
    {}, {"curves": 3, "phases": {}}, {"curves": [None, {"name": "loss", "steps": ["x"], "values": [1], "stride": -1}]},
    {"curves": [{"name": "loss", "steps": [3], "values": [float("nan")]}]},
    {"curves": [{"name": "else", "steps": [1], "values": [1]}], "phases": [[1], ["a", 2], 3]}])
def test_a_damaged_record_is_no_hindrance(record):
    curves = Curves.until(record, 10)
    curves.add(11, {"loss": 1.0}, "a")
    assert rows(curves)["loss"]["steps"] == [11] and curves.to_json()["phases"] == [[11, "a"]]


def test_what_is_sent_later_has_a_value_for_every_step():
    """A page's server writes a record down in a thread of its own, while the training goes on."""
    curves = Curves()
    curves.add(1, {"loss": 1.0}, "a")
    told = curves.to_json()
    curves.add(2, {"loss": 0.5}, "b")
    assert told == {"curves": [{**rows(curves)["loss"], "steps": [1], "values": [1.0]}], "phases": [[1, "a"]]}


def test_every_curve_has_its_words():
    assert all(chart and label for chart, label in SHOWN.values())
