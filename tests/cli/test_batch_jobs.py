"""`talking-heads batch`: a manifest's lines, checked and made; what is finished stays finished."""
from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from talking_heads.cli import avatar_jobs, batch_jobs
from talking_heads.cli.batch_manifest import ManifestError, read_manifest
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, main
from talking_heads.hmtalker_core import checkpoints
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import probe

REPORT = "jobs.report.jsonl"


@pytest.fixture
def place(tiny_avatar, tmp_path) -> Path:
    """Two avatars and three recordings of 0.3 s."""
    for name in ("me", "you"):
        (tmp_path / f"{name}.safetensors").write_bytes(tiny_avatar.read_bytes())
    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal((1, 4800))
        save_wav(tmp_path / f"{number}.wav", Sound(noise.astype(np.float32), 16000))
    return tmp_path


def write(place: Path, *lines: dict | str) -> Path:
    path = place / "jobs.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def job(number: int, avatar: str = "me", **more) -> dict:
    return {"id": f"{avatar}{number}", "audio": f"{number}.wav", "avatar": f"{avatar}.safetensors",
            "output": f"{avatar}{number}.mp4", "size": 64, **more}


def batch(manifest: Path, *options: str) -> int:
    return main(["batch", str(manifest), "--output-dir", str(manifest.parent / "out"), "--device", "cpu", *options])


def entries(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "out" / REPORT).read_text().splitlines()]


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """The avatars that are loaded, as it happens."""
    seen, load = [], checkpoints.load_avatar
    monkeypatch.setattr(checkpoints, "load_avatar", lambda path, *device: seen.append(Path(path).stem) or load(path, *device))
    return seen


@pytest.fixture
def makes(monkeypatch) -> list[str]:
    """The videos that are begun, as it happens; made by a stand-in."""
    seen = []

    def made(options, out, models, report):
        seen.append(out.stem)
        report(1, 2, {"phase": "render"})
        out.write_text(f"{options.audio} {options.smoothing}")

    monkeypatch.setattr(avatar_jobs, "made", made)
    return seen


def test_lines_become_videos_and_each_model_is_loaded_once(place, loads, capsys):
    manifest = write(place, job(0), job(1, "you"), job(2, output="sub/webm.webm"), job(2, "you", size="96x64"))
    assert batch(manifest) == OK, capsys.readouterr().err
    assert loads == ["me", "you"]
    made = {name: probe(place / "out" / name) for name in ("me0.mp4", "you1.mp4", "sub/webm.webm", "you2.mp4")}
    assert all(video.frames == 8 and video.has_sound for video in made.values())
    assert (made["you2.mp4"].width, made["you2.mp4"].height) == (96, 64)
    rows = entries(place)
    assert [row["line"] for row in rows] == [1, 2, 3, 4] and all(row["status"] == "ok" for row in rows)
    assert [Path(row["output"]).name for row in rows] == ["me0.mp4", "you1.mp4", "webm.webm", "you2.mp4"]
    assert not [name for _, _, names in os.walk(place / "out") for name in names if ".part" in name or name.endswith(".lock")]


def test_only_what_is_missing_or_changed_is_made_again(place, makes, capsys):
    manifest = write(place, job(0), job(1), job(2))
    assert batch(manifest) == OK and sorted(makes) == ["me0", "me1", "me2"]
    makes.clear()
    assert batch(manifest) == OK and makes == [] and "3 of 3 videos are finished already" in capsys.readouterr().err
    (place / "out" / "me0.mp4").unlink()
    (place / "1.wav").write_bytes((place / "2.wav").read_bytes())  # another content of the same name
    write(place, job(2), job(0), job(1))  # lines may move
    assert batch(manifest) == OK and sorted(makes) == ["me0", "me1"]
    makes.clear()
    write(place, job(2, smoothing=1), job(0), job(1))
    assert batch(manifest) == OK and makes == ["me2"]
    makes.clear()
    (place / "out" / "me1.mp4").write_text("cut")  # another length
    assert batch(manifest) == OK and makes == ["me1"]
    makes.clear()
    assert batch(manifest, "--again") == OK and len(makes) == 3


def test_a_file_of_that_name_alone_is_not_taken_for_finished(place, makes):
    (place / "out").mkdir()
    (place / "out" / "me0.mp4").write_text("somebody else's")
    assert batch(write(place, job(0))) == OK and makes == ["me0"]


def test_a_report_that_was_cut_off_is_read_as_far_as_it_goes(place, makes):
    manifest = write(place, job(0), job(1))
    batch(manifest)
    report = place / "out" / REPORT
    report.write_bytes(report.read_bytes()[:-20])
    makes.clear()
    assert batch(manifest) == OK and makes == ["me1"] and len(entries(place)) == 2


def test_a_line_that_fails_does_not_stop_the_others(place, makes, monkeypatch, capsys):
    made, left = avatar_jobs.made, {"me0": 2, "me1": 5}

    def unsteady(options, out, models, report):
        if left.get(out.stem, 0):
            left[out.stem] -= 1
            raise MemoryError("the card is full")
        return made(options, out, models, report)

    monkeypatch.setattr(avatar_jobs, "made", unsteady)
    manifest = write(place, job(0), job(1), job(2))
    assert batch(manifest, "--retries", "2") == FAILED
    told = capsys.readouterr().err
    assert "me0: trying again: the card is full" in told and "1 failed" in told
    assert [(row["status"], row["attempts"]) for row in entries(place)] == [("ok", 3), ("failed", 3), ("ok", 1)]
    assert entries(place)[1]["reason"].startswith("MemoryError: the card is full") and not (place / "out" / "me1.mp4").exists()
    left.clear()
    makes.clear()
    assert batch(manifest) == OK and makes == ["me1"]


