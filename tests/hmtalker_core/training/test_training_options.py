"""What an avatar's training may do beside the presets: precision, gradient clip, log and validation, a number of steps."""
from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.training import finish
from talking_heads.hmtalker_core.training.config import TrainConfig, preset, presets
from talking_heads.hmtalker_core.training.finish import motion_of_frames, shut_lips
from talking_heads.hmtalker_core.training.steps import COLUMNS, AvatarTraining
from talking_heads.hmtalker_core.training.train_avatar import AvatarDataset, open_clip, train_avatar
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES, LOWER_AUS
from talking_heads.media_core.progress import silent


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    return open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)


def test_lips_rest_as_the_person_shuts_them(clip):
    """The units of the training frames that part the lips least, with no parting; of another cue its numbers in these frames."""
    train, parted, pressed = [int(i) for i in clip.dataset.train_index], AU_NAMES.index("AU25"), AU_NAMES.index("AU17")
    au = torch.full_like(clip.au, 2.0)
    shut = train[3:9]
    au[shut, parted], au[shut, pressed] = 0.1, 0.8
    known = replace(clip, au=au, au_known=(True,) * 17)
    rest = shut_lips(known)
    assert rest[LOWER_AUS.index("AU25")] == 0 and rest[LOWER_AUS.index("AU17")] == pytest.approx(0.8)
    assert rest[LOWER_AUS.index("AU12")] == 2
    cue = torch.arange(len(au)).float()[:, None].expand(-1, 3)
    assert shut_lips(replace(known, cue=cue)) == [float(sorted(shut)[2])] * 3  # the middle one of the five that come first
    assert shut_lips(replace(known, au_known=tuple(name != "AU25" for name in AU_NAMES))) is None


@pytest.mark.parametrize("said, wanted", [(0.8, 1.25), (1.6, 1.0), (0.2, 1.5)])
def test_lips_that_speech_moves_less_than_the_video_are_carried_farther(clip, tiny_avatar, monkeypatch, said, wanted):
    """Speech whose codes spread `said` times as far as those of the measured units; at most by half."""
    known = replace(clip, au=torch.rand(clip.au.shape, generator=torch.Generator().manual_seed(0)) * 3, au_known=(True,) * 17)
    enacted = motion_of_frames

    def muttered(avatar, clip, frames):
        index = torch.tensor(frames)
        codes = avatar.face_net.codes(clip.windows(index), clip.explicit[index], "vanilla")["c_fused"].detach()
        return replace(enacted(avatar, clip, frames), codes=codes.mean(0) + said * (codes - codes.mean(0)))

    monkeypatch.setattr(finish, "motion_of_frames", muttered)
    assert finish.lip_gain(tiny_avatar, known) == pytest.approx(wanted, abs=2e-3)
    unknown = tuple(name not in ("AU25", "AU26") for name in AU_NAMES)
    assert finish.lip_gain(tiny_avatar, replace(known, au_known=unknown)) == 1.0
    assert finish.lip_gain(tiny_avatar, replace(known, au=torch.ones_like(known.au))) == 1.0, "nothing moves"


def test_an_avatar_says_how_far_its_lips_are_carried(tiny_avatar, clip):
    """The entry of the file; the reading it comes from does not depend on it."""
    gain = tiny_avatar.config["lip_gain"]
    assert 1 <= gain <= finish.MOST_GAIN and tiny_avatar.lip_gain == gain
    assert finish.lip_gain(tiny_avatar.with_config(lip_gain=3.0), clip) == finish.lip_gain(tiny_avatar, clip)
    frames = [int(i) for i in clip.dataset.train_index[:8]]
    loose = replace(clip, gate=None)
    one, three = (motion_of_frames(tiny_avatar.with_config(lip_gain=g), loose, frames).codes for g in (1.0, 3.0))
    rest = tiny_avatar.calm(clip.silence)[0]
    torch.testing.assert_close(three, rest + 3 * (one - rest), atol=1e-5, rtol=1e-4)


def test_re_enacted_lips_rest_where_nobody_speaks(clip, tiny_avatar):
    frames = [int(i) for i in clip.dataset.train_index[:8]]
    everywhere = lambda gate: replace(clip, gate=torch.full((len(clip.features),), gate, dtype=torch.float64))
    free, shut, half = (motion_of_frames(tiny_avatar, everywhere(gate), frames) for gate in (0.0, 1.0, 0.5))
    *calm, _ = tiny_avatar.at_rest(clip.silence, torch.full((1, 17), torch.nan), 1)
    for name, rest in (("codes", calm[0]), ("mouth_codes", calm[1])):
        loose, still, between = (getattr(motion, name) for motion in (free, shut, half))
        torch.testing.assert_close(still, rest.expand_as(still))
        assert float((loose - rest).abs().max()) > 1e-4
        torch.testing.assert_close(between, (loose + still) / 2)


def trained(clip, config, steps):
    training = AvatarTraining.fresh(clip, config, 0)
    return training, [training.train_step() for _ in range(steps)]


