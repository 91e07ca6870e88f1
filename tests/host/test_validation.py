"""A refused prompt says what ComfyUI 0.33 says, word for word."""
from __future__ import annotations

import pytest


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def number(**inputs) -> dict:
    return {"1": node("ToyNumber", **{"value": 3, "mode": "plain", "seed": 0, **inputs}), "2": node("ToyShow", value=["1", 0])}


def only_error(small, prompt: dict, node_id: str = "1") -> tuple[str, str, str, dict]:
    """(type, message, details, extra_info) of the one error there is."""
    answer = small.validate(prompt)
    assert not answer.valid and answer.outputs == []
    assert list(answer.node_errors) == [node_id]
    (error,) = answer.node_errors[node_id]["errors"]
    assert answer.error["type"] == "prompt_outputs_failed_validation"
    return error["type"], error["message"], error["details"], error["extra_info"]


@pytest.mark.parametrize("inputs, kind, message, details", [
    ({"value": -1}, "value_smaller_than_min", "Value -1 smaller than min of 0", "value"),
    ({"value": 11}, "value_bigger_than_max", "Value 11 bigger than max of 10", "value"),
    ({"mode": "triple"}, "value_not_in_list", "Value not in list", "mode: 'triple' not in ['plain', 'double']"),
    ({"value": "three"}, "invalid_input_type", "Failed to convert an input value to a INT value",
     "value, three, invalid literal for int() with base 10: 'three'"),
    ({"value": [1]}, "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", "value"),
])
def test_widget_errors(small, inputs, kind, message, details):
    found = only_error(small, number(**inputs))
    assert found[:3] == (kind, message, details)
    assert found[3]["input_name"] == next(iter(inputs)) and found[3]["received_value"] == next(iter(inputs.values()))


def test_a_missing_input(small):
    prompt = number()
    del prompt["1"]["inputs"]["mode"]
    assert only_error(small, prompt) == ("required_input_missing", "Required input is missing", "mode", {"input_name": "mode"})


def test_a_link_of_the_wrong_type(small):
    prompt = {"1": node("ToySplit", count=2), "2": node("ToyAdd", a=1, b=1, toy=["1", 0]), "3": node("ToyShow", value=["2", 0])}
    kind, message, details, extra = only_error(small, prompt, "2")
    assert (kind, message) == ("return_type_mismatch", "Return type mismatch between linked nodes")
    assert details == "toy, received_type(INT) mismatch input_type(TOY)"
    assert (extra["received_type"], extra["linked_node"]) == ("INT", ["1", 0])


def test_the_nodes_own_judgement_names_its_input_and_switches_off_cores(small):
    prompt = {"1": node("ToyJudge", even=3, plain=0), "2": node("ToyShow", value=["1", 0])}
    assert only_error(small, prompt) == ("custom_validation_failed", "Custom validation failed for node", "even - must be even",
                                         {"input_name": "even"})
    prompt["1"]["inputs"]["even"] = 400  # over its max: but the node judges this input alone
    assert small.validate(prompt).valid
    prompt["1"]["inputs"]["plain"] = 5
    assert only_error(small, prompt)[0] == "value_bigger_than_max"


def test_values_are_converted_before_they_are_checked(small):
    prompt = number(value="4", note=5)
    assert small.host.validate(prompt).valid
    assert (prompt["1"]["inputs"]["value"], prompt["1"]["inputs"]["note"]) == (4, "5")


def test_a_cycle_is_told_with_its_path(small):
    prompt = {"1": node("ToyAdd", a=["2", 0], b=0), "2": node("ToyAdd", a=["1", 0], b=0), "3": node("ToyShow", value=["1", 0])}
    answer = small.validate(prompt)
    errors = [item for entry in answer.node_errors.values() for item in entry["errors"]]
    assert {item["type"] for item in errors} == {"dependency_cycle"}
    assert errors[0]["details"] == "1 (ToyAdd) -> 2 (ToyAdd) -> 1 (ToyAdd)"


def test_an_unknown_node_and_a_prompt_without_outputs(small):
    answer = small.validate({"1": {"class_type": "Nowhere", "inputs": {}, "_meta": {"title": "My node"}}})
    assert (answer.error["type"], answer.error["message"]) == (
        "missing_node_type", "Node 'My node' not found. The custom node may not be installed.")
    assert small.validate({"1": {"inputs": {}}}).error["message"].startswith("Node 'ID #1' has no class_type.")
    answer = small.validate({"1": node("ToyNumber", value=1, mode="plain", seed=0)})
    assert (answer.error["type"], answer.error["message"]) == ("prompt_no_outputs", "Prompt has no outputs")


def test_long_lists_are_counted_not_shown(small):
    from talking_heads.host.shim.io_dynamic import LiveInputs
    from talking_heads.host.validate import check_value

    live = LiveInputs(table={"required": {"file": ("COMBO", {"options": [str(index) for index in range(21)]})}, "optional": {}})
    error = check_value({"file": "x"}, "file", live, own_check=False)
    assert error["details"] == "file: 'x' not in (list of length 21)" and error["extra_info"]["input_config"] is None


def test_unset_dynamic_options_are_missing_by_their_last_name(small):
    prompt = {"1": node("ToyDynamic", **{"size": "custom", "size.width": 4, "scale": 1}), "2": node("ToyShow", value=["1", 0])}
    errors = small.validate(prompt).node_errors["1"]["errors"]
    told = {(item["type"], item["details"]) for item in errors}
    assert told == {("value_smaller_than_min", "size.width"), ("required_input_missing", "height")}