def test_ctrl_c_keeps_what_is_finished(place, makes, monkeypatch, capsys):
    made = avatar_jobs.made

    def pressed(options, out, models, report):
        if out.stem == "me1":
            os.kill(os.getpid(), signal.SIGINT)
        return made(options, out, models, report)

    monkeypatch.setattr(avatar_jobs, "made", pressed)
    manifest = write(place, job(0), job(1), job(2))
    assert batch(manifest) == INTERRUPTED
    assert [row["status"] for row in entries(place)] == ["ok", "waiting", "waiting"]
    assert "The same command continues" in capsys.readouterr().err and not (place / "out" / "me1.mp4").exists()
    monkeypatch.setattr(avatar_jobs, "made", made)
    makes.clear()
    assert batch(manifest) == OK and makes == ["me1", "me2"]


def test_everything_wrong_is_said_at_once_and_nothing_runs(place, makes, capsys):
    manifest = write(
        place, job(0), job(0), {**job(1), "audio": "nowhere.wav", "blink": "none", "blinks": "often"}, "", '{"audio":',
        {"audio": "1.wav", "output": "x.mp4"}, job(1, id=3), job(1, id="e", output="x.avi", gate="yes"),
        {"audio": "1.wav", "portrait": "2.wav", "output": "y.mp4"}, job(2, id="in", output=str(place / "2.wav")),
        {"audio": "1.wav", "avatar": "me.safetensors", "portrait": "x.png", "output": "z.mp4"}, job(2, id="list", size=[1]))
    assert batch(manifest) == FAILED and makes == []
    told = capsys.readouterr().err.splitlines()
    for number, words in [(2, "the id 'me0' is that of line 1"), (2, "line 1 writes me0.mp4 too"), (3, "no file at"),
                          (3, "no setting 'blink'; perhaps 'blinks'"), (3, "--blinks: invalid choice"), (5, "no JSON object"),
                          (6, "needs one of avatar, portrait, video"), (7, "'id' must be a text"), (8, ".mp4, .webm, .mov"),
                          (8, "'gate' must be true or false"), (9, "is no image"), (10, ".wav"), (11, "avatar and portrait"),
                          (12, "'size' must be a text or a number")]:
        assert [line for line in told if line.startswith(f"  line {number}: ") and words in line], (number, words, told)


@pytest.mark.parametrize("content, words", [("", "no lines"), ("\n\n", "no lines"), ("\xff", "no JSON"),
                                            ("[1]", "no JSON object")])
def test_no_manifest(tmp_path, content, words):
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(content.encode("latin1"))
    with pytest.raises(ManifestError, match=words):
        read_manifest(path, input_dir=None, output_dir=tmp_path)


def test_a_manifest_that_is_absent(tmp_path, capsys):
    assert main(["batch", str(tmp_path / "none.jsonl")]) == FAILED and "none.jsonl" in capsys.readouterr().err
    assert main(["batch", "x.jsonl", "--retries", "-1"]) == FAILED and "--retries" in capsys.readouterr().err


def test_check_alone_makes_nothing(place, makes, capsys):
    assert batch(write(place, job(0)), "--check") == OK and makes == []
    assert "1 lines" in capsys.readouterr().out and not (place / "out").exists()


def test_names_start_at_the_manifest_or_where_it_is_said(place, makes, tmp_path):
    manifest = write(place, job(0))
    moved = tmp_path / "elsewhere" / "jobs.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(manifest.read_bytes())
    assert batch(moved) == FAILED
    assert batch(moved, "--input-dir", str(place)) == OK and makes == ["me0"]


def test_settings_are_the_commands_own_options(place, tmp_path):
    from pack import ROOT

    line = {"audio": "0.wav", "portrait": str(ROOT / "demo" / "demo_portrait.jpg"), "output": "p.mp4", "life": 0.5, "gate": False,
            "paste": True, "motion_steps": 4, "guidance": "auto", "seed": None}
    (one,) = read_manifest(write(place, line), input_dir=None, output_dir=tmp_path, device="cpu")
    options = one.options
    assert (options.life, options.gate, options.paste, options.motion_steps, options.guidance, options.seed, options.device) == \
        (0.5, False, True, 4, None, 0, "cpu")
    assert one.id == "line 1" and one.command == "video" and not options.film
    line = {"audio": "0.wav", "video": "1.wav", "output": "p.mp4", "device": "cpu"}
    (one,) = read_manifest(write(place, line), input_dir=None, output_dir=tmp_path, device="cuda:7")
    assert one.options.film and one.options.device == "cpu"


def test_lines_with_the_same_models_stand_together(place, tmp_path):
    lines = [job(0), job(0, "you"), job(1), job(1, "you", blinks="none"), job(2)]
    jobs = read_manifest(write(place, *lines), input_dir=None, output_dir=tmp_path)
    assert [one.id for one in batch_jobs.grouped(jobs)] == ["me0", "me1", "me2", "you0", "you1"]
