"""The table for people and for programs."""
from __future__ import annotations

import json
import math

import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.metrics.table import Row, Table, absent, figure

GUESSED = "guessed without a transcript"
ROWS = (Row("psnr", "PSNR", 31.234567, "dB", "higher", 30), Row("cpbd", "CPBD", 0.5, "", "higher", 6, truth=0.25),
        Row("a", "first", 1.0, note=f"6 of 7; 6 of 6; {GUESSED}"), Row("b", "second", -12345.6, note=f"6 of 6; {GUESSED}"),
        absent("fid", "FID", "needs a file", "", "lower"), absent("fvd", "FVD", "needs a file"))
TABLE = Table("made.mp4", "truth.mp4", ("The truth was resized.",), ROWS)


def test_the_text():
    assert TABLE.text().splitlines() == [
        "made.mp4 against truth.mp4",
        "The truth was resized.",
        "",
        "metric    made   truth  unit  better  frames",
        "PSNR     31.23          dB    higher      30",
        "CPBD    0.5000  0.2500        higher       6",
        "first    1.000                                6 of 7; 6 of 6 [1]",
        "second  -12346                                6 of 6 [1]",
        f"[1] {GUESSED}",
        "",
        "Not measured:",
        "  FID, FVD: needs a file"]


def test_without_a_truth_there_is_no_such_column():
    assert "0.2500" not in Table("made.mp4", "", (), ROWS).text() and "truth" not in Table("made.mp4", "", (), ROWS[:1]).text()


def test_the_json(tmp_path):
    told = json.loads(TABLE.save(tmp_path / "a.json").read_text("utf8"))
    assert told["version"] == 1 and (told["made"], told["truth"], told["notes"]) == ("made.mp4", "truth.mp4",
                                                                                    ["The truth was resized."])
    assert told["rows"][0] == {"key": "psnr", "name": "PSNR", "value": 31.234567, "unit": "dB", "better": "higher", "frames": 30,
                               "note": "", "truth": None}
    assert told["rows"][4]["value"] is None and told["rows"][4]["note"] == "needs a file" and told["rows"][1]["truth"] == 0.25
    assert json.loads(Table("m", "", (), (Row("psnr", "PSNR", math.inf),)).json())["rows"][0]["value"] is None
    assert TABLE.value("cpbd") == 0.5 and [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(TalkingHeadsError, match="writing"):
        TABLE.save(tmp_path / "a.json" / "b.json")


def test_figures():
    assert [figure(v) for v in (0.0, 0.00012, 0.5, 7.25, 31.234, 123.45, 99999.4, 1e5, 2e-5, math.inf, math.nan)] == [
        "0", "0.0001", "0.5000", "7.250", "31.23", "123.5", "99999", "1e+05", "2e-05", "inf", ""]
