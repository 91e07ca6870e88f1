"""A few damaged files of every kind; benchmarks/fuzz.py gives each thousands."""
from __future__ import annotations

import json
from random import Random

import pytest

from fuzz import seeds
from fuzz.attack import Target
from fuzz.formats import FORMATS
from fuzz.mutate import VALUES, changed, dumped, mutated

INPUTS = {"mtov": 3, "autoencoder": 4, "atom": 4, "impatom": 3, "atstate": 3, "avatar": 3, "avstate": 3, "ave": 4,
          "syncnet": 4}  # these take long
USUAL = 20
LEFT_OUT = {"diffstate", "hubert", "impmtov", "rgbstate"}  # these take too long for a few inputs to be worth it


@pytest.fixture(scope="session")
def shared(tiny_dataset, tiny_avatar, tmp_path_factory):
    return seeds.Shared(tmp_path_factory.mktemp("fuzz"), tiny_dataset, tiny_avatar)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - LEFT_OUT))
def test_damaged_files_are_read_or_refused_with_a_clear_error(name, shared, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    FORMATS[name].make(whole, shared)
    target = Target(name, whole, tmp_path / "work")
    outcomes = [target.attack(0, number, limit=0) for number in range(INPUTS.get(name, USUAL))]
    assert [(number, told) for number, (outcome, _, told) in enumerate(outcomes) if outcome not in ("ok", "clear")] == []
    assert any(outcome == "clear" for outcome, _, _ in outcomes), "nothing was damaged"


def test_the_same_numbers_damage_alike():
    content = json.dumps({"a": [1, 2.5, "x"], "b": {"c": None}}).encode()
    one, again, other = ([mutated(content, "a.json", Random(f"{seed} {i}")) for i in range(50)] for seed in (1, 1, 2))
    assert one == again != other and len(set(one)) > 25


def test_every_value_can_be_written():
    for value in VALUES:
        assert dumped({"a": value, "b": 1}).startswith('{"a": ')
    random = Random(0)
    assert any("[[[[[[" in dumped(changed({"a": 1, "b": [2]}, random)) for _ in range(300)), "no deep value"


def test_what_is_neither_answer_nor_refusal_is_told(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    FORMATS["lms"].make(tmp_path / "whole", None)
    target = Target("lms", tmp_path / "whole", tmp_path / "work")
    monkeypatch.setattr(target, "read", lambda: {}["gone"])
    outcome, _, told = target.attack(0, 0, limit=0)
    assert outcome == "foreign" and told.startswith("KeyError") and "0.lms" in told
