"""What a training of MToV refuses before it works: parts that make no MToV, and a place that holds something else."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.mtov.training import train_mtov
from video_data import DIFFUSION, LANDMARKS, RGB, make_video_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data")


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> dict[str, Path]:
    """Both autoencoders, of one step."""
    folder = tmp_path_factory.mktemp("mtov")
    files = {"rgb": folder / "rgb.safetensors", "landmarks": folder / "landmarks.safetensors"}
    train_mtov("rgb", data, files["rgb"], replace(RGB, steps=1))
    train_mtov("landmarks", data, files["landmarks"], replace(LANDMARKS, steps=1), rgb=files["rgb"])
    return files


def test_parts_that_make_no_mtov_are_told_before_the_work(data, made, tmp_path):
    out = tmp_path / "out" / "a.safetensors"
    other = replace(RGB, steps=1, autoencoder=replace(RGB.autoencoder, width=16, height=16))
    train_mtov("rgb", data, tmp_path / "small.safetensors", other)
    small = {"rgb": tmp_path / "small.safetensors", "landmarks": made["landmarks"]}
    for files, changes, words in (({}, {"overlap": 3}, "overlap of 0 to 2 frames"),
                                  ({}, {"denoiser": replace(DIFFUSION.denoiser, channels=8)}, "a denoiser of 8"),
                                  (small, {}, "planes of one size")):
        with pytest.raises(TalkingHeadsError, match=words):
            train_mtov("diffusion", data, out, replace(DIFFUSION, **changes), **(files or made))
        assert not out.parent.exists()


@pytest.mark.parametrize("content", [None, b"notes"])
def test_latents_replace_no_other_file(data, made, tmp_path, content):
    place = tmp_path / "precious.safetensors"
    place.write_bytes(made["rgb"].read_bytes() if content is None else content)
    kept = place.read_bytes()
    with pytest.raises(TalkingHeadsError, match="a file of their own"):
        train_mtov("diffusion", data, tmp_path / "a.safetensors", replace(DIFFUSION, cache=4), latents=place, **made)
    assert place.read_bytes() == kept and sorted(path.name for path in tmp_path.iterdir()) == ["precious.safetensors"]
