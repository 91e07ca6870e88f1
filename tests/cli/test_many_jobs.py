"""Several videos captured, datasets trained on, results measured: the same from any number of workers."""
from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from ray_workers import one_is_killed
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, main

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
TINY = ["--scale", "0.0005", "--device", "cpu", "--save-every", "2"]


def contents(folder: Path, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in but}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# capture ------------------------------------------------------------------------------------------------------------------------

CAPTURE = ["--size", "64", "--no-masks", "--no-steady", "--tracker", "rendered"]


@pytest.fixture
def videos(here, tiny_film) -> Path:
    """Two videos, one of them in a folder of its own, and one that is none."""
    (here / "videos" / "anna").mkdir(parents=True)
    shutil.copy(tiny_film, here / "videos" / "anna" / "one.mp4")
    shutil.copy(tiny_film, here / "videos" / "two.mp4")
    return here / "videos"


def test_videos_are_captured_by_any_number_of_workers(videos, ray, capsys):
    (videos / "broken.mp4").write_bytes(b"nothing")
    assert main(["capture", "videos/two.mp4", "alone", *CAPTURE]) == OK
    capsys.readouterr()
    for name, workers in (("one", "1"), ("two", "2")):
        assert main(["capture", "videos", name, *CAPTURE, "--workers", workers]) == FAILED
        told = capsys.readouterr()
        assert "broken.mp4: " in told.err and "Got:" in told.err and "2 of 3 are finished, 1 failed" in told.err
        assert told.out.count("report.png") == 2
        assert {path.name for path in Path(name).iterdir() if not path.name.startswith(".")} == {"anna", "two"}
    first, second = (contents(Path(name), but=("report.png",)) for name in ("one", "two"))
    assert first == second and "anna/one/manifest.json" in first
    assert contents(Path("alone"), but=("report.png",)) == contents(Path("one/two"), but=("report.png",))


def test_what_belongs_to_one_video_is_refused_with_several(videos, capsys):
    both = ["capture", "videos/anna/one.mp4", "videos/two.mp4", "out", *CAPTURE]
    assert main([*both, "--au", "a.csv"]) == FAILED and "belong to one video" in capsys.readouterr().err
    assert main(["capture", "videos/two.mp4", "videos/two.mp4", "out", *CAPTURE]) == FAILED
    assert "a name of its own" in capsys.readouterr().err and not Path("out").exists()


# train avatar -------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def sets(here, tiny_dataset) -> Path:
    for name in ("anna", "ben"):
        shutil.copytree(tiny_dataset, here / name)
    return here


@linux
def test_avatars_are_trained_by_any_number_of_workers_though_one_is_killed(sets, ray, capsys):
    """The one that takes over goes on from what was saved."""
    assert main(["train", "avatar", "anna", "alone", *TINY]) == OK
    assert main(["train", "avatar", "anna", "ben", "one", *TINY]) == OK
    with one_is_killed(lambda: list(sets.glob("two/*_log/log.csv"))) as killed:
        assert main(["train", "avatar", "anna", "ben", "two", *TINY, "--workers", "2"]) == OK
    assert killed and "trying again: A worker must live" in capsys.readouterr().err
    for name in ("anna", "ben"):
        assert Path("one", f"{name}.safetensors").read_bytes() == Path("two", f"{name}.safetensors").read_bytes()
    assert Path("one/anna.safetensors").read_bytes() == Path("alone.safetensors").read_bytes()
    assert not list(sets.glob("two/*.training.safetensors")) and not list(sets.glob("two/.*"))


def test_a_stopped_training_of_several_goes_on(sets, monkeypatch, capsys):
    from talking_heads.cli import avatar_training_jobs

    ended = avatar_training_jobs.done

    def pressed(options, report):
        if options.dataset.endswith("ben"):
            os.kill(os.getpid(), signal.SIGINT)
        return ended(options, report)

    with monkeypatch.context() as patched:
        patched.setattr(avatar_training_jobs, "done", pressed)
        assert main(["train", "avatar", "anna", "ben", "out", *TINY]) == INTERRUPTED
    assert "The same command continues" in capsys.readouterr().err and Path("out/anna.safetensors").exists()
    assert main(["train", "avatar", "anna", "ben", "out", *TINY]) == OK and Path("out/ben.safetensors").exists()


def test_several_datasets_need_a_folder_and_one_process(sets, monkeypatch, capsys):
    assert main(["train", "avatar", "anna", "ben", "out.safetensors", *TINY]) == FAILED
    assert "go into a folder" in capsys.readouterr().err


# evaluate -----------------------------------------------------------------------------------------------------------------------

def test_videos_are_measured_by_any_number_of_workers(here, tiny_film, ray, capsys):
    for folder in ("made", "true"):
        (here / folder).mkdir()
        for name in ("a", "b"):
            shutil.copy(tiny_film, here / folder / f"{name}.mp4")
    told = []
    for workers in ("1", "2"):
        assert main(["evaluate", "made", "true", "--tracker", "rendered", "--device", "cpu", "--json", f"{workers}.json",
                     "--workers", workers]) == OK
        told.append(capsys.readouterr().out.replace(f"{workers}.json", ""))
    assert told[0] == told[1] and "(1) a.mp4" in told[0] and "(2) b.mp4" in told[0] and "mean" in told[0]
    assert Path("1.json").read_bytes() == Path("2.json").read_bytes()
    videos = json.loads(Path("1.json").read_text("utf8"))["videos"]
    ssim = [{row["key"]: row["value"] for row in video["rows"]}["ssim"] for video in videos]
    assert ssim == pytest.approx([1, 1])


def test_more_videos_one_truth_and_what_fails(here, tiny_film, capsys):
    shutil.copy(tiny_film, here / "a.mp4")
    (here / "b.mp4").write_bytes(b"nothing")
    options = ["--tracker", "rendered", "--device", "cpu"]
    assert main(["evaluate", "a.mp4", "--more", "b.mp4", *options]) == FAILED
    told = capsys.readouterr()
    assert "b.mp4: " in told.err and "1 of 2 are finished, 1 failed" in told.err and "(1) a.mp4" in told.out
    (here / "true").mkdir()
    assert main(["evaluate", "a.mp4", "true", *options]) == FAILED
    assert "a true video for each made one" in capsys.readouterr().err
    assert main(["evaluate", "a.mp4", "--more", "b.mp4", "--plot", "a.png", *options]) == FAILED
    assert "--plot draws one video" in capsys.readouterr().err
