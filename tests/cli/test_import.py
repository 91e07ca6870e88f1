"""`talking-heads import atom`: done, and what is told where it cannot be."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from atom_files import official_state_dict
from talking_heads.cli import main
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.model import AToM

SIZES = DenoiserConfig(seq_len=4, latent_dim=16, ff_size=16, num_layers=1, num_heads=4)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A small network's published state dict, saved as atom.pt in the working folder with EMA weights 1 above."""
    torch.manual_seed(0)
    net = official_state_dict(AToM(AToMDenoiser(SIZES), AToMConfig(SIZES), torch.zeros(68, 3)))
    monkeypatch.chdir(tmp_path)
    ema = {name: value + 1 for name, value in net.items()}
    torch.save({"ema_state_dict": ema, "model_state_dict": net, "optimizer_state_dict": {"restart_cond": None}}, "atom.pt")
    return net


def test_raw_weights_with_the_built_in_mean_face(state, capsys):
    assert main.main(["import", "atom", "atom.pt", "mine", "--heads", "4", "--licence", "mine alone"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mine.safetensors\n") and "hears hubert-large-ls960-ft" in told and "--key-mean-shape" in told
    atom = load_atom("mine.safetensors")
    assert torch.equal(atom.denoiser.out.bias, state["final_layer.bias"]) and atom.config.licence == "mine alone"
    assert np.array_equal(atom.key_mean_shape, mean_face())


def test_ema_weights_with_the_users_mean_face(state, capsys):
    mean = (mean_face() * 1.01).astype(np.float32)
    np.save("bfm.npy", mean)
    options = ["--weights", "ema", "--key-mean-shape", "bfm.npy", "--heads", "4", "--half"]
    assert main.main(["import", "atom", "atom.pt", "mine.safetensors", *options]) == 0
    assert "Note" not in capsys.readouterr().out
    atom = load_atom("mine.safetensors")
    assert torch.allclose(atom.denoiser.out.bias, state["final_layer.bias"] + 1, atol=1e-3)
    assert np.array_equal(atom.key_mean_shape, mean)


@pytest.mark.parametrize("arguments, told", [
    (["none.pt", "out"], "no file at none.pt"), (["atom.pt", "out", "--heads", "3"], "num_heads"),
    (["list.pt", "out"], "holds a list"), (["cut.pt", "out"], "breaks off"),
    (["atom.pt", "out", "--key-mean-shape", "none.npy"], "none.npy"),
    (["atom.pt", "file/out"], "file"),
])
def test_what_cannot_be_imported_is_told_and_leaves_nothing(arguments, told, state, tmp_path, capsys):
    torch.save([1, 2], "list.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "atom.pt").read_bytes()[:-50])
    (tmp_path / "file").write_text("a file where the folder should be")
    before = sorted(tmp_path.iterdir())
    assert main.main(["import", "atom", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error and sorted(tmp_path.iterdir()) == before
    assert error.count(". ") >= 1


@pytest.mark.parametrize("arguments", [[], ["voice"], ["atom"], ["atom", "a.pt"], ["atom", "a.pt", "b", "--weights", "best"]])
def test_wrong_usage_ends_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main.main(["import", *arguments])
    assert ended.value.code == 2
