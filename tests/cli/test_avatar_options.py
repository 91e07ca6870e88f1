"""`talking-heads train avatar`: each option of table 4 reaches the trainer, and makes an avatar that speaks."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
from talking_heads.cli.main import FAILED, OK, main
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training import train_avatar as avatar_training
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.media_core.audio import save_wav
from talking_heads.media_core.video import probe
from voices import voice

ALL = ["--fusion", "concat", "--cue", "vector", "--path-ratio", "1:7:2", "--mask-range", "0.2:0.2", "--densify", "mcmc", "--cap",
       "900", "--pose-residuals", "--published-endings"]


@pytest.fixture(scope="module")
def data(tiny_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cues") / "data"
    shutil.copytree(tiny_dataset, folder)
    np.save(folder / "vector.npy", np.random.default_rng(1).normal(size=(len(AvatarDataset.open(folder)), 6)))
    return folder


@pytest.fixture
def asked(monkeypatch):
    """The settings that reach the trainer, which does nothing."""
    told = {}

    class Nothing:
        config = {}

    def train(dataset, out, **settings):
        told.update(settings)
        return Nothing

    monkeypatch.setattr(avatar_training, "train_avatar", train)
    return told


def test_every_option_reaches_the_trainer(asked):
    assert main(["train", "avatar", "data", "mine", "--device", "cpu", *ALL]) == OK
    config = asked["preset"]
    assert (config.fusion, config.cue, config.path_weights, config.mask_ratio) == ("concat", "vector", (1, 7, 2), (0.2, 0.2))
    assert (config.densify, config.face.max_points, config.pose_residuals, config.published_endings) == ("mcmc", 900, True, True)
    assert main(["train", "avatar", "data", "mine", "--device", "cpu", "--preset", "published", "--no-published-endings"]) == OK
    assert not asked["preset"].published_endings


def test_without_them_the_preset_stays(asked):
    assert main(["train", "avatar", "data", "mine", "--device", "cpu", "--cap", "auto"]) == OK
    assert asked["preset"] == preset("demo")


@pytest.mark.parametrize("options, words", [
    (["--path-ratio", "4:4"], "--path-ratio must be 3 numbers"), (["--mask-range", "0.3:0.1"], "the smaller first"),
    (["--cap", "3"], "from 100")])
def test_what_is_wrong_is_told(asked, capsys, options, words):
    assert main(["train", "avatar", "data", "mine", "--device", "cpu", *options]) == FAILED
    assert words in capsys.readouterr().err and not asked


def test_an_avatar_of_all_of_them_is_trained_and_speaks(data, tmp_path, capsys):
    mine, sound = tmp_path / "mine.safetensors", tmp_path / "speech.wav"
    save_wav(sound, voice(0.4))
    made = main(["train", "avatar", str(data), str(mine), "--device", "cpu", "--steps", "24", *ALL])
    assert made == OK, capsys.readouterr().err
    avatar = load_avatar(mine)
    assert avatar.config["motion"] == {"fusion": "concat", "cue": "vector", "width": 6}
    assert len(avatar.face) <= 900 and avatar.config["training"]["path_weights"] == [1, 7, 2]
    assert main(["avatar", str(mine), str(sound), str(tmp_path / "out.mp4"), "--device", "cpu"]) == OK
    assert probe(tmp_path / "out.mp4").frames == 10


def test_a_dataset_without_blendshapes_is_refused(tiny_dataset, tmp_path, capsys):
    out = str(tmp_path / "mine.safetensors")
    assert main(["train", "avatar", str(tiny_dataset), out, "--device", "cpu", "--cue", "blendshapes"]) == FAILED
    told = capsys.readouterr().err
    assert "must have blendshapes.npy" in told and "has neither" in told and "cue 'au'" in told
