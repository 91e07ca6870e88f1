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


def test_what_a_file_says_of_itself_never_fails(tmp_path):
    """A header that nests deep, or is absurd otherwise, says nothing; a Load node still offers every other file."""
    from talking_heads.nodes.bridge import stored_kind

    def written(text: bytes, length: int | None = None):
        path = tmp_path / "a.safetensors"
        path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text)
        return stored_kind(str(path))

    assert written(b'{"__metadata__": {"talking_heads.kind": "atom"}}') == "atom"
    for text in (b"[" * 1_000_000, b'{"a":' * 100_000, b"1" * 5000, b"{}", b'{"__metadata__": 3}', b"[]", b"\xff" * 50, b"",
                 b'{"__metadata__": {"talking_heads.kind": []}}', b"NaN"):
        assert written(text) is None
    assert written(b"{}", 2**63) is None and stored_kind(str(tmp_path / "none")) is None
