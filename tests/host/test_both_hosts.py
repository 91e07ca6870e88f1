"""The small host against a real ComfyUI: the same prompts, the same answers. Runs only where COMFYUI_PATH names a checkout.

Last passed: 2026-11-21, CPU, torch 2.13, on 0.33.0 (of 2026-08-22; all) and 0.19.0 (the pack's floor; three skipped, see below).
"""
from __future__ import annotations

import importlib.util
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CASES = json.loads((HERE / "cases.json").read_text())
SINCE_033 = {"block without values": "0.19 hands None on", "cycle": "0.19 runs into the recursion limit"}
pytestmark = pytest.mark.comfyui


def sibling(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"host_tests_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


told_events = sibling("conftest").told_events


@pytest.fixture(scope="module")
def real(comfyui_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = sibling("real_comfyui").RealHost(comfyui_path, tmp_path_factory.mktemp("real"), (HERE / "pack", REPOSITORY), port)
    yield host
    host.close()


def need_version(checkout: str, least: tuple[int, int], why: str) -> None:
    """Skips where the checkout is older."""
    version = (Path(checkout) / "comfyui_version.py").read_text().split('__version__ = "')[1].split('"')[0]
    if tuple(map(int, version.split(".")[:2])) < least:
        pytest.skip(f"ComfyUI {version} differs by design: {why}")


def prompts(name: str) -> list[dict]:
    return [{key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in prompt.items()} for prompt in CASES[name]]


def tidy(node_errors: dict) -> dict:
    """ComfyUI checks inputs and outputs in no particular order; tracebacks name files."""
    tidied = {}
    for node_id, entry in node_errors.items():
        errors = [{**item, "extra_info": {key: value for key, value in item["extra_info"].items() if key != "traceback"}}
                  for item in entry["errors"]]
        tidied[node_id] = {**entry, "errors": sorted(errors, key=json.dumps),
                           "dependent_outputs": sorted(entry["dependent_outputs"])}
    return tidied


def real_story(real: Any, prompt: dict) -> dict:
    status, answer, events, history = real.run(json.loads(json.dumps(prompt)))
    if status != 200:
        return {"valid": False, "error": answer["error"], "node_errors": tidy(answer["node_errors"] or {})}
    told = told_events(events)
    cached = [data["nodes"] for name, data in events if name == "execution_cached"]
    outputs = dict(history["outputs"].items())
    return {"valid": True, "node_errors": tidy(answer["node_errors"]), "cached": sorted(cached[0]), "outputs": outputs,
            "events": told}


def small_story(small: Any, prompt: dict) -> dict:
    told = small.record(prompt)
    if not told["valid"]:
        return {"valid": False, "error": told["error"], "node_errors": tidy(told["node_errors"])}
    return {"valid": True, "node_errors": tidy(told["node_errors"]), "cached": told["cached"], "outputs": told["outputs"],
            "events": told["events"]}


@pytest.mark.parametrize("name", CASES)
def test_same_prompt_same_story(real, small, comfyui_path, name):
    if name in SINCE_033:
        need_version(comfyui_path, (0, 33), SINCE_033[name])
    for prompt in prompts(name):
        ours, theirs = small_story(small, prompt), real_story(real, prompt)
        theirs_details = (theirs.get("error") or {}).get("details")
        if theirs_details:  # one line an error, in no particular order
            for story in (ours, theirs):
                story["error"]["details"] = sorted(story["error"]["details"].split("\n"))
        assert ours == theirs


def test_stopping(real, small):
    prompt = {"1": {"class_type": "ToySteps", "inputs": {"steps": 1000}},
              "2": {"class_type": "ToyShow", "inputs": {"value": ["1", 0]}}}
    ours = small.run(prompt, stop_at="1")
    _, _, events, history = real.run(prompt, stop_at="1")
    assert told_events(events)[-1] == small.events_told()[-1] == ["execution_interrupted", "1", "ToySteps"]
    assert ours.status == "interrupted" and history["status"]["status_str"] == "error"


def test_object_info_of_the_toys_is_equal(real, small):
    ours, theirs = small.object_info(), real.object_info()
    toys = [name for name in ours if name.startswith("Toy")]
    assert len(toys) > 10
    for name in toys:
        assert ours[name] == theirs[name], name


def test_object_info_of_the_pack_is_equal(real, tmp_path):
    from talking_heads.host.graph import Host

    host = Host(str(tmp_path), (str(REPOSITORY),), output_dir=str(real.base / "output"), input_dir=str(real.base / "input"))
    ours, theirs = json.loads(json.dumps(host.object_info(list(host.packs[0].nodes)))), real.object_info()
    assert set(ours) <= set(theirs)
    for name, info in ours.items():
        assert info == theirs[name], name


def test_core_nodes_take_and_give_what_the_real_ones_do(real, small, comfyui_path):
    need_version(comfyui_path, (0, 33), "the savers have no outputs and other choices")
    ours, theirs = small.object_info(), real.object_info()
    for name in ("LoadAudio", "SaveAudio", "SaveAudioMP3", "PreviewAudio", "SaveVideo", "CreateVideo", "GetVideoComponents",
                 "LoadVideo", "LoadImage", "SaveImage", "PreviewImage"):
        for key in ("input_order", "output", "output_name", "output_is_list", "output_node", "category", "is_input_list"):
            assert ours[name][key] == theirs[name][key], (name, key)
        for category, inputs in theirs[name]["input"].items():
            for input_name, (kind, *options) in inputs.items():
                if category == "hidden":
                    continue
                found = ours[name]["input"][category][input_name]
                assert found[0] == ("COMBO" if isinstance(kind, list) else kind)
                if options:
                    for option in ("default", "min", "max", "step", "optional"):
                        assert found[1].get(option) == options[0].get(option), (name, input_name, option)


def test_a_film_made_by_core_nodes_is_the_same(real, small, tmp_path):
    from talking_heads.media_core.video import probe

    node = lambda kind, **inputs: {"class_type": kind, "inputs": inputs}  # noqa: E731
    prompt = {"1": node("ToyPicture", frames=7), "2": node("CreateVideo", images=["1", 0], audio=["1", 1], fps=25),
              "3": node("SaveVideo", video=["2", 0], filename_prefix="film/x", format="auto", codec="auto")}
    ours = small.run(prompt).outputs["3"]
    _, _, _, history = real.run(prompt)
    theirs = history["outputs"]["3"]
    assert json.loads(json.dumps(ours)) == theirs
    files = [base / "output" / "film" / "x_00001_.mp4" for base in (small.base, real.base)]
    assert probe(files[0]) == probe(files[1])
