"""`talking-heads serve` as a process: it starts, answers, ends on Ctrl+C, and says what is wrong with its options."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request

import pytest
from served import command, running

pytest.importorskip("aiohttp", reason="aiohttp is not installed: the server was not tried")


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def post(url, value):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=60).close()


@pytest.mark.slow
def test_it_serves_the_pack_keeps_settings_and_ends_on_ctrl_c(tmp_path, pages):
    base = tmp_path / "base"
    with running(base, pages) as (process, address):
        assert b"the page" in get(address)
        assert "HMTalker_RenderAvatarVideo" in json.loads(get(f"{address}/object_info"))
        templates = json.loads(get(f"{address}/api/workflow_templates"))
        assert "1 Talking avatar" in templates["ComfyUI-TalkingHeads"]
        assert get(f"{address}/extensions/ComfyUI-TalkingHeads/docs/HMTalker_RenderAvatarVideo/en.md").startswith(b"#")
        assert {"nodeDefs"} <= set(json.loads(get(f"{address}/api/i18n"))["zh"])
        post(f"{address}/api/settings", {"kept": 5})
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    with running(base, pages) as (process, address):
        assert json.loads(get(f"{address}/api/settings"))["kept"] == 5
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.mark.slow
def test_ctrl_c_stops_a_running_prompt(tmp_path, pages):
    work = {"1": {"class_type": "TalkingHead_SyntheticSubject", "inputs": {}}}
    with running(tmp_path / "base", pages) as (process, address):
        info = json.loads(get(f"{address}/object_info/TalkingHead_SyntheticSubject"))["TalkingHead_SyntheticSubject"]
        for name, (kind, options) in info["input"]["required"].items():
            work["1"]["inputs"][name] = options.get("default", options.get("options", [None])[0] if kind == "COMBO" else 1)
        work["2"] = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
        post(f"{address}/prompt", {"prompt": work})
        while not json.loads(get(f"{address}/queue"))["queue_running"]:
            assert not json.loads(get(f"{address}/history")), "the prompt ended at once"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "Traceback" not in said


@pytest.mark.parametrize("options, says", [
    (["--port", "70000"], "--port must lie between 0 and 65535"), (["--max-upload-size", "0"], "--max-upload-size must lie"),
    (["--frontend", "nowhere"], "The server needs ComfyUI's page"),
    (["--input-dir", "nowhere"], "The input folder must be there")])
def test_wrong_options_are_explained(tmp_path, pages, capsys, options, says):
    from talking_heads.cli.main import main

    assert main([*command(tmp_path, pages)[3:], *options]) == 1
    assert says in capsys.readouterr().err


def test_a_port_in_use_is_explained(tmp_path, pages):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(command(tmp_path, pages, "--port", port), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "The server needs a port that nobody uses" in done.stderr
    assert "Traceback" not in done.stderr
