"""Workflow files: the API form as it is, the page's form converted with the nodes' definitions."""
from __future__ import annotations

import json

import pytest


def saved(*nodes: dict, links: tuple = (), **more) -> dict:
    return {"version": 0.4, "nodes": list(nodes), "links": list(links), **more}


def node(number: int, kind: str, values: list | None = None, inputs: tuple = (), mode: int = 0, **more) -> dict:
    sockets = [{"name": name, "type": type_, "link": link, **({"widget": {"name": name}} if widget else {})}
               for name, type_, link, widget in inputs]
    return {"id": number, "type": kind, "mode": mode, "inputs": sockets, "widgets_values": values or [], **more}


@pytest.fixture
def convert(small):
    from talking_heads.host.workflow import to_prompt

    info = small.object_info()
    return lambda *nodes, **more: to_prompt(saved(*nodes, **more), info)


SHOW = (("value", "*", 2, False),)


def test_values_by_position_links_and_the_slot_after_a_seed(convert, small):
    prompt = convert(
        node(1, "ToyNumber", [3, "double", 77, "randomize", "a note"], title="My number"),
        node(2, "ToyAdd", [0, 4], (("a", "INT", 1, True), ("toy", "TOY", None, False))),
        node(3, "ToyShow", [], SHOW),
        links=([1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "INT"]))
    assert prompt["1"] == {"class_type": "ToyNumber", "_meta": {"title": "My number"},
                           "inputs": {"value": 3, "mode": "double", "seed": 77, "note": "a note"}}
    assert prompt["2"]["inputs"] == {"a": ["1", 0], "b": 4}
    assert small.run(prompt).outputs["3"]["text"] == ["10"]


def test_named_values_win(convert):
    named = {"value": 5, "mode": "plain", "seed": 1, "control_after_generate": "fixed", "note": None}
    prompt = convert(node(1, "ToyNumber", [3], widgets_values_named=named))
    assert prompt["1"]["inputs"] == {"value": 5, "mode": "plain", "seed": 1}
    assert convert({**node(1, "ToyNumber"), "widgets_values": {"value": 6}})["1"]["inputs"] == {"value": 6}


def test_a_dynamic_choice_brings_its_own_values(convert, small):
    prompt = convert(node(1, "ToyDynamic", ["custom", 96, 32, 0.5]), node(2, "ToyShow", [], (("value", "*", 1, False),)),
                     links=([1, 1, 0, 2, 0, "STRING"],))
    assert prompt["1"]["inputs"] == {"size": "custom", "size.width": 96, "size.height": 32, "scale": 0.5}
    assert small.run(prompt).outputs["2"]["text"] == ["[('height', 32), ('size', 'custom'), ('width', 96)] 0.5"]
    assert convert(node(1, "ToyDynamic", ["small", 0.5]))["1"]["inputs"] == {"size": "small", "scale": 0.5}


def test_muted_nodes_vanish_and_bypassed_ones_pass_through(convert):
    nodes = [node(1, "ToyNumber", [3, "plain", 0, "fixed", ""]),
             node(2, "ToyAdd", [0, 4], (("a", "INT", 1, True), ("b", "INT", None, True))), node(3, "ToyShow", [], SHOW)]
    links = ([1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "INT"])
    nodes[1]["mode"] = 4
    assert convert(*nodes, links=links)["3"]["inputs"] == {"value": ["1", 0]}
    nodes[1]["mode"] = 2
    muted = convert(*nodes, links=links)
    assert set(muted) == {"1", "3"} and muted["3"]["inputs"] == {}


def test_a_bypassed_node_passes_on_by_type(convert):
    sockets = (("images", "IMAGE", 5, False), ("a", "INT", 1, True))
    links = ([1, 1, 0, 2, 1, "INT"], [2, 2, 0, 3, 0, "INT"], [5, 4, 0, 2, 0, "IMAGE"])
    prompt = convert(node(1, "ToyNumber", [3, "plain", 0, "fixed", ""]), node(2, "ToyAdd", [], sockets, mode=4),
                     node(4, "ToyPicture", [1]), node(3, "ToyShow", [], SHOW), links=links)
    assert prompt["3"]["inputs"] == {"value": ["1", 0]}  # not the picture, though its socket comes first


