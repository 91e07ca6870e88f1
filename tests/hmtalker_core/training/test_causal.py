"""Causal windows: an option of the training that the avatar file keeps, and the causal variant of any avatar."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.live_timing import LiveTiming
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.branches import field_from
from talking_heads.hmtalker_core.training.causal import _clip, causal_variant, save_causal, with_causal
from talking_heads.hmtalker_core.training.config import TrainConfig, preset
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import Speech, encode_speech

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def demo() -> Avatar:
    """The demo avatar with few of its Gaussians."""
    whole = load_avatar(ROOT / "weights" / "demo_avatar.safetensors")
    face, mouth = (field_from({name: rows[::40].clone() for name, rows in field.state_dict().items()}, field.active_sh_degree)
                   for field in (whole.face, whole.mouth))
    return Avatar(face, mouth, whole.face_net, whole.mouth_net, poses=whole.poses, upper_au=whole.upper_au, torso=whole.torso,
                  background=whole.background, config=whole.config)


@pytest.fixture(scope="module")
def speech() -> Speech:
    mono = load_sound(ROOT / "demo" / "demo_speech.wav").mono(16000)
    return encode_speech(Sound(mono[None, :4 * 16000], 16000))


def test_a_causal_frame_reads_no_later_frame(demo, speech):
    causal = demo.with_config(window="causal")
    timing = LiveTiming(25.0, 16, "causal")
    for frame in (20, 50):
        later = speech.features.clone()
        later[timing.first_row(frame) + 16:] = 3.0
        changed = replace(speech, features=later)
        kept, own = (causal.drive(one, silence_gate=False).codes for one in (changed, speech))
        assert torch.equal(kept[:frame + 1], own[:frame + 1]) and not torch.equal(kept[frame + 1], own[frame + 1])
        seen = [demo.drive(one, silence_gate=False).codes[frame] for one in (changed, speech)]
        assert not torch.equal(*seen)


def test_training_windows_are_those_of_three_frames_before(tiny_dataset):
    data = AvatarDataset.open(tiny_dataset)
    centred, causal = (open_clip(data, "mel", torch.device("cpu"), silent, window=window) for window in ("centred", "causal"))
    assert torch.equal(causal.windows(torch.tensor([3, 10, 29])), centred.windows(torch.tensor([0, 7, 26])))
    assert torch.equal(causal.windows(torch.tensor([0]))[:, 3:7], centred.windows(torch.tensor([0]))[:, :4] * 0 - 4)


def test_a_causal_training_says_so_in_the_file_and_starts_from_no_centred_prior(tiny_dataset, tmp_path):
    few = preset("demo")
    face = replace(few.face, steps=3, static=1, points=60, max_points=80, densify_from=100)
    mouth = replace(few.mouth, steps=2, static=1, points=30, max_points=40, densify_from=100)
    few = replace(few, face=face, mouth=mouth, warmup_steps=1, fuse_steps=1, window="causal")
    made = train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=few)
    read = load_avatar(tmp_path / "a.safetensors")
    assert made.config["window"] == read.config["window"] == "causal" and read.config["speech_prior"] is False
    assert TrainConfig.from_json(few.to_json()) == few
    old = {name: value for name, value in few.to_json().items() if name != "window"}  # a file of before
    assert TrainConfig.from_json(old).window == "centred"
    with pytest.raises(TalkingHeadsError, match="window must be one of centred, causal"):
        replace(few, window="future")
    with pytest.raises(TalkingHeadsError, match="can be made causal"):
        causal_variant(read, [encode_speech(load_sound(tiny_dataset / "aud.wav"))])
    with pytest.raises(FileFormatError):
        load_avatar(save_avatar(made.with_config(window="future"), tmp_path / "b.safetensors"))


def test_the_causal_variant_learns_the_avatars_own_codes(demo, speech, tmp_path):
    losses: list[float] = []
    made = causal_variant(demo, [speech], steps=40, report=lambda done, total, info, preview: losses.append(info["loss"]))
    again = causal_variant(demo, [speech], steps=40)
    assert losses[-1] < 0.7 * losses[0] and made.fingerprint == again.fingerprint != demo.fingerprint
    assert made.config["window"] == "causal" and demo.config.get("window", "centred") == "centred"
    assert torch.equal(made.face_net.a2am[0].weight, demo.face_net.a2am[0].weight)
    assert not torch.equal(made.mouth_net.audio_net.encoder_conv[0].weight, demo.mouth_net.audio_net.encoder_conv[0].weight)
    file = save_causal(made, demo, tmp_path / "nets.safetensors")
    assert file.stat().st_size < 600_000 and with_causal(demo, file).fingerprint == made.fingerprint
    assert torch.equal(with_causal(demo, file).drive(speech).codes, made.drive(speech).codes)
    with pytest.raises(FileFormatError, match="must be those of the avatar"):
        with_causal(made, file)


def test_the_causal_variant_of_an_avatar_with_a_gain_learns_codes_without_it(demo, speech):
    """It has the same gain afterwards: otherwise lips would be carried twice."""
    wide = demo.with_config(lip_gain=1.4)
    for own, plain in zip(_clip(wide, speech), _clip(demo, speech)):
        assert torch.equal(own, plain)
    assert not torch.equal(wide.drive(speech).codes, demo.drive(speech).codes)
    assert causal_variant(wide, [speech], steps=1).config["lip_gain"] == 1.4


def test_too_little_speech_is_refused(demo, speech):
    with pytest.raises(TalkingHeadsError, match="trained on at least one second of speech"):
        causal_variant(demo, [replace(speech, duration=0.5)])


def test_the_shipped_causal_nets_belong_to_the_shipped_avatar():
    avatar = load_avatar(ROOT / "weights" / "demo_avatar.safetensors")
    assert with_causal(avatar, ROOT / "weights" / "demo_avatar_causal.safetensors").config["window"] == "causal"
