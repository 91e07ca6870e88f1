"""Subgraphs in saved workflows: flattened as the page does it, with the values that their nodes set."""
from __future__ import annotations

import copy
import json

import pytest

GROUP, OUTER = "0f1e2d3c-0000-4000-8000-000000000001", "0f1e2d3c-0000-4000-8000-000000000002"


def node(number: int, kind: str, values: list | None = None, inputs: tuple = (), mode: int = 0, **more) -> dict:
    sockets = [{"name": name, "type": type_, "link": link, **({"widget": {"name": name}} if widget else {})}
               for name, type_, link, widget in inputs]
    return {"id": number, "type": kind, "mode": mode, "inputs": sockets, "widgets_values": values or [], **more}


def joined(*ends) -> list[dict]:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return [dict(zip(names, end)) for end in ends]


# Inside: what comes in as `a`, or the widget's own value, plus 4.
INNER = {"id": GROUP, "name": "Plus four", "inputs": [{"name": "value"}], "outputs": [{"name": "sum"}],
         "nodes": [node(2, "ToyAdd", [3, 4], (("a", "INT", 1, True),))],
         "links": joined((1, -10, 0, 2, 0, "INT"), (2, 2, 0, -20, 0, "TOY"))}


def saved(instance: dict, *others: dict, links: tuple = ([9, 5, 0, 3, 0, "TOY"],), definitions: tuple = (INNER,)) -> dict:
    """A workflow that shows what the subgraph gives."""
    return {"version": 0.4, "nodes": [instance, node(3, "ToyShow", [], (("value", "*", 9, False),)), *others],
            "links": list(links), "definitions": {"subgraphs": [copy.deepcopy(item) for item in definitions]}}


def shown(small, workflow: dict) -> tuple[dict, list[str]]:
    from talking_heads.host.workflow import to_prompt

    prompt = to_prompt(workflow, small.object_info())
    return prompt, small.run(prompt).outputs["3"]["text"]


def test_nodes_inside_are_named_after_the_subgraphs_node(small):
    prompt, text = shown(small, saved(node(5, GROUP, [], (("value", "INT", None, True),))))
    assert set(prompt) == {"5:2", "3"} and prompt["3"]["inputs"] == {"value": ["5:2", 0]}
    assert prompt["5:2"]["inputs"]["a"] == 3 and text == ["7"]


def test_links_lead_in(small):
    source = node(1, "ToyNumber", [5, "plain", 0, "fixed", ""])
    prompt, text = shown(small, saved(node(5, GROUP, [], (("value", "INT", 8, True),)), source,
                                      links=([9, 5, 0, 3, 0, "TOY"], [8, 1, 0, 5, 0, "INT"])))
    assert prompt["5:2"]["inputs"]["a"] == ["1", 0] and text == ["9"]


@pytest.mark.parametrize("how", [
    {"properties": {"proxyWidgets": [["2", "a"]]}, "widgets_values": [6]},
    {"properties": {"proxyWidgets": [["2", "a"]]}, "widgets_values": []},
    {"properties": {"proxyWidgets": [["2", "b"], ["-1", "value"]]}, "widgets_values": [4, 6]},
    {"widgets_values": [6]},
    {"widgets_values": [99], "widgets_values_named": {"value": 6}}])
def test_promoted_widgets_set_what_is_inside(small, how):
    instance = {**node(5, GROUP, [], (("value", "INT", None, True),)), **how}
    _, text = shown(small, saved(instance))
    assert text == ["7" if how["widgets_values"] == [] else "10"]


def test_a_subgraph_in_a_subgraph_hands_values_and_links_on(small):
    outer = {"id": OUTER, "name": "Outer", "inputs": [{"name": "number"}], "outputs": [{"name": "out"}],
             "nodes": [node(7, GROUP, [1], (("value", "INT", 1, True),))],
             "links": joined((1, -10, 0, 7, 0, "INT"), (2, 7, 0, -20, 0, "TOY"))}
    prompt, text = shown(small, saved(node(5, OUTER, [8], (("number", "INT", None, True),)), definitions=(INNER, outer)))
    assert set(prompt) == {"5:7:2", "3"} and text == ["12"]


def test_two_of_the_same_are_two(small):
    second = node(6, GROUP, [], (("value", "INT", 8, True),))
    source = node(1, "ToyNumber", [5, "plain", 0, "fixed", ""])
    workflow = saved(node(5, GROUP, [6], (("value", "INT", None, True),)), second, source, node(4, "ToyShow", [], (
        ("value", "*", 10, False),)), links=([9, 5, 0, 3, 0, "TOY"], [8, 1, 0, 6, 0, "INT"], [10, 6, 0, 4, 0, "TOY"]))
    from talking_heads.host.workflow import to_prompt

    outputs = small.run(to_prompt(workflow, small.object_info())).outputs
    assert (outputs["3"]["text"], outputs["4"]["text"]) == (["10"], ["9"])


def test_a_muted_subgraph_vanishes(small):
    from talking_heads.host.workflow import to_prompt

    prompt = to_prompt(saved(node(5, GROUP, [], (("value", "INT", None, True),), mode=2)), small.object_info())
    assert set(prompt) == {"3"} and prompt["3"]["inputs"] == {}


def test_a_bypassed_subgraph_passes_on_by_type(small):
    from talking_heads.host.workflow import to_prompt

    source = node(1, "ToyNumber", [5, "plain", 0, "fixed", ""])
    prompt = to_prompt(saved(node(5, GROUP, [], (("value", "INT", 8, True),), mode=4), source,
                             links=([9, 5, 0, 3, 0, "INT"], [8, 1, 0, 5, 0, "INT"])), small.object_info())
    assert set(prompt) == {"1", "3"} and prompt["3"]["inputs"] == {"value": ["1", 0]}


