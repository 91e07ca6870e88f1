"""`talking-heads train avatar`: its options reach the trainer; --steps is a number, and what was published still works."""
from __future__ import annotations

import csv
from pathlib import Path

import pytest
from talking_heads.cli.main import FAILED, OK, USAGE, main
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.training import train_avatar as avatar_training
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.start import SHIPPED


@pytest.fixture
def asked(monkeypatch):
    """The settings that reach the trainer, which does nothing."""
    told = {}

    class Nothing:
        config = {}

    def train(dataset, out, **settings):
        told.update(settings, out=out)
        return Nothing

    monkeypatch.setattr(avatar_training, "train_avatar", train)
    return told


def run(*options: str) -> int:
    return main(["train", "avatar", "data", "mine", "--device", "cpu", *options])


def test_every_option_reaches_the_trainer(asked):
    options = ["--preset", "standard", "--steps", "5000", "--batch", "4", "--precision", "bf16", "--gradient-clip", "0.5",
               "--save-every", "7", "--val-every", "8", "--log-dir", "logs", "--size", "256", "--lpips", "l.safetensors",
               "--seed", "3"]
    assert run(*options) == OK
    config = asked["preset"]
    assert (config.preset, config.steps, config.batch, config.precision) == ("standard", 5000, 4, "bf16")
    assert (config.gradient_clip, config.save_every, config.val_every) == (0.5, 7, 8)
    assert (asked["log_folder"], asked["size"], asked["lpips_weights"], asked["seed"]) == ("logs", 256, "l.safetensors", 3)
    assert asked["out"] == "mine.safetensors" and "steps" not in asked


@pytest.mark.parametrize("options, start", [
    ((), "auto"), (("--prior", "speech"), None), (("--prior", "avatar"), SHIPPED),
    (("--start-from", "me.safetensors"), "me.safetensors")])
def test_what_the_motion_networks_begin_with(asked, options, start):
    assert run(*options) == OK and asked["start_from"] == start


@pytest.mark.parametrize("options, config, notice", [
    ((), preset("demo"), False), (("--steps", "1060"), preset("demo").with_steps(1060), False),
    (("--scale", "0.5"), preset("demo").scaled(0.5), False), (("--scale", "2"), preset("demo").scaled(2), False),
    (("--steps", "0.5"), preset("demo").scaled(0.5), True), (("--steps", "1.0"), preset("demo"), True),
    (("--preset", "preview"), preset("demo"), False), (("--steps", "5"), preset("demo").with_steps(5), True),
    (("--preset", "paper", "--steps", "0.01"), preset("published").scaled(0.01), True)])
def test_steps_are_a_number_and_the_factor_of_before_is_still_taken(asked, capsys, options, config, notice):
    assert run(*options) == OK and asked["preset"] == config
    assert ("--scale" in capsys.readouterr().err) is notice


@pytest.mark.parametrize("options, words", [
    (("--steps", "100", "--scale", "2"), "--steps or --scale"), (("--steps", "0"), "at least 4"), (("--scale", "0"), "above 0"),
    (("--steps", "-0.5"), "above 0"), (("--preset", "best"), "demo, standard, published"), (("--batch", "0"), "Got: batch 0. "),
    (("--gradient-clip", "0"), "gradient_clip")])
def test_what_is_wrong_is_told(asked, capsys, options, words):
    assert run(*options) == FAILED and words in capsys.readouterr().err and not asked


@pytest.mark.parametrize("options, words", [
    (("--steps", "many"), "argument --steps: must be a whole number: 'many'"),
    (("--precision", "fp16"), "invalid choice: 'fp16'")])
def test_no_number_and_other_formats_are_wrong_usage(asked, options, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == USAGE and words in capsys.readouterr().err


def test_a_short_training(tiny_dataset, tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    options = ["--steps", "12", "--batch", "2", "--val-every", "6", "--size", "48", "--log-dir", str(tmp_path / "log")]
    assert main(["train", "avatar", str(tiny_dataset), str(out), "--device", "cpu", *options]) == OK
    assert f"{out}\nPSNR of the head" in capsys.readouterr().out
    avatar = load_avatar(out)
    assert avatar.config["training"]["batch"] == 2 and max(avatar.poses.image_size) == 48
    with (tmp_path / "log" / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[-1]["step"] == "12" and any(line["val_psnr"] for line in lines)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["log", "mine.safetensors"]
