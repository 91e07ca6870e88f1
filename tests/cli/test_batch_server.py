"""`talking-heads batch --server` and integrations/comfyui_batch.py, on a stand-in for ComfyUI's queue and on a real one."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pack import ROOT
from server_stand_in import StandIn
from talking_heads.cli import batch_server
from talking_heads.cli.comfy_client import ComfyClient
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import probe


def module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def server(monkeypatch) -> Iterator[StandIn]:
    monkeypatch.setattr(batch_server, "PAUSE", 0.01)
    found = StandIn()
    yield found
    found.close()


@pytest.fixture
def place(tmp_path) -> Path:
    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal((1, 4800))
        save_wav(tmp_path / f"{number}.wav", Sound(noise.astype(np.float32), 16000))
    shutil.copy(ROOT / "demo" / "demo_portrait.jpg", tmp_path / "me.jpg")
    return tmp_path


def batch(place: Path, url: str, lines: list[dict], *options: str) -> int:
    (place / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return main(["batch", str(place / "jobs.jsonl"), "--output-dir", str(place / "out"), "--server", url, *options])


def job(number: int, **more) -> dict:
    return {"id": f"v{number}", "audio": f"{number}.wav", "avatar": "demo_avatar.safetensors", "output": f"v{number}.mp4", **more}


def entries(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "out" / "jobs.report.jsonl").read_text().splitlines()]


def test_lines_become_prompts_of_the_shipped_workflows(place, server, capsys):
    lines = [job(0, avatar="me.safetensors", lip_gain=1.5, size="96x64", gate=False, output="sub/v0.webm"),
             {"audio": "1.wav", "portrait": "me.jpg", "output": "p.mp4", "motion_steps": 4, "seed": 7, "label": "made"}, job(2)]
    assert batch(place, server.url, lines) == OK, capsys.readouterr().err
    first, second, third = server.prompts.values()
    assert first["3"]["inputs"]["avatar_name"] == "team/me.safetensors"
    assert first["4"]["inputs"]["lip_gain"] == 1.5 and first["4"]["inputs"]["silence_gate"] is False
    assert first["4"]["inputs"]["blinks"] == "track", "the command's default, as without --server"
    assert [first["5"]["inputs"][name] for name in ("width", "height", "format")] == [96, 64, "webm"]
    assert second["8"]["inputs"]["steps"] == 4 and second["8"]["inputs"]["seed"] == second["10"]["inputs"]["seed"] == 7
    assert second["8"]["inputs"]["guidance"] == "auto" and second["10"]["inputs"]["label"] == "made"
    assert first["5"]["inputs"]["label"] == "", "as the shipped prompt has it, where the line says nothing"
    assert third["1"]["inputs"]["audio"].partition("/")[0] == batch_server.FOLDER
    assert (place / "out" / "sub" / "v0.webm").read_text().startswith("video talking_heads_batch/v0")
    assert [row["status"] for row in entries(place)] == ["ok"] * 3 and len(server.uploads) == 4
    sent = server.uploads[second["1"]["inputs"]["image"].partition("/")[2]]
    assert (place / "me.jpg").read_bytes() in sent
    assert batch(place, server.url, lines) == OK and len(server.prompts) == 3, "all of it is finished"


def test_a_failed_prompt_is_tried_again_and_told(place, server, capsys):
    server.fail = {"v0": 1, "v1": 9}
    assert batch(place, server.url, [job(0), job(1), job(2)], "--retries", "1") == FAILED
    told = capsys.readouterr().err
    assert "v0: trying again: The speech must last longer. Got: none. Record more." in told and "1 failed" in told
    assert [(row["status"], row["attempts"]) for row in entries(place)] == [("ok", 2), ("failed", 2), ("ok", 1)]
    assert entries(place)[1]["reason"] == "The speech must last longer. Got: none. Record more."


def test_a_refused_prompt_names_node_and_input(place, server):
    assert batch(place, server.url, [job(0, output="refused.mp4")]) == FAILED
    assert entries(place)[0]["reason"] == "X: Value not in list: blinks"


@pytest.mark.parametrize("line, words", [
    (job(0, avatar="nobody.safetensors"), "the server has no avatar nobody.safetensors, only demo_avatar.safetensors, team/me"),
    (job(0, head="sway"), "'head' has no effect on a server"),
    ({"audio": "0.wav", "video": "1.wav", "output": "x.mp4"}, "without --server"),
    (job(9), "no file at")])
def test_what_a_server_cannot_do_is_said_before_anything_runs(place, server, line, words, capsys):
    assert batch(place, server.url, [job(1), line]) == FAILED
    told = capsys.readouterr().err
    assert "line 2: " in told and words in told and not server.prompts


def test_ctrl_c_empties_the_queue(place, server, monkeypatch):
    server.held = True
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(batch_server.time, "sleep", wait)
    assert batch(place, server.url, [job(0), job(1), job(2)]) == INTERRUPTED
    posted = [(path, json.loads(body)) for path, body in server.calls if path in ("/queue", "/interrupt")]
    assert posted == [("/queue", {"delete": ["p0", "p1"]}), ("/interrupt", {"prompt_id": "p0"})]
    assert [row["status"] for row in entries(place)] == ["waiting"] * 3


def test_a_server_that_has_forgotten_a_job(place, server, monkeypatch):
    monkeypatch.setattr(server, "history", lambda key: {})
    assert batch(place, server.url, [job(0)]) == FAILED
    assert "no longer knows the job" in entries(place)[0]["reason"]


def test_no_server_no_pack_no_address(place, server, capsys):
    server.pack = False
    assert batch(place, server.url, [job(0)]) == FAILED and "must have the Talking Heads nodes" in capsys.readouterr().err
    server.close()
    assert batch(place, server.url, [job(0)]) == FAILED and "Start it, or check the address" in capsys.readouterr().err
    assert batch(place, "somewhere", [job(0)]) == FAILED and "http://127.0.0.1:8188" in capsys.readouterr().err


COUNTING = '''
import gc
from aiohttp import web
from server import PromptServer

@PromptServer.instance.routes.get("/living/{kind}")
async def living(request):
    """How many objects of a class the process holds."""
    gc.collect()
    return web.json_response(sum(type(one).__name__ == request.match_info["kind"] for one in gc.get_objects()))

NODE_CLASS_MAPPINGS = {}
'''


@pytest.fixture(scope="module")
def real(tmp_path_factory, tiny_avatar) -> Iterator[Any]:
    """A running ComfyUI with the pack and a tiny avatar."""
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: no batch went through a real ComfyUI")
    base = tmp_path_factory.mktemp("comfyui")
    (base / "models" / "talking_heads").mkdir(parents=True)
    shutil.copy(tiny_avatar, base / "models" / "talking_heads" / "tiny.safetensors")
    counting = tmp_path_factory.mktemp("packs") / "counting"
    counting.mkdir()
    (counting / "__init__.py").write_text(COUNTING)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = module("real_comfyui", ROOT / "tests" / "host" / "real_comfyui.py").RealHost(checkout, base, (ROOT, counting), port)
    yield host
    host.close()


@pytest.mark.comfyui
@pytest.mark.slow
def test_a_batch_through_a_real_comfyui(real, place, tiny_avatar, monkeypatch, capsys):
    lines = [job(number, avatar="tiny.safetensors", size=64) for number in range(3)]
    lines.append({"id": "p", "audio": "0.wav", "portrait": "me.jpg", "output": "p.webm", "motion_steps": 2})
    assert batch(place, f"http://{real.url}", lines) == OK, capsys.readouterr().err
    made = [probe(place / "out" / name) for name in ("v0.mp4", "v1.mp4", "v2.mp4", "p.webm")]
    assert all(video.frames == 8 and video.has_sound for video in made) and made[0].width == 64
    assert batch(place, f"http://{real.url}", [job(0, avatar="tiny.safetensors", smoothing=1e3)]) == FAILED
    assert "smoothing" in entries(place)[0]["reason"]


@pytest.mark.comfyui
@pytest.mark.slow
def test_the_example_client_on_a_real_comfyui(real, place, capsys):
    prompt = json.loads((ROOT / "workflows" / "api" / "avatar_speech_to_video.json").read_text("utf8"))
    prompt["3"]["inputs"]["avatar_name"] = "tiny.safetensors"
    (place / "workflow.json").write_text(json.dumps(prompt))
    (place / "words.wav").write_text("no audio")
    client = module("comfyui_batch", ROOT / "integrations" / "comfyui_batch.py")
    failed = client.main(f"http://{real.url}", place / "workflow.json", "Speech.audio", place / "out", place / "0.wav",
                         place / "words.wav", place / "1.wav")
    assert failed == 1 and "words.wav: " in capsys.readouterr().out
    assert [probe(place / "out" / f"{number}.mp4").frames for number in (0, 1)] == [8, 8]
    assert sorted(path.name for path in (place / "out").iterdir()) == ["0.mp4", "1.mp4"]


@pytest.mark.comfyui
@pytest.mark.slow
def test_free_gives_the_models_back(real, place):
    lines = [job(0, avatar="tiny.safetensors", size=64),
             {"id": "p", "audio": "0.wav", "portrait": "me.jpg", "output": "p.mp4", "motion_steps": 2}]
    for line, kind in zip(lines, ("Avatar", "AToM")):
        assert batch(place, f"http://{real.url}", [line], "--again") == OK
        assert real.get(f"/living/{kind}") > 0, "it stays loaded for the next job"
        ComfyClient(f"http://{real.url}").post("/free", {"unload_models": True, "free_memory": True})
        until = time.monotonic() + 30  # the queue's thread looks for it now and then
        while real.get(f"/living/{kind}") and time.monotonic() < until:
            time.sleep(0.5)
        assert real.get(f"/living/{kind}") == 0
