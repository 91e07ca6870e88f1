"""Several processes train one network of MToV: gradients are really exchanged, one writes, and all share one pool of latents."""
from __future__ import annotations

import csv
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from video_data import make_video_dataset

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from talking_heads.training_core.process_group import Distributed, SingleProcess
from talking_heads.moditalker_core.mtov.training import train_mtov
from video_data import DIFFUSION, GAN, LANDMARKS, RGB

data, group = Path(sys.argv[2]), SingleProcess() if sys.argv[3] == "alone" else Distributed.join("cpu")
settings = {"steps": 3, "batch": 4, "val_every": 3}
train_mtov("rgb", data, "rgb.safetensors", replace(RGB, **settings, stills=2, still_steps=1), process_group=group)
pieces = 2 // group.size  # a piece's clips are judged together: both ways they are the same two
train_mtov("gan", data, "gan.safetensors", replace(GAN, **settings, accumulation=pieces), rgb="rgb.safetensors",
           process_group=group)
train_mtov("landmarks", data, "lm.safetensors", replace(LANDMARKS, **settings), rgb="rgb.safetensors", process_group=group)
train_mtov("diffusion", data, "mtov.safetensors", replace(DIFFUSION, **settings, cache=6), rgb="rgb.safetensors",
           landmarks="lm.safetensors", process_group=group)
"""


def train(folder: Path, data: Path, launcher: tuple[str, ...]) -> tuple[list[dict], list[list[float]], list[str]]:
    """The weights of the stages, the losses of their steps, and the files written."""
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    tests = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, *launcher, "train.py", tests, str(data), "together" if launcher else "alone"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = []
    for stage in ("rgb", "gan", "lm", "mtov"):
        with (folder / f"{stage}_log" / "log.csv").open(newline="") as file:
            losses.append([float(line["loss"]) for line in csv.DictReader(file) if line["loss"]])
    weights = [load_file(folder / f"{stage}.safetensors") for stage in ("rgb", "gan", "lm", "mtov")]
    return weights, losses, sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batch(tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port))  # also without a card
    data = make_video_dataset(tmp_path / "data", (20, 12, 9), val=1)
    one, losses, files = train(tmp_path / "one", data, ())
    two, others, files_of_two = train(tmp_path / "two", data, launcher)
    assert files == files_of_two and "mtov.latents.safetensors" not in files
    for mine, theirs in zip(losses, others):
        assert theirs == pytest.approx(mine, rel=1e-3)
    for mine, theirs in zip(one, two):
        off = sum(float((mine[name].float() - theirs[name].float()).square().sum()) for name in mine) ** 0.5
        size = sum(float(value.float().square().sum()) for value in mine.values()) ** 0.5
        assert off < 2e-3 * size
