"""Shared fixtures. Tests of the cores need none of them; node and workflow tests load the pack as ComfyUI does, through host/."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config):
    """One torch thread: tests work on tiny tensors, and threads that wait for each other make them slow on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture
def host(tmp_path):
    """The pack loaded in a fresh base folder with models/, input/, output/, temp/."""
    from pack import make_host

    return make_host(tmp_path / "base")


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> Path:
    """1.2 s of the synthetic subject at 64 px."""
    from talking_heads.media_core.subject import export_dataset

    return export_dataset(tmp_path_factory.mktemp("dataset") / "subject", 1.2, 0, size=64, engine="formant")


@pytest.fixture(scope="session")
def tiny_avatar(tiny_dataset, tmp_path_factory) -> Path:
    """An avatar file trained for a few steps: whole in form, worthless in looks."""
    from dataclasses import replace

    from talking_heads.hmtalker_core.config import preset
    from talking_heads.hmtalker_core.training import train_avatar

    few = preset("preview")
    face = replace(few.face, steps=6, static=2, points=300, max_points=400, densify_from=100)
    mouth = replace(few.mouth, steps=4, static=2, points=100, max_points=150, densify_from=100)
    few = replace(few, face=face, mouth=mouth, warmup_steps=2, fuse_steps=2)
    path = tmp_path_factory.mktemp("avatar") / "tiny.safetensors"
    train_avatar(tiny_dataset, path, preset=few)
    return path


@pytest.fixture
def host_with_avatar(host, tiny_avatar, tmp_path):
    """A host whose models/talking_heads holds `tiny.safetensors`."""
    folder = tmp_path / "base" / "models" / "talking_heads"
    folder.mkdir(parents=True)
    shutil.copy(tiny_avatar, folder / "tiny.safetensors")
    return host
