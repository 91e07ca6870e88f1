"""The bridge between cores and ComfyUI: captions, folders."""
from __future__ import annotations

import sys

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


def test_what_is_still_being_written_is_not_offered(bridge, host, tmp_path):
    """Nor what a killed process left, nor what a training keeps for itself."""
    models = tmp_path / "base" / "models"
    for name in (".me.0123456789ab.part.safetensors", "me.part.safetensors", "me.latents.safetensors", "me.training.safetensors",
                 "mine.safetensors", "deep/.me.00000000-7-abcdef.part.safetensors", ".atom.0123456789ab.part.pt", "atom.pt"):
        path = models / "talking_heads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name in ("hubert", ".hubert", "hubert.part.copy"):
        (models / "audio_encoders" / name).mkdir(parents=True)
        (models / "audio_encoders" / name / "config.json").write_text("{}")
    for kind in ("avatar", "atom", "mtov"):
        offered = [name for name in bridge.model_files(kind) if not name.startswith("demo")]
        assert offered == ["mine.safetensors"]
    assert bridge.loose_files((".pt",)) == ["atom.pt"] and bridge.encoder_folders() == ["hubert"]
