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
    assert bridge.caption({"phase": "face", "loss": 0.031249, "points": 5000}) == "Stage face · loss 0.031 · 5,000 points"
    assert bridge.caption({}) == ""


@pytest.mark.parametrize("width", [40, 64, 256, 512])
def test_a_caption_never_covers_the_picture_and_grows_with_its_text(bridge, width):
    image = np.full((32, width, 3), 200, np.uint8)
    bare, short = bridge.captioned(image, ""), bridge.captioned(image, "loss 1")
    long = bridge.captioned(image, "phase face  loss 0.03125  psnr 27.91  points 5000")
    assert bare.size == (width, 32) and short.width == long.width == width
    assert 32 < short.height <= long.height
    assert np.array_equal(np.asarray(long)[:32], image) and np.asarray(long)[32:].max() > 100


@pytest.mark.parametrize("size", [(512, 512), (64, 64), (128, 256), (256, 144)])
def test_letters_have_a_size_that_is_read_at_node_width_and_the_picture_keeps_its_own(bridge, size):
    """A capital takes at least 4 % of the picture's width. What ComfyUI is told to fit the sheet into leaves it as it is."""
    height, width = size
    kind, sheet, longest = bridge.NodeReport()._picture(np.full((height, width, 3), 60, np.uint8), {"phase": "render"})
    scale = 512 / max(size)
    assert kind == "JPEG" and longest == max(sheet.size) and sheet.width == round(scale * width)
    strip = np.asarray(sheet)[round(scale * height):]
    letters = np.asarray(strip[:, :round(0.06 * sheet.width)].max((1, 2)) > 128).nonzero()[0]  # the R of Rendering
    assert np.ptp(letters) + 1 >= 0.04 * sheet.width


def test_a_caption_keeps_its_place_when_it_grows_shorter(bridge):
    report, picture = bridge.NodeReport(), np.zeros((64, 64, 3), np.uint8)
    long = report._picture(picture, {"phase": "face", "loss": 0.03, "psnr": 27.9, "points": 9647, "missing": 3})[1]
    assert report._picture(picture, {"phase": "face"})[1].size == long.size


