"""The shipped workflows on a real ComfyUI: over its HTTP interface, as a batch user runs them."""
from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from pack import ROOT
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import probe

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


@pytest.fixture(scope="module")
def real(tmp_path_factory, tiny_avatar) -> Iterator[Any]:
    """A running ComfyUI with the pack, a speech in input/ and an avatar in models/."""
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: the workflows were not run on a real ComfyUI")
    spec = importlib.util.spec_from_file_location("real_comfyui", ROOT / "tests" / "host" / "real_comfyui.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = tmp_path_factory.mktemp("comfyui")
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 24000)).astype(np.float32)
    save_wav(base / "input" / "demo_speech.wav", Sound(noise, 16000))
    models = base / "models" / "talking_heads"
    models.mkdir(parents=True)
    shutil.copy(tiny_avatar, models / "demo_avatar.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = module.RealHost(checkout, base, (ROOT,), port)
    yield host
    host.close()


def node(class_type: str, **inputs: Any) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def first_choice(kind: Any, options: dict) -> Any:
    """A widget's default, or the first of its choices."""
    choices = kind if isinstance(kind, list) else options.get("options", [None])
    first = choices[0]["key"] if isinstance(choices[0], dict) else choices[0]
    return options.get("default", first)


def workflow(name: str, changes: dict[str, dict]) -> dict:
    prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf8"))
    for node_id, inputs in changes.items():
        prompt[node_id]["inputs"] |= inputs
    return prompt


def run(real: Any, prompt: dict, stop_at: str | None = None) -> tuple[list, dict]:
    status, answer, events, history = real.run(prompt, stop_at)
    assert status == 200, json.dumps(answer, indent=1)
    assert not answer["node_errors"]
    errors = [data.get("exception_message") for name, data in events if name == "execution_error"]
    assert not errors, errors
    return events, history


def films(real: Any, pattern: str) -> list[Path]:
    return sorted((real.base / "output" / "talking_heads").glob(pattern))


def test_speech_to_avatar_video(real):
    prompt = workflow("avatar_speech_to_video", {})
    events, history = run(real, prompt)
    assert history["status"]["status_str"] == "success"
    assert any(name == "progress" and data["node"] == "5" for name, data in events) and ("preview", {}) in events
    (film,) = films(real, "avatar*.mp4")
    assert probe(film).has_sound and probe(film).frames == 38
    again, _ = run(real, prompt)
    assert not [data for name, data in again if name == "executing" and data.get("node")], "all of it comes from the cache"


def test_train_and_drive(real):
    small = {"1": {"seconds": 1.0, "size": 64, "voice": "formant"}, "3": {"steps": 0.001},
             "4": {"seconds": 1.0, "size": 64, "voice": "formant"}}
    _, history = run(real, workflow("train_avatar", small))
    assert history["status"]["status_str"] == "success"
    assert (real.base / "models" / "talking_heads" / "my_avatar.safetensors").is_file()
    assert probe(films(real, "trained*.mp4")[0]).frames == 25


def test_training_is_interrupted_and_goes_on(real):
    small = {"1": {"seconds": 1.0, "size": 64, "voice": "formant"}, "3": {"steps": 0.003, "name": "stopped"},
             "4": {"seconds": 1.0, "size": 64, "voice": "formant"}}
    prompt = workflow("train_avatar", small)
    events, _ = run(real, prompt, stop_at="3")
    assert events[-1][0] == "execution_interrupted"
    models = real.base / "models" / "talking_heads"
    assert (models / "stopped.training.safetensors").is_file() and not (models / "stopped.safetensors").exists()
    run(real, prompt)
    assert (models / "stopped.safetensors").is_file() and not (models / "stopped.training.safetensors").exists()


def test_the_frames_and_the_splat_feed_core_nodes(real):
    """IMAGE and MASK go into core's own nodes; the splat goes through core's renderer where that exists."""
    prompt = workflow("avatar_speech_to_video", {})
    del prompt["5"], prompt["6"]
    prompt |= {
        "5": node("HMTalker_RenderAvatar", avatar=["3", 0], motion=["4", 0], background="black", start_frame=0, frame_count=3,
                  backend="auto"),
        "6": node("PreviewImage", images=["5", 0]),
        "7": node("MaskToImage", mask=["5", 1]),
        "8": node("PreviewImage", images=["7", 0]),
    }
    info = real.object_info()
    if "RenderSplat" in info:
        needed = info["RenderSplat"]["input"]["required"].items()
        values = {name: first_choice(*spec) for name, spec in needed if name != "splat"}
        prompt |= {
            "9": node("HMTalker_AvatarFrameToSplat", avatar=["3", 0], motion=["4", 0], frame=1),
            "10": node("RenderSplat", **{**values, "splat": ["9", 0], "width": 64, "height": 64}),
            "11": node("PreviewImage", images=["10", 0]),
        }
    _, history = run(real, prompt)
    assert len(history["outputs"]["6"]["images"]) == 3 and len(history["outputs"]["8"]["images"]) == 3
