"""The bridge between cores and ComfyUI: captions, folders."""
from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def bridge(host):
    """nodes/bridge.py under the name the host gave the pack."""
    return sys.modules[f"{host.packs[0].module.__name__}.nodes.bridge"]


def test_a_report_reads_as_one_line(bridge):
    assert bridge.caption({"phase": "face", "loss": 0.031249, "points": 5000}) == "phase face  loss 0.03125  points 5000"
    assert bridge.caption({}) == ""


@pytest.mark.parametrize("width", [40, 64, 256, 512])
def test_a_caption_never_covers_the_picture_and_grows_with_its_text(bridge, width):
    image = np.full((32, width, 3), 200, np.uint8)
    bare, short = bridge.captioned(image, ""), bridge.captioned(image, "loss 1")
    long = bridge.captioned(image, "phase face  loss 0.03125  psnr 27.91  points 5000")
    assert bare.size == (width, 32) and short.width == long.width == width
    assert 32 < short.height <= long.height
    assert np.array_equal(np.asarray(long)[:32], image) and np.asarray(long)[32:].max() > 100


def test_models_are_looked_for_in_the_users_folder_first(bridge, host, tmp_path):
    import folder_paths

    own, shipped = folder_paths.get_folder_paths("talking_heads")
    assert own == str(tmp_path / "base" / "models" / "talking_heads") and shipped == str(bridge.PACK_WEIGHTS)
    assert bridge.new_model_path("me").parent == (tmp_path / "base" / "models" / "talking_heads").resolve()


def test_an_avatar_that_the_processor_draws_leaves_the_card_to_others(bridge, monkeypatch):
    """Rendering asks ComfyUI to load nothing then; driving does."""
    import torch

    card, cpu, loads = torch.device("cuda", 0), torch.device("cpu"), []
    avatar = SimpleNamespace(copied=lambda device: ("copy", device), to=lambda device: ("moved", device))
    loaded, place = SimpleNamespace(avatar=avatar, patcher="patcher"), {"auto": cpu}
    rasterizer = importlib.import_module(bridge.__name__.replace("nodes.bridge", "hmtalker_core.rasterizer"))
    monkeypatch.setattr(bridge.mm, "get_torch_device", lambda: card)
    monkeypatch.setattr(bridge.mm, "load_models_gpu", loads.append)
    monkeypatch.setattr(rasterizer, "drawing_device", lambda device, backend: place[backend])
    assert bridge.on_device(loaded, "auto") == ("copy", cpu) and not loads
    assert bridge.on_device(loaded) == ("moved", card) and loads == [["patcher"]]
    place["auto"] = card
    assert bridge.on_device(loaded, "auto") == ("moved", card) and len(loads) == 2
