"""Several processes train one avatar: gradients and density statistics are really exchanged, and only one process writes."""
from __future__ import annotations

import csv
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.training.steps import AvatarTraining
from talking_heads.hmtalker_core.training.train_avatar import AvatarDataset, open_clip, train_avatar, unfinished_path
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.progress import silent
from talking_heads.training_core.process_group import SingleProcess

SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from talking_heads.training_core.process_group import Distributed
from talking_heads.hmtalker_core.training.config import TrainConfig
from talking_heads.hmtalker_core.training.train_avatar import train_avatar

config = TrainConfig.from_json(json.loads(sys.argv[2]))
train_avatar(sys.argv[1], "a.safetensors", preset=config, process_group=Distributed.join("cpu"))
"""


def losses_of(folder: Path) -> list[float]:
    with (folder / "a_log" / "log.csv").open(newline="") as file:
        return [float(line["loss"]) for line in csv.DictReader(file) if line["loss"]]


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batch(tiny_dataset, tiny_config, tmp_path):
    """Every phase, with growth of the Gaussians between two fixed sizes of them."""
    import json

    pytest.importorskip("accelerate", reason="accelerate is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = replace(tiny_config, batch=2, log_every=1)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    train_avatar(tiny_dataset, one / "a.safetensors", preset=config)
    (two / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
               "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port), "train.py",
               str(tiny_dataset), json.dumps(config.to_json())]  # also without a GPU
    done = subprocess.run(command, cwd=two, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.name for path in two.iterdir()) == ["a.safetensors", "a_log", "train.py"]
    assert len(losses_of(one)) == 30 and losses_of(two) == pytest.approx(losses_of(one), rel=1e-3)
    mine, theirs = load_file(one / "a.safetensors"), load_file(two / "a.safetensors")
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}, "the same Gaussians grew"
    off = sum(float((mine[k].float() - theirs[k].float()).square().sum()) for k in mine) ** 0.5
    size = sum(float(v.float().square().sum()) for v in mine.values()) ** 0.5
    assert off < 1e-3 * size


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    return open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)


def test_a_batch_is_the_mean_of_its_frames(clip, tiny_config):
    """Each has its own random numbers."""
    single, double = (AvatarTraining.fresh(clip, replace(tiny_config, warmup_steps=0, batch=batch), 0) for batch in (1, 2))
    first = single.train_step()
    both = double.train_step()
    assert both["loss"] != first["loss"] and both["points"] == first["points"]
    assert both["loss"] == pytest.approx(first["loss"], rel=0.5)


def test_a_batch_that_stops_goes_on_to_the_same_weights(tiny_dataset, tiny_config, tmp_path):
    config = replace(tiny_config, batch=2, gradient_clip=0.5)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train_avatar(tiny_dataset, whole, preset=config)

    def stop(done, total, info, preview):
        if done in (3, 12, 20, 27) and done not in stopped:
            stopped.add(done)
            raise Cancelled

    stopped: set[int] = set()
    for _ in range(4):
        with pytest.raises(Cancelled):
            train_avatar(tiny_dataset, parts, preset=config, report=stop)
        assert unfinished_path(parts).exists()
    train_avatar(tiny_dataset, parts, preset=config, report=stop)
    mine, theirs = load_file(whole), load_file(parts)
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_batch_must_divide_into_processes(clip, tiny_config):
    class Two(SingleProcess):
        size = 2

    with pytest.raises(TalkingHeadsError, match="divide evenly into processes.*3 frames, 2 processes"):
        AvatarTraining.fresh(clip, replace(tiny_config, batch=3), 0, group=Two())
