"""`talking-heads import avatar`, `import ply`, `export`."""
from __future__ import annotations

import pytest
from official_avatar import save_branches, save_fuse, with_features
from talking_heads.cli import main
from talking_heads.hmtalker_core.checkpoints import load_avatar


@pytest.fixture
def here(tiny_dataset, tmp_path, monkeypatch):
    """A working folder with a dataset `person`, a fused checkpoint and one per branch."""
    with_features(tiny_dataset, tmp_path / "person")
    save_fuse(tmp_path / "fuse.pth")
    save_branches(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkpoint_becomes_an_avatar_whose_gaussians_go_out_and_in(here, capsys):
    assert main.main(["import", "avatar", "person", "mine", "--fuse", "fuse.pth", "--licence", "mine alone"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("mine.safetensors\n300 + 60 Gaussians, 64 x 64 px") and "'deepspeech'" in told
    avatar = load_avatar("mine.safetensors")
    assert avatar.licence == "mine alone"
    assert main.main(["export", "mine.safetensors", "mouth.ply", "--branch", "mouth"]) == 0
    assert "60 Gaussians of the mouth" in capsys.readouterr().out
    assert main.main(["import", "ply", "mine.safetensors", "other", "--face", "mouth.ply"]) == 0
    assert "face: 60 Gaussians instead of 300" in capsys.readouterr().out
    other = load_avatar("other.safetensors")
    assert len(other.face) == len(other.mouth) == 60 and other.fingerprint == avatar.fingerprint


def test_named_features_and_separate_branches(here, capsys):
    (here / "person" / "aud_ds.npy").rename(here / "heard.npy")
    branches = ["--face", "chkpnt_face_latest.pth", "--mouth", "chkpnt_mouth_latest.pth"]
    assert main.main(["import", "avatar", "person", "mine", *branches]) == 1 and "aud_ds.npy" in capsys.readouterr().err
    named = ["--encoder", "heard.npy", "--feature-name", "deepspeech"]
    assert main.main(["import", "avatar", "person", "mine", *branches, *named]) == 0


@pytest.mark.parametrize("arguments, told", [
    (["import", "avatar", "person", "out"], "chkpnt_fuse"),
    (["import", "avatar", "person", "out", "--fuse", "none.pth"], "no file at none.pth"),
    (["import", "avatar", "none", "out", "--fuse", "fuse.pth"], "none"),
    (["import", "ply", "fuse.pth", "out", "--face", "a.ply"], "fuse.pth"),
    (["export", "fuse.pth", "a.ply"], "fuse.pth"),
    (["export", "fuse.pth", "a.obj"], ".ply"),
])
def test_what_cannot_be_is_told_and_leaves_nothing(here, capsys, arguments, told):
    before = sorted(here.iterdir())
    assert main.main(arguments) == 1
    assert told in capsys.readouterr().err and sorted(here.iterdir()) == before


def test_a_ply_import_needs_a_file(here, capsys):
    assert main.main(["import", "avatar", "person", "mine", "--fuse", "fuse.pth"]) == 0
    assert main.main(["import", "ply", "mine.safetensors", "other"]) == 1 and "--face" in capsys.readouterr().err