def test_notes_reroutes_and_primitives_are_no_nodes(convert):
    prompt = convert(
        node(1, "ToyNumber", [3, "plain", 0, "fixed", ""], (("value", "INT", 4, True),)), node(5, "Note", ["read me"]),
        node(6, "Reroute", [], (("", "*", 1, False),)), node(7, "PrimitiveNode", [8, "fixed"]), node(3, "ToyShow", [], SHOW),
        links=([1, 1, 0, 6, 0, "INT"], [2, 6, 0, 3, 0, "INT"], [4, 7, 0, 1, 0, "INT"]))
    assert set(prompt) == {"1", "3"}
    assert prompt["3"]["inputs"] == {"value": ["1", 0]} and prompt["1"]["inputs"]["value"] == 8


def test_a_subgraph_and_an_unknown_node_are_named(convert):
    from talking_heads.host.workflow import WorkflowError

    with pytest.raises(WorkflowError, match="'Mystery' not found. The custom node"):
        convert(node(1, "Mystery"))
    with pytest.raises(WorkflowError, match="unpack it, or export the API form"):
        convert(node(1, "abc-def", title="Group"), definitions={"subgraphs": [{"id": "abc-def"}]})


@pytest.mark.parametrize(("text", "told"), [("{", "is not JSON"), ("[]", "neither a saved"), ("{}", "neither a saved")])
def test_files_that_are_no_workflow(small, tmp_path, text, told):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(WorkflowError, match=told):
        small.host.load(str(path))
    with pytest.raises(WorkflowError, match="There is no workflow file"):
        small.host.load(str(tmp_path / "none.json"))


def test_both_forms_load_and_the_pages_form_reaches_extra_pnginfo(small, tmp_path):
    page = saved(node(1, "ToyPicture", [1]), node(2, "SaveImage", ["x"], (("images", "IMAGE", 1, False),)),
                 links=([1, 1, 0, 2, 0, "IMAGE"],))
    path = tmp_path / "w.json"
    path.write_text(json.dumps(page))
    prompt, workflow = small.host.load(str(path))
    assert workflow == page
    small.run(prompt, workflow=workflow)
    from PIL import Image

    with Image.open(small.base / "output" / "x_00001_.png") as picture:
        assert json.loads(picture.text["workflow"]) == page
        assert json.loads(picture.text["prompt"])["2"]["class_type"] == "SaveImage"
    path.write_text(json.dumps(prompt))
    assert small.host.load(str(path)) == (prompt, None)


def test_settings_find_nodes_by_number_title_and_class(small):
    from talking_heads.host.settings import apply_settings
    from talking_heads.host.workflow import WorkflowError

    info = small.object_info()
    prompt = {"1": {"class_type": "ToyNumber", "inputs": {"value": 1}, "_meta": {"title": "No. 1"}},
              "2": {"class_type": "ToyAdd", "inputs": {}}, "3": {"class_type": "ToyAdd", "inputs": {}},
              "4": {"class_type": "ToyDynamic", "inputs": {}}}
    apply_settings(prompt, ["1.value=5", "No. 1.mode=double", "ToyNumber.note=a=b", "2.a=7", "4.size.width=9"], info)
    assert prompt["1"]["inputs"] == {"value": 5, "mode": "double", "note": "a=b"}
    assert prompt["2"]["inputs"] == {"a": 7} and prompt["4"]["inputs"] == {"size.width": 9}
    for wrong, told in (("ToyAdd.a=1", "more than one node"), ("9.a=1", "No node fits"), ("1.speed=1", "has no input 'speed'"),
                        ("x", "NODE.INPUT")):
        with pytest.raises(WorkflowError, match=told):
            apply_settings(prompt, [wrong], info)
