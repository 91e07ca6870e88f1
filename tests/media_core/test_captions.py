"""What reports read like, and that no core reports anything without a word for it."""
from __future__ import annotations

import ast
from pathlib import Path

import pytest
from talking_heads.media_core.captions import STAGES, caption, known_keys
from talking_heads.media_core.capture.stages import TITLES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("media_core", "hmtalker_core", "moditalker_core", "nodes") for path in
                 (ROOT / folder).rglob("*.py"))
TELLING = {"report", "_report", "tell", "step"}  # names under which a report is called


@pytest.mark.parametrize("info, words", [
    ({"phase": "render", "frame": 120, "frames": 375}, "Rendering frame 120 of 375"),
    ({"phase": "compile"}, "Compiling the rasteriser (first time only)"),
    ({"phase": "compile", "waited": 41.7}, "Compiling the rasteriser (first time only), 42 s"),
    ({"phase": "face", "loss": 0.031249, "psnr": 27.91, "points": 9647}, "Stage face · loss 0.031 · PSNR 27.9 dB · 9,647 points"),
    ({"phase": "warmup", "loss": 0.00123456, "points": 0}, "Stage warm-up · loss 0.0012 · 0 points"),
    ({"clip": 8, "clips": 8, "phase": "done"}, "Clip 8 of 8"),
    ({"clip": 3, "clips": 8, "phase": "sample"}, "Clip 3 of 8 · sampling"),
    ({"window": 2, "windows": 2}, "Window 2 of 2"),
    ({"stage": "face", "frame": 3, "frames": 100, "missing": 0}, "Tracking the face, frame 3 of 100"),
    ({"stage": "face", "frame": 3, "frames": 100, "missing": 2}, "Tracking the face, frame 3 of 100 · no face in 2"),
    ({"stage": "masks", "frame": 0, "frames": 1}, "Drawing masks"),
    ({"stage": "film", "film": "me.mp4", "number": 2, "films": 5}, "Video 2 of 5 · me.mp4"),
    ({"stage": "looking", "film": "me.mp4"}, "Scanning me.mp4"),
    ({"loss": 0.3, "velocity": 0.0123, "lr": 1e-4, "grad_norm": 2.0, "lip_correlation": 0.83},
     "loss 0.300 · velocity loss 0.012 · lip correlation 0.83"),
    ({"phase": "face", "val_psnr": 21.31}, "Stage face · held-out PSNR 21.3 dB"),
    ({"something": 1.23456, "shows": "truth | avatar"}, "something 1.235"),
    ({}, ""),
])
def test_a_caption_is_a_sentence(info, words):
    assert caption(info) == words


def reported(tree: ast.AST) -> list[ast.Dict]:
    """The dictionaries that reach a report: as its third argument, there by name, or as a property called info."""
    found = []
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        given = [call.args[2] for call in ast.walk(function) if isinstance(call, ast.Call) and len(call.args) >= 3
                 and getattr(call.func, "attr", getattr(call.func, "id", "")) in TELLING]
        names = {value.id for value in given if isinstance(value, ast.Name)}
        found += [value for value in given if isinstance(value, ast.Dict)]
        found += [node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
                  and any(isinstance(target, ast.Name) and target.id in names | {"info"} for target in node.targets)]
        if function.name == "info":
            found += [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return found


@pytest.fixture(scope="module")
def told() -> list[tuple[str, str, object]]:
    """(file, key, value where it is written out) of all that is reported."""
    return [(path.name, key.value, value.value if isinstance(value, ast.Constant) else None)
            for path in SOURCES if any(f"{name}(" in path.read_text("utf8") for name in TELLING)
            for info in reported(ast.parse(path.read_text("utf8")))
            for key, value in zip(info.keys, info.values) if isinstance(key, ast.Constant)]


def test_every_reported_key_and_stage_has_its_word(told):
    keys = {key for _, key, _ in told}
    assert {"phase", "stage", "loss", "points", "clip", "window", "film", "missing", "phoneme", "looked at"} <= keys
    assert not [(file, key) for file, key, _ in told if key not in known_keys()]
    written = {(key, value) for _, key, value in told if key in ("phase", "stage") and value is not None}
    assert {("phase", "render"), ("phase", "draw"), ("stage", "film"), ("phase", "finish")} <= written
    assert not written - set(STAGES)


def test_figures_and_stages_that_stand_in_tables_have_their_words():
    from talking_heads.hmtalker_core.training.steps import COLUMNS as avatar_columns
    from talking_heads.hmtalker_core.training.steps import PHASES
    from talking_heads.moditalker_core.atom.run import COLUMNS
    from talking_heads.moditalker_core.mtov.validation import AUTOENCODER_COLUMNS, DIFFUSION_COLUMNS

    assert {*COLUMNS, *AUTOENCODER_COLUMNS, *DIFFUSION_COLUMNS, *avatar_columns} <= known_keys()
    assert {("phase", name) for name in PHASES} | {("stage", title) for title in TITLES.values()} <= set(STAGES)
    tree = ast.parse((ROOT / "moditalker_core" / "mtov" / "generation.py").read_text("utf8"))
    phases = {call.args[1].value for call in ast.walk(tree) if isinstance(call, ast.Call)
              and getattr(call.func, "attr", "") == "_tell"}
    assert {"encode", "sample", "decode", "done"} <= phases and {("phase", name) for name in phases} <= set(STAGES)


@pytest.mark.parametrize("broken", [TypeError, ImportError, OSError])
def test_a_caption_is_drawn_where_pillow_has_one_font_only(monkeypatch, broken):
    """Before 10.1, or without FreeType; its letters are those of Latin-1."""
    import numpy as np
    from PIL import ImageFont
    from talking_heads.media_core.caption_image import captioned

    image, plain = np.zeros((60, 120, 3), np.uint8), ImageFont.load_default_imagefont() if hasattr(
        ImageFont, "load_default_imagefont") else ImageFont.load_default()

    def only_one(size=None):
        if size is not None:
            raise broken("no size here")
        return plain

    monkeypatch.setattr(ImageFont, "load_default", only_one)
    sheet = np.asarray(captioned(image, "Video 2 of 5 · 结果.mp4", "truth | avatar"))
    assert sheet.shape[0] > 75 and sheet[60:].max() > 150
