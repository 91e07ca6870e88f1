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


@pytest.mark.parametrize("value", ["auto", "1.5", -1, 1.5])
def test_a_text_field_that_takes_numbers_keeps_what_was_saved(convert, small, value):
    prompt = convert(node(1, "ToyAuto", [value]), node(2, "ToyShow", [], SHOW), links=([2, 1, 0, 2, 0, "STRING"],))
    assert prompt["1"]["inputs"] == {"value": value} and small.run(prompt).outputs["2"]["text"] == [repr(value)]


def test_a_link_overrules_a_text_field_that_takes_numbers(convert, small):
    number = node(1, "ToyNumber", [3, "plain", 0, "fixed", ""])
    linked = node(2, "ToyAuto", [-1], (("value", "STRING,FLOAT,INT", 1, True),))
    prompt = convert(number, linked, node(3, "ToyShow", [], SHOW), links=([1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "STRING"]))
    assert small.run(prompt).outputs["3"]["text"] == ["3"]


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
    with pytest.raises(WorkflowError, match="Got: 'Group', whose definition is missing. Save"):
        convert(node(1, "0f1e2d3c-0000-4000-8000-0123456789ab", title="Group"))


@pytest.mark.parametrize("text, told", [("{", "is not JSON"), ("[]", "neither a saved"), ("{}", "neither a saved")])
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
    from talking_heads.cli.settings import apply_settings
    from talking_heads.host.workflow import WorkflowError

    info = small.object_info()
    prompt = {"1": {"class_type": "ToyNumber", "inputs": {"value": 1}, "_meta": {"title": "No. 1"}},
              "2": {"class_type": "ToyAdd", "inputs": {}}, "3": {"class_type": "ToyAdd", "inputs": {}},
              "4": {"class_type": "ToyDynamic", "inputs": {}}}
    apply_settings(prompt, ["1.value=5", "No. 1.mode=double", "ToyNumber.note=a=b", "2.a=7", "4.size.width=9"], info)
    assert prompt["1"]["inputs"] == {"value": 5, "mode": "double", "note": "a=b"}
    assert prompt["2"]["inputs"] == {"a": 7} and prompt["4"]["inputs"] == {"size.width": 9}
    for wrong, told in (("ToyAdd.a=1", "more than one node"), ("9.a=1", "No node matches"), ("1.speed=1", "has no input 'speed'"),
                        ("x", "NODE.INPUT")):
        with pytest.raises(WorkflowError, match=told):
            apply_settings(prompt, [wrong], info)


PAGE = {"nodes": [{"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
                   "widgets_values": ["x"]},
                  {"id": 2, "type": "Reroute", "inputs": [{"name": "", "link": 2}]}],
        "links": [[1, 2, 0, 1, 0, "IMAGE"], [2, 2, 0, 2, 0, "IMAGE"]]}


@pytest.mark.parametrize("change", [
    {"nodes": [3]}, {"nodes": [{"id": 1}]}, {"nodes": [{"type": "SaveImage"}]}, {"nodes": [{"id": [], "type": "SaveImage"}]},
    {"nodes": [{"id": 1, "type": {}}]}, {"nodes": [{"id": 1, "type": "SaveImage", "inputs": 4}]},
    {"nodes": [{"id": 1, "type": "SaveImage", "inputs": [{"link": 1}]}]},
    {"nodes": [{"id": 1, "type": "SaveImage", "mode": "x"}]},
    {"nodes": [{"id": 1, "type": "SaveImage", "widgets_values": 7}]}, {"links": 5}, {"links": [[1, 2]]}, {"links": [None]},
    {"links": [{"id": 1}]}, {"links": [[1, {}, 0, 1, 0, "IMAGE"]]}, {"links": [[1, 2, "a", 1, 0, "IMAGE"]]},
    {"definitions": []}, {"definitions": {"subgraphs": [4]}}])
def test_pages_of_another_shape_are_no_workflows(small, tmp_path, change):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps({**PAGE, **change}))
    with pytest.raises(WorkflowError, match="no whole workflow"):
        small.host.load(str(path))


@pytest.mark.parametrize("node", [{"class_type": []}, {"class_type": "SaveImage", "inputs": []},
                                  {"class_type": "SaveImage", "_meta": 4}, {"class_type": "SaveImage", "_meta": {"title": {}}}])
def test_api_forms_of_another_shape_are_no_workflows(small, tmp_path, node):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps({"1": node}))
    with pytest.raises(WorkflowError, match="no whole workflow"):
        small.host.load(str(path))


def test_a_reroute_that_feeds_itself_is_told(small, tmp_path):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_text(json.dumps(PAGE))
    with pytest.raises(WorkflowError, match="leads back to itself"):
        small.host.load(str(path))


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0\x00\x10JFIF", b"[" * 100_000, b'{"a": ' * 5000, b"1" * 5000, b"\x80"])
def test_other_files_are_not_json(small, tmp_path, content):
    from talking_heads.host.workflow import WorkflowError

    path = tmp_path / "w.json"
    path.write_bytes(content)
    with pytest.raises(WorkflowError, match="is not JSON"):
        small.host.load(str(path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_workflows_as_editors_save_them(small, tmp_path, encoding):
    prompt = {"1": {"class_type": "SaveImage", "inputs": {}}}
    path = tmp_path / "w.json"
    path.write_bytes(json.dumps(prompt).encode(encoding))
    assert small.host.load(str(path)) == (prompt, None)


def test_what_is_no_prompt_is_refused_before_it_runs(small):
    for node in ({"class_type": []}, {"class_type": {}, "_meta": 5}, "x", None):
        assert not small.host.validate({"1": node}).valid


INFO = {"Toy": {"input": {"required": {
    "text": ["STRING", {}], "one": ["COMBO", {"options": ["12345", "a"]}], "number": ["INT", {}],
    "numbers": ["COMBO", {"options": [1, 2]}], "old": [["7", "b"], {}]}}}}


@pytest.mark.parametrize("setting, value", [
    ("text=12345", "12345"), ("text=true", "true"), ("text=null", "null"), ("text=1e5", "1e5"), ('text="12345"', "12345"),
    ("text=[1, 2]", "[1, 2]"), ('text=["2", 0]', ["2", 0]), ("one=12345", "12345"), ("old=7", "7"), ("number=12345", 12345),
    ("numbers=2", 2), ("number=0.5", 0.5), ("other=12", 12), ("text={\"a\": 1}", '{"a": 1}'), ("text=a=b", "a=b")])
def test_settings_of_texts_and_choices_stay_text(setting, value):
    from talking_heads.cli.settings import apply_settings

    prompt = {"1": {"class_type": "Toy", "inputs": {"other": 1}}, "2": {"class_type": "Else", "inputs": {}}}
    apply_settings(prompt, [f"Toy.{setting}"], INFO)
    came = prompt["1"]["inputs"][setting.partition("=")[0]]
    assert came == value and type(came) is type(value)
