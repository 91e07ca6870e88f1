"""Trainings of MToV in little memory: the same weights in more pieces, and an error that says what to do when it runs out."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.moditalker_core.mtov import memory, objectives, training
from talking_heads.moditalker_core.mtov.training import train_mtov, unfinished_path
from talking_heads.training_core import memory_plan
from talking_heads.training_core.memory import GB
from video_data import DIFFUSION, GAN, LANDMARKS, RGB, StopAt, make_video_dataset

CONFIGS = {"rgb": RGB, "gan": GAN, "landmarks": LANDMARKS, "diffusion": DIFFUSION}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data")


@pytest.fixture(scope="module")
def files(data, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parts")
    made = {stage: folder / f"{stage}.safetensors" for stage in ("rgb", "landmarks")}
    train_mtov("rgb", data, made["rgb"], replace(RGB, steps=1))
    train_mtov("landmarks", data, made["landmarks"], replace(LANDMARKS, steps=1), rgb=made["rgb"])
    return made


def given(stage: str, files: dict[str, Path]) -> dict[str, Path]:
    return {role: files[role] for role in {"rgb": (), "diffusion": ("rgb", "landmarks")}.get(stage, ("rgb",))}


def close(a: Path, b: Path, tolerance: float = 1e-3) -> bool:
    """Weights as near as sums in another order make them."""
    one, two = load_file(a), load_file(b)
    return one.keys() == two.keys() and all(torch.allclose(one[k], two[k], rtol=tolerance, atol=tolerance * 0.1) for k in one)


def noted_settings(monkeypatch) -> list[training.TrainConfig]:
    """The settings that trainings take, in order."""
    chosen, fitting = [], training.fitting

    def noted(*arguments):
        chosen.append(fitting(*arguments))
        return chosen[-1]

    monkeypatch.setattr(training, "fitting", noted)
    return chosen


def a_window(config: training.TrainConfig, checkpointing: bool, windows: int) -> float:
    """GB with so many windows at once, and a hair more."""
    return 1.0001 * memory.needed(config, windows, checkpointing, torch.device("cpu")) / GB


@pytest.mark.parametrize("stage", ["rgb", "landmarks"])
def test_a_batch_in_pieces_that_fit_learns_the_same(data, files, tmp_path, monkeypatch, stage):
    config = replace(CONFIGS[stage], batch=4, steps=2, optimizer="adan", lr=1e-4)
    chosen = noted_settings(monkeypatch)
    out = [tmp_path / f"{name}.safetensors" for name in ("whole", "pieces", "again")]
    train_mtov(stage, data, out[0], config, memory_gb=20, **given(stage, files))
    tight = a_window(chosen[0], False, 1)
    train_mtov(stage, data, out[1], config, memory_gb=tight, **given(stage, files))
    train_mtov(stage, data, out[2], config, memory_gb=tight, checkpointing="on", **given(stage, files))
    assert chosen[0].accumulation == 1 and chosen[1].accumulation == 4 and not chosen[1].checkpointing
    assert chosen[2].checkpointing
    assert close(out[0], out[1]) and close(out[0], out[2])


def test_a_denoiser_in_pieces_with_checkpointing_learns_the_same(data, files, tmp_path):
    config = replace(DIFFUSION, batch=4, steps=2, optimizer="adan", lr=1e-4)
    out = [tmp_path / f"{name}.safetensors" for name in ("whole", "pieces")]
    train_mtov("diffusion", data, out[0], config, **given("diffusion", files))
    train_mtov("diffusion", data, out[1], replace(config, accumulation=2), checkpointing="on", **given("diffusion", files))
    assert close(*out)


def test_the_gan_stage_checkpoints_before_it_cuts(data, files, tmp_path, monkeypatch):
    """Its discriminators compare the clips of a piece."""
    chosen, config = noted_settings(monkeypatch), replace(GAN, batch=4, steps=2, optimizer="adan", lr=1e-4)
    out = [tmp_path / f"{name}.safetensors" for name in ("whole", "again")]
    train_mtov("gan", data, out[0], config, memory_gb=20, **given("gan", files))
    whole, again = (a_window(chosen[0], way, 4) for way in (False, True))
    assert again < whole
    train_mtov("gan", data, out[1], config, memory_gb=again, **given("gan", files))
    assert (chosen[1].accumulation, chosen[1].checkpointing) == (1, True) and close(*out)


def test_a_training_goes_on_with_less_memory(data, files, tmp_path, monkeypatch):
    chosen, config = noted_settings(monkeypatch), replace(RGB, batch=4, steps=4, optimizer="adan", lr=1e-4)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train_mtov("rgb", data, whole, config)
    with pytest.raises(Cancelled):
        train_mtov("rgb", data, parts, config, report=StopAt(2))
    report = StopAt()
    train_mtov("rgb", data, parts, config, memory_gb=a_window(chosen[0], True, 2), checkpointing="on", report=report)
    assert [info["done"] for info in report.infos] == [3, 4] and chosen[-1].accumulation == 2 and close(whole, parts)


def test_too_little_memory_is_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(TalkingHeadsError, match="must fit into the 0.1 GB.*smaller preset"):
        train_mtov("rgb", data, tmp_path / "out" / "a.safetensors", RGB, memory_gb=0.1)
    assert not (tmp_path / "out").exists()


def test_little_free_memory_warns(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: 10 ** 7)
    with caplog.at_level("INFO"):
        train_mtov("rgb", data, tmp_path / "a.safetensors", replace(RGB, steps=1))
    assert "may run out of memory" in caplog.text and "Memory of this training (MToV, rgb)" in caplog.text


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_runs_out_says_what_to_set_and_keeps_the_state(data, tmp_path, monkeypatch, error):
    path, real = tmp_path / "a.safetensors", objectives.Reconstruction.losses

    def full(objective, turn, step, indices):
        if step == 3:
            raise error
        return real(objective, turn, step, indices)

    monkeypatch.setattr(objectives.Reconstruction, "losses", full)
    with pytest.raises(TalkingHeadsError, match="out of memory in step 4 of 5.*state saved last is of step 3.*memory_gb") as told:
        train_mtov("rgb", data, path, replace(RGB, save_every=100))
    assert told.value.__cause__ is error and "gradient accumulation above 1" in str(told.value)
    monkeypatch.undo()
    report = StopAt()
    train_mtov("rgb", data, path, RGB, report=report)
    assert unfinished_path(path).exists() is False and report.infos[0]["done"] == 4


def test_memory_that_runs_out_while_weights_move_keeps_the_state_before(data, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    real, steps = torch.optim.AdamW.step, []

    def full(optimizer, *arguments, **more):
        steps.append(1)
        if len(steps) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(optimizer, *arguments, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(TalkingHeadsError, match="in step 3 of 5.*is of step 2"):
        train_mtov("rgb", data, path, replace(RGB, save_every=1, steps=5))
    assert unfinished_path(path).exists()
