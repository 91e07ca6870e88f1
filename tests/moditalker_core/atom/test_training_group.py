"""Several processes train one network: gradients are really exchanged (docs/moditalker.md), and only one writes."""
from __future__ import annotations

import csv
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from motion_data import make_motion_dataset
from safetensors.torch import load_file
from talking_heads.cli import main
from talking_heads.moditalker_core.atom import training
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.run import AToMTraining
from talking_heads.moditalker_core.atom.windows import Clips, Windows
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.training_core.process_group import SingleProcess

STEPS, BATCH = 3, 4


def train(folder: Path, data: Path, launcher: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], list[float], list[Path]]:
    """The weights, the losses of every step, and the files written."""
    folder.mkdir()
    settings = ["--steps", str(STEPS), "--batch", str(BATCH), "--seed", "1", "--device", "cpu", "--lr", "0.01"]
    arguments = ["train", "atom", str(data), str(folder / "a.safetensors"), *settings]
    if launcher:
        command = [sys.executable, *launcher, "-m", "talking_heads.cli.main", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("a.safetensors") == 1, "one process tells"
    else:  # needs no interpreter of its own
        assert main.main(arguments) == 0
    with (folder / "a_log" / "log.csv").open(newline="") as file:
        losses = [float(line["loss"]) for line in csv.DictReader(file) if line["loss"]]
    processes = load_atom(folder / "a.safetensors").config.training["processes"]
    assert processes == (2 if launcher else 1)
    return load_file(folder / "a.safetensors"), losses, sorted(folder.iterdir())


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batch(tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port))  # also without a card
    data = make_motion_dataset(tmp_path / "data", (70, 20, 90, 30))
    one, losses, files = train(tmp_path / "one", data, ())
    two, others, files_of_two = train(tmp_path / "two", data, launcher)
    assert [file.name for file in files] == [file.name for file in files_of_two] == ["a.safetensors", "a_log"]
    assert others == pytest.approx(losses, rel=1e-4) and len(losses) == 1
    start = fresh_weights(data)
    for name, before in start.items():
        mine, theirs = (next(v for k, v in made.items() if k.endswith(name)).float() for made in (one, two))
        moved = float((mine - before).norm())
        assert float((mine - theirs).norm()) < 0.02 * moved + 1e-6, f"{name} moved by {moved}"


def fresh_weights(data: Path) -> dict[str, torch.Tensor]:
    """The first weights of that training."""
    opened = MotionDataset.open(data)
    config, speech = training.resolved(replace(training.preset("demo"), batch=BATCH), opened)
    clips = Clips(opened, "train", speech, config.denoiser.seq_len, torch.from_numpy(training._own_mean()))
    run = AToMTraining(config, Windows(clips, config, 1), 1, torch.device("cpu"), SingleProcess())
    return {name: run.params[name].detach() for name in ("layers.0.linear3.weight", "out.weight", "null_audio")}