def test_a_subgraph_within_itself_is_told(small):
    from talking_heads.host.workflow import WorkflowError

    endless = {**INNER, "nodes": [*INNER["nodes"], node(4, GROUP)]}
    with pytest.raises(WorkflowError, match="must not contain itself. Got: 'Plus four' within itself. Open it in ComfyUI"):
        shown(small, saved(node(5, GROUP), definitions=(endless,)))


@pytest.mark.parametrize("change", [
    {"nodes": 4}, {"nodes": [{"id": 1}]}, {"inputs": [{}]}, {"inputs": 3}, {"outputs": [1]}, {"links": [{"id": 1}]}, {"id": 5}])
def test_definitions_of_another_shape_are_no_workflows(small, tmp_path, change):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps(saved(node(5, GROUP), definitions=({**INNER, **change},))))
    with pytest.raises(WorkflowError, match="no whole workflow"):
        small.host.load(str(path))


def test_odd_promotions_are_no_workflows(small, tmp_path):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps(saved({**node(5, GROUP), "properties": {"proxyWidgets": [["2"]]}})))
    with pytest.raises(WorkflowError, match="a promoted widget"):
        small.host.load(str(path))


@pytest.mark.parametrize("change", [
    {"definitions": 3}, {"definitions": {"subgraphs": 3}}, {"definitions": {"subgraphs": [{"nodes": []}]}},
    {"links": [[1, -10, 0, 2, "first", "INT"]]}, {"links": [[1, -10, 0, [2], 0, "INT"]]}])
def test_definitions_within_definitions_and_ends_of_links_are_looked_at_too(small, tmp_path, change):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps(saved(node(5, GROUP), definitions=({**INNER, **change},))))
    with pytest.raises(WorkflowError, match="no whole workflow"):
        small.host.load(str(path))


@pytest.mark.parametrize("ends", [(1, -10, 0, 2, None, "INT"), (1, -10, -1, 2, 0, "INT"), (1, -10, 0, 2, -1, "INT")])
def test_a_link_from_or_to_no_socket_sets_nothing(small, ends):
    """The same workflow gives the inner widget's own value: 3 + 4."""
    loose = {**INNER, "links": [*joined(ends), INNER["links"][1]],
             "nodes": [node(2, "ToyAdd", [3, 4], (("a", "INT", None, True),))]}
    _, text = shown(small, saved(node(5, GROUP, [6], (("value", "INT", None, True),)), definitions=(loose,)))
    assert text == ["7"]


def test_subgraphs_that_would_open_into_too_many_nodes_are_told(small):
    from talking_heads.host.workflow import WorkflowError

    names = [f"0f1e2d3c-0000-4000-8000-0000000001{level:02}" for level in range(9)]
    levels = [{"id": name, "nodes": [node(number, below) for number in range(10)], "links": []}
              for name, below in zip(names, [*names[1:], "ToyAdd"])]
    with pytest.raises(WorkflowError, match="at most 100000 nodes"):
        shown(small, saved(node(5, names[0]), definitions=tuple(levels)))


def test_a_file_cannot_promote_widgets_by_itself_and_a_promoted_list_is_a_value(small):
    from talking_heads.host.workflow import to_prompt

    _, text = shown(small, saved({**node(5, "ToyAdd", [3, 4], (("a", "INT", None, True),)), "promoted": 5}, definitions=()))
    assert text == ["7"]
    prompt = to_prompt(saved(node(5, GROUP, [["3", 0]], (("value", "INT", None, True),))), small.object_info())
    assert prompt["5:2"]["inputs"]["a"] == {"__value__": ["3", 0]}


ADD = (("a", "INT", 1, True),)


@pytest.mark.parametrize("inside, links, result", [
    ([node(2, "ToyAdd", [3, 4], ADD, mode=2)], INNER["links"], {}),
    ([node(2, "ToyAdd", [3, 4], ADD, mode=4)], joined((1, -10, 0, 2, 0, "INT"), (2, 2, 0, -20, 0, "INT")), {"value": ["1", 0]}),
    ([node(4, "Reroute", [], (("", "*", 1, False),)), node(2, "ToyAdd", [3, 4], (("a", "INT", 3, True),))],
     joined((1, -10, 0, 4, 0, "INT"), (3, 4, 0, 2, 0, "INT"), (2, 2, 0, -20, 0, "TOY")), {"value": ["5:2", 0]}),
    ([], joined((1, -10, 0, -20, 0, "INT")), {"value": ["1", 0]})], ids=["muted", "bypassed", "reroute", "straight through"])
def test_muted_bypassed_and_absent_nodes_inside(small, inside, links, result):
    from talking_heads.host.workflow import to_prompt

    workflow = saved(node(5, GROUP, [], (("value", "INT", 8, True),)), node(1, "ToyNumber", [5, "plain", 0, "fixed", ""]),
                     links=([9, 5, 0, 3, 0, "TOY"], [8, 1, 0, 5, 0, "INT"]),
                     definitions=({**INNER, "nodes": inside, "links": links},))
    prompt = to_prompt(workflow, small.object_info())
    assert prompt["3"]["inputs"] == result
    assert "5:2" not in prompt or prompt["5:2"]["inputs"] == {"a": ["1", 0], "b": 4}
