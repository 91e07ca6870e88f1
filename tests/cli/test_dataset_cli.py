"""`talking-heads dataset motion`: what it makes, prints and refuses."""
from __future__ import annotations

import signal

import pytest
from talking_heads.cli import main

QUICK = ["--subject", "--people", "2", "--first-identity", "3", "--seconds", "1", "--engine", "formant", "--seed", "5"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*options) -> exit code, in a folder of its own; the data set is called `out`."""
    monkeypatch.chdir(tmp_path)
    return lambda *options: main.main(["dataset", "motion", "out", *options])


def test_a_data_set_of_the_subject(run, tmp_path, capsys):
    from talking_heads.moditalker_core.data.dataset import MotionDataset

    assert run(*QUICK) == 0
    told = capsys.readouterr().out
    assert "2 clips (1 train, 1 val) of 2 people, 50 frames" in told and "mel" in told
    dataset = MotionDataset.open(tmp_path / "out")
    assert [clip.facts["seed"] for clip in dataset.clips] == [5, 6]


def test_what_was_left_out_is_printed(run, tmp_path, tiny_film, capsys):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "me.mp4").symlink_to(tiny_film)
    (tmp_path / "films" / "broken.mp4").write_bytes(b"nothing")
    assert run("--videos", "films", "--size", "128") == 0
    told = capsys.readouterr().out
    assert "1 clips (1 train, 0 val)" in told and "left out: broken.mp4: " in told


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(run, tmp_path, monkeypatch, capsys):
    from talking_heads.moditalker_core.data import from_subject

    exact = from_subject.exact_motion

    def pressed(*arguments):
        signal.raise_signal(signal.SIGINT)
        return exact(*arguments)

    monkeypatch.setattr(from_subject, "exact_motion", pressed)
    assert run(*QUICK) == 130
    assert "continues where it stopped" in capsys.readouterr().err
    monkeypatch.setattr(from_subject, "exact_motion", exact)
    assert run(*QUICK) == 0


def test_pictures_for_mtov(run, tmp_path, capsys):
    from talking_heads.moditalker_core.data.dataset import MotionDataset

    quick = [*QUICK, "--people", "1", "--size", "64", "--take", "0.2"]
    assert run(*quick, "--frames", "32", "--margin", "1.4", "--crop", "following") == 0
    assert "images of 32 x 32 px in 1 clips" in capsys.readouterr().out
    dataset = MotionDataset.open(tmp_path / "out")
    assert dataset.frames_of(0).shape == (5, 32, 32, 3)
    assert dataset.clips[0].facts["pictures"]["margin"] == 1.4 and dataset.clips[0].facts["pictures"]["crop"] == "following"
    assert run(*quick, "--frames", "9") == 1
    assert "32 to 1024 px" in capsys.readouterr().err


@pytest.mark.parametrize("options,words", [
    (["--videos", "films", "--people", "2"], "--people"),
    ([*QUICK, "--face-index", "1"], "--face-index"),
    ([*QUICK, "--layer", "9"], "--layer"),
    ([*QUICK, "--margin", "2"], "--frames 128"),
    ([*QUICK, "--crop", "following"], "--frames 128"),
])
def test_options_of_the_other_source_are_wrong_usage(run, options, words, capsys):
    assert run(*options) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--subject", "--videos", "x"]])
def test_one_source_must_be_given(run, options):
    with pytest.raises(SystemExit) as ended:
        run(*options)
    assert ended.value.code == 2


def test_failures_say_what_to_do(run, tmp_path, capsys):
    assert run("--videos", str(tmp_path / "none")) == 1
    assert "There must be videos" in capsys.readouterr().err
    assert run(*QUICK, "--encoder", "whisper") == 1
    assert "'whisper'" in capsys.readouterr().err


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")}


def test_clips_of_portraits_by_any_number_of_processes(run, tmp_path, capsys):
    from pack import ROOT
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((256, 256)).save(tmp_path / "photos" / "me.jpg")
    photos = ["--portraits", "photos", "--people", "2", "--seconds", "0.2", "--engine", "formant", "--frames", "32", "--val", "1",
              "--size", "64"]
    assert run(*photos) == 0, capsys.readouterr().err
    (tmp_path / "out").rename(tmp_path / "one")
    assert run(*photos, "--workers", "2") == 0, capsys.readouterr().err
    assert contents(tmp_path / "one") == contents(tmp_path / "out")


def test_workers_that_cannot_be(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(*QUICK, "--workers", "0")
    assert "a Ray cluster's address" in capsys.readouterr().err
    assert run("--geneface", "nowhere", "--workers", "2") == 2 and "--workers divides" in capsys.readouterr().err


def test_videos_and_clips_on_ray(run, ray, tmp_path, tiny_film, monkeypatch, capsys):
    """The cluster that is there already, whatever its address."""
    import shutil

    (tmp_path / "films").mkdir()
    for name in ("a", "b"):
        shutil.copy(tiny_film, tmp_path / "films" / f"{name}.mp4")
    for options in (QUICK, ["--videos", "films", "--size", "128", "--tracker", "rendered"]):
        assert run(*options, "--workers", "1") == 0, capsys.readouterr().err
        (tmp_path / "out").rename(tmp_path / "one")
        assert run(*options, "--workers", "ray://127.0.0.1:10001") == 0, capsys.readouterr().err
        assert contents(tmp_path / "one") == contents(tmp_path / "out")
        shutil.rmtree(tmp_path / "one"), shutil.rmtree(tmp_path / "out")


def test_a_machine_without_the_video_is_named(run, ray, tmp_path, tiny_film, monkeypatch, capsys):
    import shutil

    from talking_heads.cli import dataset_work

    (tmp_path / "films").mkdir()
    shutil.copy(tiny_film, tmp_path / "films" / "a.mp4")
    real = dataset_work._all_done

    def vanished(executor, does, folder, jobs, told):
        (tmp_path / "films" / "a.mp4").unlink()
        real(executor, does, folder, jobs, told)

    monkeypatch.setattr(dataset_work, "_all_done", vanished)
    assert run("--videos", "films", "--size", "128", "--workers", "ray://127.0.0.1:10001") == 1
    told = capsys.readouterr().err
    assert "Every machine must have the files that it works on. Got:" in told and "a.mp4" in told
