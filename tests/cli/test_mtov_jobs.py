"""`talking-heads train mtov`: stage after stage from the command line; goes on where it was stopped; says what is amiss."""
from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
import torch
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, USAGE, main
from talking_heads.moditalker_core.mtov import train_config
from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder, load_mtov
from talking_heads.moditalker_core.mtov.run import MToVTraining
from video_data import DIFFUSION, GAN, LANDMARKS, RGB, make_video_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data", (20, 12, 9), val=1)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    stages = {"rgb": RGB, "gan": GAN, "landmarks": LANDMARKS, "diffusion": DIFFUSION}
    monkeypatch.setattr(train_config, "presets", lambda: {"demo": stages})


def test_all_stages_one_after_another(data, tmp_path, capsys):
    out = lambda name: str(tmp_path / name)
    few = ["--steps", "2", "--device", "cpu", "--val-every", "2"]
    assert main(["train", "mtov", str(data), out("rgb"), "--stage", "rgb", "--half", "--checkpointing", *few]) == OK
    assert "rgb.safetensors\nAutoencoder(" in capsys.readouterr().out
    given = ["--rgb", out("rgb.safetensors")]
    assert main(["train", "mtov", str(data), out("gan"), "--stage", "gan", "--precision", "bf16", *given, *few]) == OK
    given = ["--rgb", out("gan.safetensors")]
    assert main(["train", "mtov", str(data), out("lm"), "--stage", "landmarks", "--lr", "0.002", *given, *few]) == OK
    given += ["--landmarks", out("lm.safetensors"), "--cache", "3", "--latents", out("kept.safetensors")]
    settings = ["--seed", "4", "--licence", "mine", "--log-dir", out("log"), *given, *few]
    assert main(["train", "mtov", str(data), out("mtov"), "--stage", "diffusion", *settings]) == OK
    assert "MToV(" in capsys.readouterr().out
    assert load_autoencoder(tmp_path / "lm.safetensors")[1].training["lr"] == 0.002
    config = load_mtov(tmp_path / "mtov.safetensors").config
    assert config.licence == "mine" and config.training["seed"] == 4 and config.training["steps"] == 2
    assert (tmp_path / "kept.safetensors").is_file()
    with (tmp_path / "log" / "log.csv").open(newline="") as file:
        assert [line["step"] for line in csv.DictReader(file)] == ["2", "2"]
    drawing = ["--stage", "rgb", "--rgb", out("gan.safetensors"), "--decoder-only"]
    assert main(["train", "mtov", str(data), out("drawn"), *drawing, *few]) == OK
    more = ["--stage", "diffusion", "--mtov", out("mtov.safetensors"), "--rgb", out("drawn.safetensors")]
    assert main(["train", "mtov", str(data), out("more"), *more, *few]) == OK
    more = load_mtov(tmp_path / "more.safetensors")
    before, drawn = (load_autoencoder(tmp_path / f"{name}.safetensors")[0] for name in ("gan", "drawn"))
    assert torch.equal(more.rgb.patch_in.weight, before.patch_in.weight) and more.config.licence == "mine"
    assert torch.equal(more.rgb.to_pixels.weight, drawn.to_pixels.weight)
    assert not torch.equal(drawn.to_pixels.weight, before.to_pixels.weight)


def test_ctrl_c_keeps_what_was_learnt(data, tmp_path, capsys, monkeypatch):
    real, steps = MToVTraining.train_step, []

    def step(training):
        steps.append(training.step)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(training)

    monkeypatch.setattr(MToVTraining, "train_step", step)
    command = ["train", "mtov", str(data), str(tmp_path / "a.safetensors"), "--stage", "rgb", "--steps", "3", "--device", "cpu"]
    assert main(command) == INTERRUPTED and "continues where it stopped" in capsys.readouterr().err
    assert main(command) == OK and steps == [0, 1, 2]
    assert (tmp_path / "a.safetensors").is_file()


@pytest.mark.parametrize("options, words", [
    (["--stage", "gan"], "no file for rgb"), (["--stage", "rgb", "--preset", "best"], "demo"),
    (["--stage", "rgb", "--steps", "0"], "whole numbers above 0"), (["--stage", "rgb", "--decoder-only"], "trained encoder"),
    (["--stage", "diffusion", "--mtov", "absent.safetensors"], "no file at absent.safetensors"),
    (["--stage", "landmarks", "--rgb", "absent.safetensors"], "no file at absent.safetensors")])
def test_what_is_wrong_is_told(data, tmp_path, capsys, options, words):
    assert main(["train", "mtov", str(data), str(tmp_path / "a.safetensors"), *options, "--device", "cpu"]) == FAILED
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_stage_must_be_named(data, tmp_path):
    for options in ([], ["--stage", "sound"]):
        with pytest.raises(SystemExit) as stopped:
            main(["train", "mtov", str(data), str(tmp_path / "a"), *options])
        assert stopped.value.code == USAGE
