"""Avatars that start from the motion nets of somebody else."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from talking_heads.cli import main
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.start import StartNets, load_start, train_prior
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.progress import silent


def equal(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    return open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)


@pytest.fixture(scope="module")
def prior(clip, tiny_config, tmp_path_factory):
    config = replace(tiny_config, fuse_steps=0)
    return train_prior({"a": clip, "b": clip}, tmp_path_factory.mktemp("prior") / "prior.safetensors", config, seed=4)


def test_people_share_their_nets_and_nothing_else(prior, clip, tiny_config, tmp_path):
    found = load_start(prior)
    assert found.encoder == "mel" and found.audio["audio_dim"] == 80 and found.name == "prior.safetensors"
    alone = train_prior({"a": clip}, tmp_path / "alone.safetensors", replace(tiny_config, fuse_steps=0), seed=4)
    assert not equal(found.face, load_start(alone).face), "both people have moved the nets"
    again = train_prior({"a": clip, "b": clip}, tmp_path / "again.safetensors", replace(tiny_config, fuse_steps=0), seed=4)
    assert equal(found.face, load_start(again).face) and equal(found.mouth, load_start(again).mouth)


def test_a_training_begins_with_them(prior, tiny_dataset, tiny_config, tmp_path):
    still = replace(tiny_config, net_lr=1e-12, audio_lr=0.0, warmup_steps=1)  # nothing learns: what came in comes out
    path = tmp_path / "started.safetensors"
    train_avatar(tiny_dataset, path, preset=still, start_from=prior)
    avatar, start = load_avatar(path), load_start(prior)
    for net, wanted in ((avatar.face_net, start.face), (avatar.mouth_net, start.mouth)):
        for name, value in net.state_dict().items():  # the warm-up's one step moves A2AM by its learning rate
            torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-3)
    other = train_avatar(tiny_dataset, tmp_path / "other.safetensors", preset=still)
    assert not torch.allclose(other.face_net.att_lower.net[0].weight, avatar.face_net.att_lower.net[0].weight, atol=1e-2)
    assert avatar.config["speech_prior"] is True


def test_an_avatar_will_do_as_a_file_or_as_it_is(tiny_avatar_path, tiny_dataset, tiny_config, tmp_path):
    avatar = load_avatar(tiny_avatar_path)
    one, other = (train_avatar(tiny_dataset, tmp_path / f"{name}.safetensors", preset=tiny_config, start_from=start)
                  for name, start in (("file", tiny_avatar_path), ("avatar", avatar)))
    assert equal(one.face_net.state_dict(), other.face_net.state_dict())
    assert not equal(one.face_net.state_dict(), avatar.face_net.state_dict())
    assert equal(load_avatar(tiny_avatar_path).face_net.state_dict(), avatar.face_net.state_dict()), "it was not changed"


def test_other_nets_are_refused(prior, clip, tiny_config, tiny_dataset, tmp_path):
    start = load_start(prior)
    for changes, told in (({"encoder": "hubert"}, "encoder"), ({"audio": {**start.audio, "audio_dim": 7}}, "speech features")):
        with pytest.raises(TalkingHeadsError, match=told):
            replace(start, **changes).check(clip, tiny_config)
    with pytest.raises(TalkingHeadsError, match="fusion"):
        start.check(clip, replace(tiny_config, fusion="concat"))
    (tmp_path / "text.safetensors").write_text("nothing")
    for path in (tmp_path / "text.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(FileFormatError):
            load_start(path)
    with pytest.raises(TalkingHeadsError, match="at least one person"):
        train_prior({}, tmp_path / "none.safetensors", tiny_config)


def test_a_state_of_another_start_is_not_continued(prior, tiny_dataset, tiny_config, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total, info, preview):
        if done == 5:
            raise Stop

    out = tmp_path / "me.safetensors"
    with pytest.raises(Stop):
        train_avatar(tiny_dataset, out, preset=tiny_config, start_from=prior, report=stop)
    with pytest.raises(TalkingHeadsError, match="start_from"):
        train_avatar(tiny_dataset, out, preset=tiny_config)
    whole = train_avatar(tiny_dataset, tmp_path / "whole.safetensors", preset=tiny_config, start_from=prior)
    assert equal(train_avatar(tiny_dataset, out, preset=tiny_config, start_from=prior).mouth_net.state_dict(),
                 whole.mouth_net.state_dict())


def test_from_the_command_line(prior, tiny_dataset, tmp_path, capsys):
    out = tmp_path / "cli.safetensors"
    options = ["--steps", "8", "--start-from", str(prior)]
    assert main.main(["train", "avatar", str(tiny_dataset), str(out), *options]) == 0 and out.is_file()
    assert main.main(["train", "avatar", str(tiny_dataset), str(out), "--steps", "8", "--start-from", "none.safetensors"]) == 1
    assert "none.safetensors" in capsys.readouterr().err


def test_nets_of_an_avatar_are_copies(tiny_avatar_path):
    avatar = load_avatar(tiny_avatar_path)
    start = StartNets.of(avatar)
    next(iter(start.face.values())).zero_()
    assert start.checksum != StartNets.of(avatar).checksum