def test_the_halves_of_a_picture_are_named_below_them(bridge):
    pair = np.zeros((100, 200, 3), np.uint8)
    bare = np.asarray(bridge.captioned(pair, "loss 1"))[100:]
    named = np.asarray(bridge.captioned(pair, "loss 1", "truth | avatar"))[100:]
    first = named[:len(named) // 2].max(-1) > 128
    assert len(named) == 2 * len(bare) and np.array_equal(named[len(bare):], bare)
    for half in (first[:, :100], first[:, 100:]):
        columns = half.any(0).nonzero()[0]
        assert columns.min() > 20 and columns.max() < 80, "in the middle of its half"


def test_compiling_is_told_before_the_first_picture_and_gone_with_it(bridge, caplog):
    caplog.set_level("INFO", "talking_heads")
    shown, report = [], bridge.NodeReport()
    report._bar = type("Bar", (), {"update_absolute": lambda self, done, total, picture: shown.append(picture)})()
    report(0, 9, {"phase": "compile"})
    report(1, 9, {"phase": "render", "frame": 1, "frames": 9}, np.full((64, 64, 3), 200, np.uint8))
    first, second = (np.asarray(sheet) for _, sheet, _ in shown)
    assert first[:200].max() == 0 and first.max() > 128 and second[:400].min() > 150
    assert [record.note for record in caplog.records] == ["Compiling the rasteriser (first time only)", "Rendering frame 1 of 9"]


def test_models_are_looked_for_in_the_users_folder_first(bridge, host, tmp_path):
    import folder_paths

    own, shipped = folder_paths.get_folder_paths("talking_heads")
    assert own == str(tmp_path / "base" / "models" / "talking_heads") and shipped == str(bridge.PACK_WEIGHTS)
    assert bridge.new_model_path("me").parent == (tmp_path / "base" / "models" / "talking_heads").resolve()


def test_what_is_still_being_written_is_not_offered(bridge, host, tmp_path):
    """Nor what a killed process left, nor what a training keeps for itself."""
    models = tmp_path / "base" / "models"
    for name in (".me.0123456789ab.part.safetensors", "me.part.two.safetensors", "me.latents.safetensors",
                 "me.training.safetensors", "mine.safetensors", "deep/.me.00000000-7-abcdef.part.safetensors",
                 ".atom.0123456789ab.part.pt", "atom.pt"):
        path = models / "talking_heads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name in ("hubert", ".hubert", "hubert.part.copy", ".hubert.0123456789ab.part"):
        (models / "audio_encoders" / name).mkdir(parents=True)
        (models / "audio_encoders" / name / "config.json").write_text("{}")
    for kind in ("avatar", "atom", "mtov"):
        offered = [name for name in bridge.model_files(kind) if not name.startswith("demo")]
        assert sorted(offered) == ["me.part.two.safetensors", "mine.safetensors"], "the user's own, whatever they are called"
    assert bridge.loose_files((".pt",)) == ["atom.pt"] and bridge.encoder_folders() == ["hubert", "hubert.part.copy"]


def test_an_avatar_that_the_processor_draws_leaves_the_card_to_others(bridge, monkeypatch):
    """Rendering asks ComfyUI to load nothing then; driving does."""
    import torch

    card, cpu, loads = torch.device("cuda", 0), torch.device("cpu"), []
    avatar = SimpleNamespace(copied=lambda device: ("copy", device), to=lambda device: ("moved", device))
    loaded, place = SimpleNamespace(model=avatar, patcher="patcher"), {"auto": cpu}
    rasterizer = importlib.import_module(bridge.__name__.replace("nodes.bridge", "hmtalker_core.rasterizer"))
    monkeypatch.setattr(bridge.mm, "get_torch_device", lambda: card)
    monkeypatch.setattr(bridge.mm, "load_models_gpu", loads.append)
    monkeypatch.setattr(rasterizer, "drawing_device", lambda device, backend: place[backend])
    assert bridge.ready_to_draw(loaded, "auto", bridge.NodeReport(), 1) == ("copy", cpu) and not loads
    assert bridge.on_device(loaded) == ("moved", card) and loads == [["patcher"]]
    place["auto"] = card
    assert bridge.ready_to_draw(loaded, "auto", bridge.NodeReport(), 1) == ("moved", card) and len(loads) == 2


def test_compiling_gsplat_is_announced_where_a_film_is_to_be_drawn(bridge, monkeypatch):
    import torch

    happened = []
    rasterizer = importlib.import_module(bridge.__name__.replace("nodes.bridge", "hmtalker_core.rasterizer"))
    monkeypatch.setattr(bridge.mm, "get_torch_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(rasterizer, "probe_pending", lambda device, backend: backend == "auto")
    monkeypatch.setattr(rasterizer, "drawing_device", lambda device, backend: happened.append("tried") or torch.device("cpu"))
    loaded = SimpleNamespace(model=SimpleNamespace(copied=lambda device: "copy"))
    for backend, told in (("auto", [(0, 7, {"phase": "compile"}, None)]), ("cpu", [])):
        happened.clear()
        assert bridge.ready_to_draw(loaded, backend, lambda *told: happened.append(told), 7) == "copy"
        assert happened == [*told, "tried"]


class Motion:
    """Nine frames."""

    fps = 25.0

    def __len__(self) -> int:
        return 9


@pytest.mark.parametrize("node, given, frames", [("RenderAvatarVideo", {"crf": 18}, 9),
                                                 ("RenderAvatar", {"start_frame": 2, "frame_count": 4}, 4)])
def test_both_rendering_nodes_tell_of_it(bridge, monkeypatch, node, given, frames):
    asked = []

    def ready_to_draw(loaded, backend, report, count):
        asked.append((backend, type(report), count))
        raise KeyboardInterrupt

    monkeypatch.setattr(bridge, "ready_to_draw", ready_to_draw)
    render = sys.modules[bridge.__name__.replace("bridge", "render")]
    loaded = SimpleNamespace(model=SimpleNamespace(size=(8, 8)))
    with pytest.raises(KeyboardInterrupt):
        getattr(render, node).execute(loaded, Motion(), background="black", backend="auto", **given)
    assert asked == [("auto", bridge.NodeReport, frames)]


def test_what_a_file_says_of_itself_never_fails(bridge, tmp_path):
    """A header that nests deep, or is absurd otherwise, says nothing; a Load node still offers every other file."""
    def written(text: bytes, length: int | None = None):
        path = tmp_path / "a.safetensors"
        path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text)
        return bridge.stored_kind(str(path))

    assert written(b'{"__metadata__": {"talking_heads.kind": "atom"}}') == "atom"
    for text in (b"[" * 1_000_000, b'{"a":' * 100_000, b"1" * 5000, b"{}", b'{"__metadata__": 3}', b"[]", b"\xff" * 50, b"",
                 b'{"__metadata__": {"talking_heads.kind": []}}', b"NaN"):
        assert written(text) is None
    assert written(b"{}", 2**63) is None and bridge.stored_kind(str(tmp_path / "none")) is None
