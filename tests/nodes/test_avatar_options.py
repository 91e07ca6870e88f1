"""Train Avatar: its advanced inputs make the settings, and the avatar is loaded and driven; without them all is as it was."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
from pack import make_host
from prompts import collector, failure, give, giver, keep, node, ok, own
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.host.graph import InvalidPrompt
from talking_heads.media_core.audio import save_wav
from voices import voice

ALL = {"fusion": "fixed", "cue": "vector", "path_ratio": "1:7:2", "mask_low": 0.2, "mask_high": 0.2, "densify": "mcmc",
       "cap": "6000", "pose_residuals": True, "endings": "on", "perceptual": "none"}


@pytest.fixture
def loaded(tiny_dataset, tmp_path):
    """A host, what its node Give hands out, and its folder: a dataset with a vector of six numbers is there."""
    data = tmp_path / "data"
    shutil.copytree(tiny_dataset, data)
    np.save(data / "vector.npy", np.random.default_rng(1).normal(size=(len(AvatarDataset.open(data)), 6)))
    base = tmp_path / "base"
    (base / "input").mkdir(parents=True)
    save_wav(base / "input" / "speech.wav", voice(0.4))
    host = make_host(base)
    values = giver(host)
    values["dataset"] = own(host, "nodes.sockets").DatasetFolder(str(data), 30, 25.0)
    return host, base


def train(**inputs) -> dict:
    return {"dataset": give("dataset"), "train": node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="demo", steps=0.001,
                                                      seed=0, name="mine", resume=True, encoder="mel", **inputs)}


def test_an_avatar_of_all_options_is_trained_loaded_and_driven(loaded):
    host, base = loaded
    kept = collector(host)
    ok(host.run({**train(**ALL), "kept": keep("train", 1)}))
    assert kept.pop() == "mine.safetensors"
    avatar = load_avatar(next((base / "models").rglob("mine.safetensors")))
    assert avatar.config["motion"] == {"fusion": "fixed", "cue": "vector", "width": 6}
    said = avatar.config["training"]
    assert (said["path_weights"], said["mask_ratio"], said["densify"]) == ([1, 7, 2], [0.2, 0.2], "mcmc")
    assert (said["pose_residuals"], said["published_endings"], said["face"]["max_points"]) == (True, True, 6000)
    ok(host.run({
        "sound": node("LoadAudio", audio="speech.wav"),
        "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel"),
        "avatar": node("HMTalker_LoadAvatar", avatar_name="mine.safetensors"), "kept": keep("motion"),
        "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                       lip_gain=1.0, seed=0)}))
    assert len(kept[0]) == 10 and bool(kept[0].codes.isfinite().all())


def test_the_avatar_prior_is_what_the_nets_begin_with(loaded, monkeypatch):
    """At one step's distance, also where it is chosen by itself; what the speech prior gives is far from it."""
    from talking_heads.hmtalker_core.training.start import SHIPPED, load_start

    host, base = loaded
    far = {}
    for prior in ("speech", "avatar", "auto"):
        ok(host.run(train(prior=prior)))
        net = load_avatar(base / "models" / "talking_heads" / "mine.safetensors").face_net.state_dict()
        start = load_start(SHIPPED).face
        far[prior] = max(float((net[name] - value).abs().max()) for name, value in start.items())
    assert far["avatar"] == far["auto"] < 0.1 * far["speech"], far


@pytest.mark.parametrize("inputs", [{"fusion": "concat"}, {"window": "causal"}])
def test_where_the_avatar_prior_does_not_fit_auto_goes_without(loaded, inputs):
    from talking_heads.hmtalker_core.training.start import SHIPPED, load_start

    host, base = loaded
    ok(host.run(train(prior="auto", **inputs)))
    net = load_avatar(base / "models" / "talking_heads" / "mine.safetensors").face_net.state_dict()
    start = load_start(SHIPPED).face
    shared = [name for name, value in start.items() if name in net and net[name].shape == value.shape]
    assert max(float((net[name] - start[name]).abs().max()) for name in shared) > 0.1


def test_the_defaults_are_the_preset_itself(loaded):
    from talking_heads.hmtalker_core.training.config import preset

    host, _ = loaded
    module = own(host, "nodes.avatar_training")
    defaults = {"fusion": "gate", "cue": "au", "path_ratio": "4:4:2", "mask_low": 0.1, "mask_high": 0.3, "densify": "grow",
                "cap": "auto", "pose_residuals": False, "endings": "auto"}
    for name in ("demo", "standard", "published"):
        for inputs in ({}, dict(defaults)):
            assert module._config(name, inputs).to_json() == preset(name).to_json() and not inputs


@pytest.mark.parametrize("inputs, words", [
    ({"cue": "blendshapes"}, "must have blendshapes.npy"), ({"path_ratio": "4:4"}, "path ratio must be 3 numbers"),
    ({"mask_low": 0.5}, "mask range"),
    ({"prior": "avatar", "fusion": "concat"}, "only from motion nets of its own fusion and cue")])
def test_what_is_wrong_is_told_at_the_node(loaded, inputs, words):
    assert words.lower() in str(failure(loaded[0].run(train(**inputs)))).lower()


@pytest.mark.parametrize("inputs, words", [({"cap": "7.5"}, "Most Gaussians must be auto"), ({"fusion": "sum"}, "'sum' not in")])
def test_what_cannot_be_is_told_before_anything_runs(loaded, inputs, words):
    with pytest.raises(InvalidPrompt, match=words):
        loaded[0].run(train(**inputs))
