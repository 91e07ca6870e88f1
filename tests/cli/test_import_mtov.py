"""`talking-heads import mtov` and `import autoencoder`: done, and what is told where it cannot be."""
from __future__ import annotations

import pytest
import torch
from talking_heads.cli import main
from talking_heads.moditalker_core.mtov import names
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder, load_mtov
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser

SIZES = AutoencoderConfig(channels=16, frames=4, height=16, width=16, depth=1, heads=8, dim_head=4, pool_depth=1, pool_dim_head=2,
                          pool_hidden=8)  # heads as the published ones: no tensor of these files tells them
NETWORK = DenoiserConfig(model_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=(1,), num_heads=2)
FILES = ["rgb.pth", "motion.pth", "diffusion.pth"]


def published(network: torch.nn.Module, theirs) -> dict[str, torch.Tensor]:
    return {theirs(name): value[..., None, None] if name.startswith(("to_plane", "from_plane")) and value.ndim == 2 else value
            for name, value in network.state_dict().items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Small networks as published files in the working folder."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    for name in FILES[:2]:
        torch.save(published(VideoAutoencoder(SIZES), names.official_autoencoder_name), name)
    torch.save(published(MToVDenoiser(NETWORK, SIZES.grid), names.official_denoiser_name), FILES[2])
    return tmp_path


def test_three_checkpoints_become_one_file(folder, capsys):
    assert main.main(["import", "mtov", *FILES, "mine", "--heads", "2", "--licence", "mine alone"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mine.safetensors\nMToV(") and "distinguishes the two" in told and "given in the wrong order" in told
    mtov = load_mtov("mine.safetensors")
    assert mtov.config.rgb == SIZES and mtov.config.denoiser == NETWORK and mtov.config.licence == "mine alone"
    assert not mtov.landmarks.can_decode
    assert main.main(["import", "mtov", *FILES, "half.safetensors", "--heads", "2", "--half", "--whole",
                     "--autoencoder-heads", "4"]) == 0
    half = load_mtov("half.safetensors")
    assert half.landmarks.can_decode and half.config.rgb.heads == 4
    assert torch.equal(half.rgb.patch_in.bias, mtov.rgb.patch_in.bias.half().float())


def test_one_autoencoder_alone(folder, capsys):
    assert main.main(["import", "autoencoder", "motion.pth", "marks", "--role", "landmarks", "--half"]) == 0
    assert capsys.readouterr().out == "marks.safetensors\nautoencoder of landmarks: clips of 4 frames of 16 x 16 px\n"
    network, note = load_autoencoder("marks.safetensors", role="landmarks")
    assert network.config == SIZES and note.training == {"imported_from": "motion.pth"}


@pytest.mark.parametrize("arguments, told", [
    (["mtov", "none.pth", *FILES[1:], "out"], "no file at none.pth"),
    (["mtov", FILES[2], *FILES[1:], "out"], "an autoencoder of MToV's"),
    (["mtov", *FILES[:2], "rgb.pth", "out"], "a denoiser of MToV's"),
    (["mtov", "rgb.pth", "rgb.pth", "diffusion.pth", "out"], "two autoencoders"),
    (["mtov", *FILES, "out", "--heads", "3"], "heads"),
    (["mtov", "rgb.pth", "motion.pth", "cut.pth", "out"], "breaks off"),
    (["mtov", *FILES, "file/out"], "file"),
    (["autoencoder", "diffusion.pth", "out", "--role", "rgb"], "an autoencoder of MToV's"),
])
def test_what_cannot_be_imported_is_told_and_leaves_nothing(arguments, told, folder, capsys):
    (folder / "cut.pth").write_bytes((folder / FILES[2]).read_bytes()[:-50])
    (folder / "file").write_text("a file where the folder should be")
    before = sorted(folder.iterdir())
    assert main.main(["import", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error and sorted(folder.iterdir()) == before


@pytest.mark.parametrize("arguments", [["mtov"], ["mtov", *FILES], ["autoencoder", "a.pth", "out"],
                                       ["autoencoder", "a.pth", "out", "--role", "pose"]])
def test_wrong_usage_ends_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main.main(["import", *arguments])
    assert ended.value.code == 2
