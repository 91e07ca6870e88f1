"""Other programs' tables: every header style, times on frames, unknown as NaN, and errors that name the line."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.action_units.au_files import FORMATS, read_action_units_file
from talking_heads.media_core.motion import AU_NAMES

OPENFACE = [f"{name}_r" for name in AU_NAMES] + ["AU28_c"]


def table(path, header, rows, *, blank="", ends="\n"):
    """Writes a CSV file; `blank` stands after each comma."""
    lines = [f",{blank}".join(map(str, row)) for row in [header, *rows]]
    path.write_bytes((ends.join(lines) + ends).encode())
    return path


def openface(path, frames=50, fps=25.0, *, face_id=False, blank="", ends="\n", skip=(), failed=(), people=1):
    """Unit k of frame i is (i + k) / 100; a second person's values are 2 higher."""
    header = ["frame", *(["face_id"] if face_id else []), "timestamp", "confidence", "success", *OPENFACE]
    rows = []
    for i in range(frames):
        for who in range(people):
            if i in skip or (who and i >= frames // 2):
                continue
            values = [f"{(i + k) / 100 + 2 * who:.2f}" for k in range(17)]
            rows.append([i + 1, *([who] if face_id else []), f"{i / fps:.3f}", "0.98", int(i not in failed), *values, "0.0"])
    return table(path, header, rows, blank=blank, ends=ends)


def expected(frames=50):
    return torch.from_numpy((np.arange(frames)[:, None] + np.arange(17)) / 100).float()


@pytest.mark.parametrize("style", [
    {"blank": " ", "ends": "\r\n"}, {"face_id": True}, {"face_id": True, "blank": " "}, {}, {"ends": "\r\n"}],
    ids=["old", "current", "mixed", "plain", "crlf"])
def test_both_styles_of_openface(tmp_path, style):
    track = read_action_units_file(openface(tmp_path / "a.csv", **style), 25.0, 50)
    assert torch.equal(track.au, expected()) and track.fps == 25.0
    assert track.source == "OpenFace table" and track.reliability is None


def test_failed_and_missing_frames_are_unknown(tmp_path):
    path = openface(tmp_path / "a.csv", failed=(3, 4), skip=(10, 11, 12, 49))
    au = read_action_units_file(path, 25.0, 50).au
    assert torch.isnan(au).any(1).nonzero().flatten().tolist() == [3, 4, 10, 11, 12, 49]
    known = ~torch.isnan(au).any(1)
    assert torch.equal(au[known], expected()[known])


def test_columns_that_are_not_there_are_unknown(tmp_path):
    path = table(tmp_path / "a.csv", ["frame", "timestamp", "AU45_r"], [[i + 1, i / 25, 1.5] for i in range(20)])
    au = read_action_units_file(path, 25.0, 20).au
    assert torch.isnan(au[:, :16]).all() and (au[:, 16] == 1.5).all()


@pytest.mark.parametrize("source, wanted", [(50.0, 25.0), (29.97, 25.0), (25.0, 30.0), (59.94, 25.0)])
def test_other_rates_keep_time(tmp_path, source, wanted):
    """Values that rise with time stand where the time says."""
    count = round(4 * source)
    path = table(tmp_path / "a.csv", ["frame", "timestamp", "success", "AU12_r"],
                 [[i + 1, f"{i / source:.3f}", 1, f"{(i + 0.5) / source:.6f}"] for i in range(count)])
    track = read_action_units_file(path, wanted, round(4 * wanted))
    middle = (torch.arange(round(4 * wanted)) + 0.5) / wanted
    assert float((track.column("AU12") - middle).abs()[1:-1].max()) < 2e-3
    assert not torch.isnan(track.column("AU12")).any()


def test_its_own_length_without_a_film(tmp_path):
    assert len(read_action_units_file(openface(tmp_path / "a.csv"), 25.0)) == 50
    assert len(read_action_units_file(openface(tmp_path / "a.csv"), 12.5)) == 25


def test_one_of_several_people(tmp_path):
    path = openface(tmp_path / "a.csv", face_id=True, people=2)
    assert torch.equal(read_action_units_file(path, 25.0, 50).au, expected())
    other = read_action_units_file(path, 25.0, 50, face_index=1).au
    assert torch.allclose(other[:25], expected()[:25] + 2) and torch.isnan(other[25:]).all(), "he leaves halfway"
    for index in (2, -1):
        with pytest.raises(TalkingHeadsError, match="one of the 2"):
            read_action_units_file(path, 25.0, 50, face_index=index)


def test_py_feat_is_scaled_and_its_closed_eyes_are_a_blink(tmp_path):
    header = ["FaceRectX", "FaceRectWidth", "FaceRectHeight", "AU01", "AU43", "input", "frame"]
    rows = [[0, 90, 90, 0.2, 0.8, "film.mp4", i] for i in range(20)] + [[9, 50, 50, 0.9, 0.1, "film.mp4", i] for i in range(20)]
    path = table(tmp_path / "a.csv", header, rows)
    track = read_action_units_file(path, 25.0, 20)
    assert torch.allclose(track.column("AU01"), torch.tensor(1.0)) and torch.allclose(track.column("AU45"), torch.tensor(4.0))
    assert torch.isnan(track.column("AU25")).all() and track.source == "py-feat table"
    assert torch.allclose(read_action_units_file(path, 25.0, 20, face_index=1).column("AU01"), torch.tensor(4.5)), "the smaller"


def test_libreface_has_no_blink_and_detections_are_no_intensities(tmp_path):
    header = ["frame_idx", "frame_time_in_ms", "au_1", "au_7", "au_1_intensity", "au_12_intensity"]
    path = table(tmp_path / "a.csv", header, [[i, i * 40.0, 1, 1, 1.5, i / 10] for i in range(30)])
    track = read_action_units_file(path, 25.0, 30)
    assert (track.column("AU01") == 1.5).all() and torch.allclose(track.column("AU12"), torch.arange(30) / 10)
    assert torch.isnan(track.column("AU45")).all() and torch.isnan(track.column("AU07")).all()


def test_pyafar_leaves_frames_out(tmp_path):
    header = ["Frame", "Person_ID", "Eye Aspect Ratio", "Occ_au_6", "Int_au_6", "Int_au_12"]
    path = table(tmp_path / "a.csv", header, [[i, 1, 0.3, 0.9, 2.5, 1.0] for i in range(5, 25)])
    track = read_action_units_file(path, 25.0, 40)
    assert torch.isnan(track.column("AU06")).nonzero().flatten().tolist() == [*range(5), *range(25, 40)]
    assert (track.column("AU06")[5:25] == 2.5).all()


def test_a_table_that_only_counts_frames_finds_its_rate(tmp_path):
    def made(count):
        return table(tmp_path / "a.csv", ["frame", "AU12"], [[i, i / count] for i in range(count)])

    track = read_action_units_file(made(120), 25.0, 100)  # 4 s at 30 frames per second
    assert float((track.column("AU12") - 5 * (torch.arange(100) + 0.5) / 100).abs().max()) < 0.06
    with pytest.raises(TalkingHeadsError, match="4.00 s.*140 frames"):
        read_action_units_file(made(140), 25.0, 100)
    assert len(read_action_units_file(made(140), 25.0, 100, source_fps=35.0)) == 100


@pytest.mark.parametrize("frames", [30, 100])
def test_the_table_of_another_film(tmp_path, frames):
    with pytest.raises(TalkingHeadsError, match=r"runs from 0.00 to 2.00 s"):
        read_action_units_file(openface(tmp_path / "a.csv"), 25.0, frames)


@pytest.mark.parametrize("text, word", [
    ("a,b\n1,2\n", "columns a, b"),
    ("", "columns none"),
    ("frame,timestamp,AU45_r\n", "at least one row"),
    ("frame,timestamp,AU45_r\n1,0.0,1\n2,0.0", "2 on line 3"),
    ("frame,timestamp,AU45_r\n1,0.0,1\n\n2,0.04,x\n", "'x' on line 4"),
    ("frame,timestamp,AU45_r\n1,,1\n", "`timestamp`.*line 2"),
    ("frame,AU01_r,AU02_r,AU03_r\n1,0,0,0\n", "OpenFace 3"),
])
def test_broken_tables_say_where(tmp_path, text, word):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FileFormatError, match=word):
        read_action_units_file(tmp_path / "a.csv", 25.0)


