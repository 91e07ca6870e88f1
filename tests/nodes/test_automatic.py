"""Number inputs that show auto: what they take, what they refuse and where, and that saved workflows keep their meaning."""
from __future__ import annotations

import json
from typing import Any

import pytest
from pack import make_host
from prompts import give, giver, node, own

NEWER = {"HMTalker_TrainAvatar": {"cap"}}  # fields that have shown the word from the first
FORMERLY = {  # node -> input -> the number that meant auto before the field showed the word; saved workflows hold it for ever
    "MoDiTalker_GenerateMotion": {"steps": 0, "guidance": -1.0, "clip": -1.0, "eta": -1.0, "overlap": -1},
    "MoDiTalker_MotionToVideo": {"steps": 0, "denoise": -1.0, "eta": -1.0, "overlap": -1},
    "MoDiTalker_MotionToVideoFile": {"steps": 0, "denoise": -1.0, "eta": -1.0, "overlap": -1},
    "MoDiTalker_MotionToFilm": {"steps": 0, "denoise": -1.0, "eta": -1.0, "overlap": -1},
    "MoDiTalker_TrainAToM": {"batch": 0, "memory_gb": 0},
    "MoDiTalker_TrainMToV": {"batch": 0, "memory_gb": 0},
    "TalkingHead_TrackFace": {"focal": 0.0},
    "TalkingHead_PrepareDataset": {"focal": 0.0},
    "TalkingHead_ImportActionUnits": {"frames": 0},
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Any:
    """The pack on a host that no test changes."""
    return make_host(tmp_path_factory.mktemp("automatic") / "base")


@pytest.fixture
def kinds(pack) -> dict[str, Any]:
    kind = own(pack, "nodes.automatic").Automatic
    return {"steps": kind("steps", 1, 1000, whole=True), "guidance": kind("guidance", 0, 20),
            "focal": kind("focal", 1, 100_000, label="focal length (px)")}


def fields(pack) -> dict[str, dict[str, list]]:
    """Every input that shows auto and takes numbers, by node and name."""
    infos = json.loads(json.dumps(pack.object_info(sorted(pack.packs[0].nodes))))
    found: dict[str, dict[str, list]] = {}
    for node_id, info in infos.items():
        for part in ("required", "optional"):
            for name, spec in info["input"].get(part, {}).items():
                if spec[1].get("default") == "auto" and "INT" in spec[0].split(","):
                    found.setdefault(node_id, {})[name] = spec
    return found


@pytest.mark.parametrize("name, value, number", [
    ("guidance", "auto", None), ("guidance", " AUTO ", None), ("guidance", "", None), ("guidance", None, None),
    ("guidance", -1.0, None), ("guidance", "-1", None), ("guidance", -1, None), ("guidance", -0.5, None),
    ("guidance", 0, 0.0), ("guidance", "0", 0.0), ("guidance", "1.5", 1.5), ("guidance", " 1.5 ", 1.5), ("guidance", 20, 20.0),
    ("steps", 0, None), ("steps", "0", None), ("steps", -1, None), ("steps", 25, 25), ("steps", "25", 25), ("steps", "25.0", 25),
    ("focal", 0.0, None), ("focal", "900.5", 900.5)])
def test_what_a_field_takes(kinds, name, value, number):
    assert kinds[name].read(value) == number


def test_a_whole_number_is_an_int(kinds):
    assert type(kinds["steps"].read_whole("25")) is int and kinds["steps"].read_whole(-1) is None


@pytest.mark.parametrize("name, value, words", [
    ("guidance", "many", "Guidance must be auto or a number from 0 to 20. Got: 'many'. Type auto or such a number."),
    ("guidance", "1,5", "Got: '1,5'. Write a decimal point instead of the comma."),
    ("guidance", 20.5, "Got: 20.5"), ("guidance", "nan", "Got: 'nan'"), ("guidance", "inf", "Got: 'inf'"),
    ("guidance", float("-inf"), "Got: -inf"), ("guidance", True, "Got: True"), ("guidance", 10**400, "must be auto"),
    ("steps", "2.5", "Steps must be auto or a whole number from 1 to 1000. Got: '2.5'"), ("steps", 0.5, "Got: 0.5"),
    ("steps", "1,000", "Got: '1,000'. Type auto or such a number."), ("steps", "9" * 400, f"Got: '{'9' * 59}. Type"),
    ("steps", [1], "must be auto"), ("focal", "wide", "Focal length (px) must be auto")])
def test_what_a_field_refuses(pack, kinds, name, value, words):
    with pytest.raises(own(pack, "media_core.errors").TalkingHeadsError) as caught:
        kinds[name].read(value)
    assert words in str(caught.value)


def test_every_field_is_listed_with_what_meant_auto_before(pack):
    found = {node_id: set(inputs) - NEWER.get(node_id, set()) for node_id, inputs in fields(pack).items()}
    found = {node_id: inputs for node_id, inputs in found.items() if inputs}
    assert found == {node_id: set(old) for node_id, old in FORMERLY.items()}


@pytest.mark.parametrize("node_id", FORMERLY)
def test_a_node_takes_old_values_and_refuses_wrong_ones_when_queued(pack, node_id):
    kind = pack.packs[0].nodes[node_id]
    needed = {name: None for name in ("file", "parsing") if name in kind.validate_inputs.__func__.__code__.co_varnames}
    for name, old in FORMERLY[node_id].items():
        for value in (old, str(old), "auto", None, 1, "1"):
            assert kind.validate_inputs(**needed, **{name: value}) is True, (name, value)
        assert "must be auto or a" in kind.validate_inputs(**needed, **{name: "1,5"}), name


@pytest.mark.parametrize("node_id", FORMERLY)
def test_a_field_is_text_in_the_page_and_takes_numbers_by_links(pack, node_id):
    for name, (kind, options) in fields(pack)[node_id].items():
        assert kind in ("STRING,INT", "STRING,FLOAT,INT") and options["widgetType"] == "STRING", name
        assert not {"min", "max", "step"} & set(options), "core would compare a text with them"
        assert ", or auto: " in options["tooltip"]


def test_a_wrong_text_is_refused_before_anything_runs(host):
    giver(host)
    linked = {"atom": ["a", 0], "speech": ["b", 0], "portrait": ["c", 0]}
    motion = node("MoDiTalker_GenerateMotion", **linked, seed=0, steps="auto", sampler="weights' own", guidance="1,5",
                  silence_gate=True, clip=-1.0, eta="auto", overlap=-1)
    save = node("TalkingHead_SaveLandmarks", landmarks=["motion", 0], filename_prefix="x")
    answer = host.validate({"motion": motion, "save": save, **{name: give(name) for name in "abc"}})
    assert not answer.valid
    assert any(item["details"].startswith("guidance - Guidance must be auto") for item in answer.node_errors["motion"]["errors"])
