"""`talking-heads subject`."""
from __future__ import annotations

import json

from PIL import Image
from skimage import data
from talking_heads.cli import main


def test_one_photo_becomes_a_dataset(tmp_path, capsys):
    Image.fromarray(data.astronaut()).save(tmp_path / "me.png")
    command = ["subject", str(tmp_path / "me.png"), str(tmp_path / "set"), "--seconds", "0.4", "--size", "64",
               "--engine", "formant"]
    assert main.main(command) == 0 and str(tmp_path / "set") in capsys.readouterr().out
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text("utf8"))
    assert manifest["portrait"]["name"] == "me.png" and manifest["identity"] is None and manifest["frames"] == 10


def test_wrong_use_is_explained(tmp_path, capsys):
    Image.fromarray(data.coffee()).save(tmp_path / "cup.png")
    assert main.main(["subject", str(tmp_path / "cup.png"), str(tmp_path / "set"), "--seconds", "1"]) == main.FAILED
    assert "must show a face" in capsys.readouterr().err
    assert main.main(["subject", "a.png", str(tmp_path / "set"), "--audio", "b.wav", "--voice", "en-us"]) == main.USAGE
    assert "--voice" in capsys.readouterr().err