def test_absent_and_unreadable_files(tmp_path):
    with pytest.raises(FileFormatError, match="readable"):
        read_action_units_file(tmp_path / "none.csv", 25.0)
    (tmp_path / "film.csv").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(FileFormatError):
        read_action_units_file(tmp_path / "film.csv", 25.0)


def test_the_tool_can_be_named(tmp_path):
    path = openface(tmp_path / "a.csv")
    assert torch.equal(read_action_units_file(path, 25.0, tool="openface").au, expected())
    with pytest.raises(FileFormatError, match="LibreFace: au_12_intensity"):
        read_action_units_file(path, 25.0, tool="libreface")
    with pytest.raises(TalkingHeadsError, match="one of auto, openface"):
        read_action_units_file(path, 25.0, tool="excel")
    assert set(FORMATS) == {"openface", "py-feat", "libreface", "pyafar"}


@pytest.mark.parametrize("rows", ["0,1700000000.0,1.0\n", "1,0.0,1\n2,1e300,1\n", "1,0.0,1\n2,1e9,1\n"])
def test_times_that_no_film_has_ask_for_no_memory(tmp_path, rows):
    path = tmp_path / "a.csv"
    path.write_text("frame,timestamp,AU01_r\n" + rows)
    with pytest.raises(FileFormatError, match="must end within its video"):
        read_action_units_file(path, 25.0)


def test_frame_numbers_that_no_film_has_ask_for_no_memory(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,AU01\n0,0.5\n1000000000000000000,0.5\n")
    with pytest.raises(FileFormatError, match="A table of 2 rows must end within its video"):
        read_action_units_file(path, 25.0)


def test_an_hour_with_a_face_at_both_ends_is_a_film(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,timestamp,AU01_r\n1,0.0,1\n90000,3599.96,1\n")
    assert len(read_action_units_file(path, 25.0)) == 90_000
