"""`talking-heads train atom`: its options reach the trainer, it goes on where it was stopped, and it says what is wrong."""
from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
from motion_data import make_motion_dataset
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, USAGE, main
from talking_heads.moditalker_core.atom import training
from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
from talking_heads.moditalker_core.atom.train_config import preset

SHORT = ["--batch", "2", "--device", "cpu", "--val-every", "50", "--lr", "0.001"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_motion_dataset(tmp_path_factory.mktemp("motion") / "data", (70, 20, 30))


def test_a_short_training(data, tmp_path, capsys):
    out = tmp_path / "mine"
    settings = ["--steps", "2", "--seed", "3", "--half", "--log-dir", str(tmp_path / "log"), *SHORT]
    assert main(["train", "atom", str(data), str(out), *settings]) == OK
    assert str(out) + ".safetensors" in capsys.readouterr().out
    record = load_atom(tmp_path / "mine.safetensors").config.training
    assert (record["preset"], record["steps"], record["seed"], record["batch"]) == ("demo", 2, 3, 2)
    with (tmp_path / "log" / "log.csv").open(newline="") as file:
        assert [line["step"] for line in csv.DictReader(file)] == ["2", "2"]


def test_fine_tuning_and_little_memory_by_options(data, tmp_path, capsys):
    first, second = str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")
    assert main(["train", "atom", str(data), first, "--steps", "1", *SHORT, "--memory-gb", "auto"]) == OK
    tuned = ["--steps", "1", "--device", "cpu", "--batch", "2", "--start-from", first]
    assert main(["train", "atom", str(data), second, *tuned]) == OK
    record = load_atom(second).config.training
    assert record["begun with"]["steps"] == 1 and record["lr"] == pytest.approx(2e-4)
    assert main(["train", "atom", str(data), second, "--steps", "2", *SHORT, "--memory-gb", "0.1"]) == FAILED
    assert "must fit into the 0.1 GB" in capsys.readouterr().err


def test_the_preset_finetune_and_a_second_dataset(data, tmp_path, capsys):
    """From the demo weights, unless others are named; nothing that cannot be mixed is written."""
    out, other = tmp_path / "b.safetensors", make_motion_dataset(tmp_path / "other", (30, 20), seed=2)
    tuned = ["--preset", "finetune", "--steps", "1", "--device", "cpu", "--batch", "2", "--mix", f"{other}@0.25"]
    assert main(["train", "atom", str(data), str(out), *tuned]) == OK
    made = load_atom(out).config
    assert made.training["begun with"] and made.training["lr"] == pytest.approx(preset("finetune").lr)
    assert made.training["mix"][0]["fraction"] == .25 and made.shown == load_atom(SHIPPED_ATOM).config.shown
    capsys.readouterr()
    assert main(["train", "atom", str(data), str(tmp_path / "c"), *tuned, "--mix", f"{other}@0.8"]) == FAILED
    assert "below 1 together" in capsys.readouterr().err and not (tmp_path / "c.safetensors").exists()


def test_ctrl_c_keeps_what_was_learnt(data, tmp_path, capsys, monkeypatch):
    real, steps = training.AToMTraining.train_step, []

    def step(run):
        steps.append(run.step)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(run)

    monkeypatch.setattr(training.AToMTraining, "train_step", step)
    command = ["train", "atom", str(data), str(tmp_path / "a.safetensors"), "--steps", "3", *SHORT]
    assert main(command) == INTERRUPTED and "continues where it stopped" in capsys.readouterr().err
    assert main(command) == OK and steps == [0, 1, 2]
    assert (tmp_path / "a.safetensors").is_file()


@pytest.mark.parametrize("options, code, words", [
    (["--preset", "best"], FAILED, "demo, standard, published, finetune"),
    (["--steps", "0"], FAILED, "whole numbers above 0"),
    (["--preset", "published", "--steps", "1"], FAILED, "hubert-large-ls960-ft"),
])
def test_what_is_wrong_is_told(data, tmp_path, capsys, options, code, words):
    assert main(["train", "atom", str(data), str(tmp_path / "a.safetensors"), *options, "--device", "cpu"]) == code
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_unknown_options_are_wrong_usage(data, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "atom", str(data), str(tmp_path / "a"), "--optimizer", "sgd"])
    assert stopped.value.code == USAGE


def test_a_log_that_cannot_be_written_says_so(data, tmp_path, capsys):
    (tmp_path / "log").write_text("a file")
    command = ["train", "atom", str(data), str(tmp_path / "a"), "--steps", "1", "--log-dir", str(tmp_path / "log")]
    assert main([*command, *SHORT]) == FAILED
    assert "log must be writable" in capsys.readouterr().err
