"""Shared fixtures. Tests of the cores need none of them; node and workflow tests load the pack as ComfyUI does, through host/."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser):
    parser.addoption("--threads", type=int, default=1, help="torch's threads; results must not depend on them")


def pytest_configure(config):
    """One torch thread: tests work on tiny tensors, and threads that wait for each other make them slow on a busy machine."""
    import torch

    torch.set_num_threads(config.getoption("--threads"))


def pytest_collection_modifyitems(items):
    """Long tests first: with several processes the last one to finish has little left."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def same_threads():
    """No test leaves torch with another number of threads: all that follow would run with it."""
    import torch

    before = torch.get_num_threads()
    yield
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == before


@pytest.fixture
def bf16_attention():
    """Skips where torch itself cannot attend in bf16: with ATEN_CPU_CAPABILITY below what a processor with AMX has, it raises."""
    import torch

    try:
        torch.nn.functional.scaled_dot_product_attention(*3 * [torch.ones(1, 2, 64, 32, dtype=torch.bfloat16)])
    except RuntimeError as error:
        pytest.skip(f"torch cannot attend in bf16 with these kernels ({error})")


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
def tiny_film(tiny_dataset, tmp_path_factory) -> Path:
    """The same 1.2 s as a film of 240 x 192 px with sound, the face where 3 x the landmarks + 24 px say. Its pictures are
    enlarged ones: small work, and the built-in tracker finds the face to a pixel."""
    import numpy as np
    from PIL import Image
    from talking_heads.media_core.audio import load_sound
    from talking_heads.media_core.video import VideoWriter

    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, 240, 192, 25, load_sound(tiny_dataset / "aud.wav"), crf=10) as film:
        for index in range(30):
            small = Image.open(tiny_dataset / "ori_imgs" / f"{index}.jpg")
            frame = np.asarray(small.resize((192, 192), Image.Resampling.BICUBIC))
            film.write(np.pad(frame, ((0, 0), (24, 24), (0, 0)), mode="edge"))
    return path


@pytest.fixture(scope="session")
def tiny_avatar(tiny_dataset, tmp_path_factory) -> Path:
    """An avatar file trained for a few steps: whole in form, worthless in looks."""
    from dataclasses import replace

    from talking_heads.hmtalker_core.training.config import preset
    from talking_heads.hmtalker_core.training.train_avatar import train_avatar

    few = preset("demo")
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
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_avatar, folder / "tiny.safetensors")
    return host
