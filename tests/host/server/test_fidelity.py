"""The server's answers beside those of a real ComfyUI: the same keys, the same types. Runs where COMFYUI_PATH names a checkout.

Last passed: 2026-11-30 on 0.33.0.
"""
from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession, FormData

pytestmark = pytest.mark.comfyui

HERE = Path(__file__).resolve().parent
TOYS = HERE.parent / "pack"
ROUTES = ["/queue", "/prompt", "/features", "/system_stats", "/users", "/settings", "/settings/nothing", "/i18n", "/models",
          "/experiment/models", "/experiment/models/vae", "/embeddings", "/node_replacements", "/internal/logs",
          "/internal/logs/raw", "/internal/folder_paths", "/extensions", "/workflow_templates",
          "/object_info/ToyNumber", "/object_info/nothing", "/history/nothing", "/global_subgraphs/nothing", "/api/jobs/nothing",
          "/userdata?dir=workflows&full_info=true", "/userdata?dir=workflows&split=true", "/userdata?dir=",
          "/userdata?dir=nowhere", "/v2/userdata?path=workflows", "/userdata/nothing", "/view?filename=nothing", "/view",
          "/models/nothing", "/api/jobs?status=nonsense", "/api/jobs?limit=1", "/view_metadata/vae?filename=nothing.safetensors"]
OPEN = {"nodes", "current_inputs", "meta", "outputs", "node_errors",  # objects whose keys are ids
        "/settings", "/node_replacements", "/internal/folder_paths"}
MORE_OF_OURS = {"deploy_environment"}
PROMPTS = {
    "good": {"1": ("ToyNumber", {"value": 2, "mode": "plain", "seed": 1}), "2": ("ToyShow", {"value": ["1", 0]})},
    "failing": {"1": ("ToyFail", {"value": 3}), "2": ("ToyShow", {"value": ["1", 0]})},
    "refused": {"1": ("ToyNumber", {"value": 99, "mode": "plain", "seed": 1}), "2": ("ToyShow", {"value": ["1", 0]})},
    "unknown": {"1": ("Nothing", {})}, "without outputs": {"1": ("ToyNumber", {"value": 2})}, "empty": {},
}


def shape(value, name=""):
    """Keys and types of a JSON value; of lists the kinds of their items."""
    if isinstance(value, dict):
        kinds = {key: shape(item, key) for key, item in value.items()}
        return sorted({json.dumps(kind, sort_keys=True) for kind in kinds.values()}) if name in OPEN else kinds
    if name in ("current_outputs", "extensions"):
        return "list"
    if isinstance(value, list):
        return [json.loads(kind) for kind in sorted({json.dumps(shape(item), sort_keys=True) for item in value})]
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


@pytest.fixture(scope="module")
def real(comfyui_path, tmp_path_factory, every_thing):
    import socket

    spec = importlib.util.spec_from_file_location("real_comfyui", HERE.parent / "real_comfyui.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = tmp_path_factory.mktemp("real")
    host = module.RealHost(comfyui_path, base / "base", (TOYS, every_thing(base)), port)
    yield host
    host.close()


@pytest.fixture(scope="session")
def comfyui_path():
    import os

    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: the server was not compared with a real ComfyUI")
    return path


async def told(base):
    """Everything both servers are asked, in order: {what: (status, shape)}."""
    found = {}
    async with ClientSession(base) as session, session.ws_connect("/ws?clientId=me") as page:
        async def note(name, answer):
            text = await answer.text()
            plain = "json" not in answer.headers.get("Content-Type", "")
            found[name] = {"status": answer.status, "shape": "text" if plain else shape(json.loads(text), name)}

        await page.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        await note("save", await session.post("/userdata/workflows%2Fa.json?full_info=true&overwrite=false", data=b"{}"))
        await note("save again", await session.post("/userdata/workflows%2Fa.json?overwrite=false", data=b"{}"))
        await note("move", await session.post("/userdata/workflows%2Fa.json/move/workflows%2Fb.json"))
        await note("up", await session.post("/userdata/..%2F..%2Fup.json", data=b"{}"))
        form = FormData()
        form.add_field("image", b"123", filename="a.wav")
        await note("upload", await session.post("/upload/image", data=form))
        events = {}
        for name, prompt in PROMPTS.items():
            whole = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in prompt.items()}
            answer = await session.post("/prompt", json={"prompt": whole, "client_id": "me"})
            await note(f"prompt {name}", answer)
            said = await answer.json()
            if answer.status != 200:
                continue
            while True:
                message = json.loads((await page.receive()).data)
                if message["type"] not in ("status", "feature_flags"):
                    events[message["type"]] = shape(message["data"])
                if message["type"] == "executing" and message["data"]["node"] is None:
                    break
            history = await (await session.get(f"/history/{said['prompt_id']}")).json()
            found[f"history {name}"] = shape(next(iter(history.values())))
            await note(f"job {name}", await session.get(f"/api/jobs/{said['prompt_id']}"))
        found["events"] = events
        for route in ROUTES:
            await note(route, await session.get(route))
        for path, body in (("/queue", {"clear": True}), ("/interrupt", {}), ("/free", {"free_memory": True}),
                           ("/history", {"clear": True}), ("/api/jobs/cancel", {"job_ids": ["x"]}),
                           ("/api/jobs/cancel", {"job_ids": []}), ("/settings", {"a": 1}), ("/prompt", {})):
            await note(f"post {path} {body}", await session.post(path, json=body))
    return found


def differences(ours, theirs, where=""):
    """Where two shapes differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in {*ours, *theirs} - MORE_OF_OURS:
            yield from differences(ours.get(key, "absent"), theirs.get(key, "absent"), f"{where}.{key}")
    elif ours != theirs and not (isinstance(ours, list) and isinstance(theirs, list) and (not ours or not theirs)):
        yield f"{where}: ours {ours}, theirs {theirs}"


def test_the_same_questions_the_same_kinds_of_answers(served, real):
    async def scenario(client):
        return await told(f"http://{client.host}:{client.port}")

    ours = json.loads(json.dumps(served.run(scenario)))
    theirs = json.loads(json.dumps(asyncio.run(told(f"http://{real.url}"))))
    assert len(theirs["events"]) >= 6
    found = sorted(differences(ours, theirs))
    assert not found, "\n".join(found)