def test_bf16_trains_the_motion_nets_and_keeps_the_weights_exact(clip, tiny_config):
    (_, exact), (half, rounded) = (trained(clip, replace(tiny_config, precision=precision), 24) for precision in ("fp32", "bf16"))
    losses = [[figures["loss"] for figures in found] for found in (exact, rounded)]
    assert losses[1] == pytest.approx(losses[0], rel=0.1) and losses[1] != losses[0]
    parameters = [*half.face.field.parameters(), *half.face.net.parameters(), *half.mouth.net.parameters()]
    assert all(p.dtype == torch.float32 for p in parameters)


def test_a_clipped_gradient_is_logged_as_it_was_and_moves_as_it_is_told(clip, tiny_config):
    free, clipped = (AvatarTraining.fresh(clip, replace(tiny_config, warmup_steps=0, gradient_clip=most), 0)
                     for most in (None, 1e-3))
    before, after = free.train_step(), clipped.train_step()
    assert before == after and before["grad_norm"] > 1e-3
    norms = [torch.stack([p.grad.norm() for p in run.face.field.parameters() if p.grad is not None]).norm()
             for run in (free, clipped)]
    assert float(norms[0]) == pytest.approx(before["grad_norm"], rel=1e-4) and float(norms[1]) == pytest.approx(1e-3, rel=1e-2)


def test_the_log_has_every_line_once_and_what_validation_found(tiny_dataset, tiny_config, tmp_path):
    config, told, pictures = replace(tiny_config, log_every=5, val_every=10), [], []

    def report(done, total, info, preview):
        if "loss" in info:
            told.append((done, info.get("val_psnr")))
        if preview is not None and str(info.get("shows", "")).startswith("held-out"):
            pictures.append(preview)
        if done == 17 and len(told) == 17:
            raise Cancelled

    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, path, preset=config, report=report)
    train_avatar(tiny_dataset, path, preset=config, report=report)
    with (tmp_path / "a_log" / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["step", *COLUMNS]
    kept = [line["step"] for line in lines if line["loss"]]
    assert kept == sorted(set(kept), key=int) and kept[-1] == "30"
    assert {line["phase"] for line in lines if line["loss"]} == {"warmup", "face", "mouth", "fuse"}
    found = [(line["step"], float(line["val_psnr"])) for line in lines if line["val_psnr"]]
    assert [step for step, _ in found] == ["10", "20", "30"] and all(5 < value < 60 for _, value in found)
    assert [value for done, value in told if done < 10] == [None] * 9 and told[-1][1] is not None
    assert len(pictures) == 3 and pictures[0].shape[1] == 4 * 64 and pictures[0].dtype == np.uint8
    pytest.importorskip("tensorboard")
    assert list((tmp_path / "a_log").glob("events.out.tfevents*")), "TensorBoard finds something to show"


def test_validation_leaves_the_training_as_it_is(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    path = tmp_path / "a.safetensors"
    train_avatar(tiny_dataset, path, preset=replace(tiny_config, val_every=1))
    often, seldom = load_file(path), load_file(tiny_avatar_path)
    assert often.keys() == seldom.keys() and all(torch.equal(often[k], seldom[k]) for k in often)


@pytest.mark.parametrize("name", ["demo", "standard", "published"])
@pytest.mark.parametrize("steps", [4, 100, 5003, 250_000])
def test_a_number_of_steps_is_kept_to_the_step(name, steps):
    config = preset(name).with_steps(steps)
    assert config.steps == steps and config.fuse_steps >= 1 and config.mouth.steps >= 1
    whole = presets()[name]
    assert config.face.steps == pytest.approx(whole.face.steps * steps / whole.steps, abs=3)
    assert whole.with_steps(whole.steps) == whole


def test_so_is_a_number_of_steps_of_settings_of_ones_own(tiny_config):
    """Whatever the proportions, few steps too: each phase keeps one, the longest ones give."""
    even = replace(tiny_config, warmup_steps=10, fuse_steps=3, face=replace(tiny_config.face, steps=10),
                   mouth=replace(tiny_config.mouth, steps=10))
    long_warmup = replace(even, warmup_steps=10_000, face=replace(even.face, steps=1), mouth=replace(even.mouth, steps=1))
    for config in (even, long_warmup, tiny_config):
        for steps in range(4, 60):
            made = config.with_steps(steps)
            assert made.steps == steps and min(made.warmup_steps, made.face.steps, made.mouth.steps, made.fuse_steps) >= 1
    with pytest.raises(TalkingHeadsError, match="at most 1000 times the preset's 33"):
        even.with_steps(33_001)


def test_settings_that_make_no_sense_are_refused():
    for changes, words in (({"batch": 0}, "above 0"), ({"val_every": 2.5}, "whole numbers"),
                           ({"precision": "fp16"}, "fp32, bf16"),
                           ({"gradient_clip": 0.0}, "gradient_clip")):
        with pytest.raises(TalkingHeadsError, match=words):
            replace(preset("demo"), **changes)
    for steps in (0, 3, 2.5):
        with pytest.raises(TalkingHeadsError, match="at least 4"):
            preset("demo").with_steps(steps)


def test_a_description_of_before_is_read():
    record = preset("demo").to_json()
    record["checkpoint_every"] = record.pop("save_every")
    for name in ("batch", "precision", "gradient_clip", "val_every", "log_every"):
        record.pop(name)
    assert TrainConfig.from_json(record) == preset("demo")
