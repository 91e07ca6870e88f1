"""The subgraph blueprints: each dropped into a graph with loaders around it runs, with the values set on its node."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pack import ROOT, temporary_host
from pages.blueprints import BLUEPRINTS
from pages.layout import Box
from pages.page_form import page_node
from pages.sizes import least_height
from talking_heads.media_core.audio import load_sound, save_wav
from talking_heads.media_core.video import probe

INFO = temporary_host().object_info()
TITLES = [one.title for one in BLUEPRINTS]


def blueprint(title: str) -> dict[str, Any]:
    return json.loads((ROOT / "subgraphs" / f"{title}.json").read_text("utf8"))


def dropped(title: str, values: list, sources: list[tuple[str, dict]], results: list[tuple[str, dict, str]]) -> dict[str, Any]:
    """A page form: the blueprint's node as 1, its sources from 11 linked to its sockets in order, from 21 what reads its outputs.

    Args:
        values: of its promoted widgets.
        sources: (type, widgets) for each socket without a widget.
        results: (type, widgets, input) for each output.
    """
    page = blueprint(title)
    own = {**page["nodes"][0], "widgets_values": values}
    nodes, links = [own], []
    free = [socket for socket in own["inputs"] if "widget" not in socket]
    for i, (socket, (kind, inputs)) in enumerate(zip(free, sources)):
        nodes.append(page_node(11 + i, {"class_type": kind, "inputs": inputs}, INFO[kind]))
        links.append([len(links) + 1, 11 + i, 0, 1, own["inputs"].index(socket), socket["type"]])
        socket["link"] = len(links)
    for i, (kind, inputs, name) in enumerate(results):
        reader = page_node(21 + i, {"class_type": kind, "inputs": inputs}, INFO[kind])
        links.append([len(links) + 1, 1, i, 21 + i, 0, own["outputs"][i]["type"]])
        next(socket for socket in reader["inputs"] if socket["name"] == name)["link"] = len(links)
        nodes.append(reader)
    return {**page, "nodes": nodes, "links": links}


SAVE = ("SaveVideo", {"filename_prefix": "blueprint", "format": "auto", "codec": "auto"}, "video")


@pytest.fixture
def stage(host, tmp_path) -> Path:
    base = tmp_path / "base"
    save_wav(base / "input" / "speech.wav", load_sound(ROOT / "demo" / "demo_speech_short.wav").cut(0.0, 1.0))
    shutil.copy(ROOT / "demo" / "demo_portrait.jpg", base / "input" / "portrait.jpg")
    return base


def run(host, tmp_path: Path, page: dict, few: dict[str, dict]) -> tuple[dict, Any]:
    path = tmp_path / "dropped.json"
    path.write_text(json.dumps(page))
    prompt, workflow = host.load(str(path))
    for node_id, inputs in few.items():
        prompt[node_id]["inputs"] |= inputs
    result = host.run(prompt, workflow=workflow)
    assert result.status == "success", result.error
    return prompt, result


def test_speech_to_avatar_video(host, stage, tmp_path):
    page = dropped("Speech to avatar video", ["demo_avatar.safetensors", 1.5, "none", 7],
                   [("LoadAudio", {"audio": "speech.wav"})], [SAVE])
    prompt, _ = run(host, tmp_path, page, {})
    assert prompt["1:4"]["inputs"] | {"lip_gain": 1.5, "blinks": "none", "seed": 7} == prompt["1:4"]["inputs"]
    assert prompt["1:2"]["inputs"]["audio"] == prompt["1:5"]["inputs"]["audio"] == ["11", 0]
    (film,) = (stage / "output").glob("blueprint*.mp4")
    assert probe(film).has_sound and probe(film).frames == 25


def test_portrait_to_video(host, stage, tmp_path):
    page = dropped("Portrait to video", ["demo_atom.safetensors", 3, 0.5, 4],
                   [("LoadImage", {"image": "portrait.jpg"}), ("LoadAudio", {"audio": "speech.wav"})], [SAVE])
    prompt, _ = run(host, tmp_path, page, {"1:8": {"steps": 2}})
    assert (prompt["1:8"]["inputs"]["seed"], prompt["1:10"]["inputs"]["seed"], prompt["1:10"]["inputs"]["life"]) == (3, 4, 0.5)
    (film,) = (stage / "output").glob("blueprint*.mp4")
    assert probe(film).has_sound and (probe(film).width, probe(film).frames) == (512, 25)


def test_video_to_avatar(host, stage, tmp_path, tiny_film):
    shutil.copy(tiny_film, stage / "input" / "me.mp4")
    page = dropped("Video to avatar", ["dropped", 128, "demo", 0.001], [("LoadVideo", {"file": "me.mp4"})], [])
    page["nodes"].append(page_node(31, {"class_type": "PreviewImage", "inputs": {}}, INFO["PreviewImage"]))
    page["links"].append([99, 1, 1, 31, 0, "IMAGE"])
    page["nodes"][-1]["inputs"][0]["link"] = 99
    prompt, result = run(host, tmp_path, page, {})
    assert prompt["1:2"]["inputs"]["name"] == prompt["1:4"]["inputs"]["name"] == "dropped"
    assert len(result.outputs["31"]["images"]) == 1
    assert (stage / "models" / "talking_heads" / "dropped.safetensors").is_file()


def test_edit_motion(host, stage, tmp_path):
    page = dropped("Edit motion", [6.0, 2.0], [("TalkingHead_PortraitLandmarks", {"face_index": 0, "order": "largest"})] * 2,
                   [("TalkingHead_PreviewLandmarks", {"size": 64}, "landmarks")])
    page["nodes"] += [page_node(31, {"class_type": "LoadImage", "inputs": {"image": "portrait.jpg"}}, INFO["LoadImage"]),
                      page_node(32, {"class_type": "PreviewImage", "inputs": {}}, INFO["PreviewImage"])]
    page["links"] += [[97, 31, 0, 11, 0, "IMAGE"], [98, 31, 0, 12, 0, "IMAGE"], [99, 21, 0, 32, 0, "IMAGE"]]
    for node_id, number in ((11, 97), (12, 98), (32, 99)):
        next(node for node in page["nodes"] if node["id"] == node_id)["inputs"][0]["link"] = number
    prompt, result = run(host, tmp_path, page, {})
    assert prompt["1:10"]["inputs"] == {"landmarks": ["1:9", 0], "factor": 2.0, "rest": ["12", 0]}
    assert len(result.outputs["32"]["images"]) == 1


@pytest.mark.parametrize("title", TITLES)
def test_a_blueprint_is_one_node_that_is_found_and_explained(title):
    page = blueprint(title)
    (node,), (inside,) = page["nodes"], page["definitions"]["subgraphs"]
    assert node["type"] == inside["id"] and node["title"] == inside["name"] == title
    assert len(page["extra"]["BlueprintDescription"]) > 40 and len(page["extra"]["BlueprintSearchAliases"]) >= 3
    free = [socket["type"] for socket in node["inputs"] if "widget" not in socket]
    assert free and set(free) <= {"AUDIO", "IMAGE", "VIDEO", "TH_LANDMARKS"} and node["outputs"]
    assert 2 <= len(node["properties"]["proxyWidgets"]) <= 5
    boxes = [Box(*item["pos"], *item["size"]) for item in inside["nodes"]]
    assert not [1 for i, one in enumerate(boxes) for other in boxes[:i] if one.meets(other)]
    for item, box in zip(inside["nodes"], boxes):
        assert box.height >= least_height(item["type"], INFO[item["type"]])
    links = {link["id"]: link for link in inside["links"]}
    for slot, socket in enumerate(inside["inputs"]):
        assert {(links[i]["origin_id"], links[i]["origin_slot"]) for i in socket["linkIds"]} == {(-10, slot)}
    for slot, socket in enumerate(inside["outputs"]):
        assert [(links[i]["target_id"], links[i]["target_slot"]) for i in socket["linkIds"]] == [(-20, slot)]
