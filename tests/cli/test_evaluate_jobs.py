"""`talking-heads evaluate` on a video of a second."""
from __future__ import annotations

import json

import pytest
from talking_heads.cli.main import FAILED, OK, main


def test_table_json_and_plot(tiny_film, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("hello")
    told = main(["evaluate", str(tiny_film), str(tiny_film), "--tracker", "rendered", "--json", str(tmp_path / "a.json"),
                 "--plot", str(tmp_path / "a.png"), "--base-dir", str(tmp_path), "--device", "cpu"])
    out = capsys.readouterr().out
    assert told == OK and "PSNR" in out and "SSIM" in out and "Not measured:" in out and "a.json" in out and "a.png" in out
    rows = {row["key"]: row for row in json.loads((tmp_path / "a.json").read_text("utf8"))["rows"]}
    assert rows["ssim"]["value"] == pytest.approx(1) and rows["lmd"]["value"] == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_files(tiny_film, tmp_path, capsys):
    def said(*arguments: str) -> str:
        assert main(["evaluate", *arguments, "--tracker", "rendered"]) == FAILED
        return capsys.readouterr().err

    assert "another file" in said(str(tiny_film), "--json", str(tiny_film))
    assert "no file at" in said(str(tmp_path / "none.mp4"))
    (tmp_path / "long.txt").write_text("a " * 600_000)
    assert "short text file" in said(str(tiny_film), "--text", str(tmp_path / "long.txt"))
    pytest.importorskip("pocketsphinx")
    assert "xyzzyx" in said(str(tiny_film), "--text", "xyzzyx")
