"""Successors of nodes that are gone."""
from __future__ import annotations

import copy

import pytest

OLD = {"1": {"class_type": "OldNumber", "inputs": {"amount": 4, "kind": "plain", "junk": 1}},
       "2": {"class_type": "ToySplit", "inputs": {"count": 2}},
       "3": {"class_type": "ToyAdd", "inputs": {"a": ["1", 1], "b": 1}},
       "4": {"class_type": "ToyShow", "inputs": {"value": ["3", 0]}}}


@pytest.fixture
def gone(small):
    """A number node that was renamed, with its output in another place."""
    from comfy_api.latest import io
    from server import PromptServer

    found = PromptServer.instance.node_replace_manager.found
    before = list(found)
    found.append(io.NodeReplace("ToyNumber", "OldNumber", input_mapping=[
        {"new_id": "value", "old_id": "amount"}, {"new_id": "mode", "set_value": "double"}, {"new_id": "seed", "set_value": 0},
        {"new_id": "note", "old_id": "absent"}], output_mapping=[{"new_idx": 0, "old_idx": 1}]))
    found.append(io.NodeReplace("ToyNumber", "ToySplit", input_mapping=[]))  # which is still there
    found.append(io.NodeReplace("NowhereToBeFound", "OldOther"))
    yield
    found[:] = before


def test_a_prompt_of_the_old_node_runs_the_new_one(small, gone):
    given = copy.deepcopy(OLD)
    result = small.run(given)
    assert result.status == "success"
    assert result.outputs["4"]["text"] == ["9"]
    assert given == OLD


def test_what_is_there_or_has_no_successor_stays(small, gone):
    current = small.host.current(copy.deepcopy({**OLD, "5": {"class_type": "OldOther", "inputs": {}}, "6": {"inputs": {}}}))
    assert current["1"] == {"class_type": "ToyNumber", "inputs": {"value": 4, "mode": "double", "seed": 0}}
    assert current["2"] == OLD["2"]
    assert current["5"]["class_type"] == "OldOther"
    assert current["3"]["inputs"] == {"a": ["1", 0], "b": 1}
