"""The trainer: it learns, resumes to the same weights, cancels within a step, and refuses what it cannot use."""
import shutil
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training import steps as steps_module
from talking_heads.hmtalker_core.training import train_avatar as avatar_training
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.config import TrainConfig, preset, presets
from talking_heads.hmtalker_core.training.curriculum import FrameOrder, choose_frame, face_rule, mouth_rule, nearest_in_window
from talking_heads.hmtalker_core.training.finish import build_avatar
from talking_heads.hmtalker_core.training.state import load_training
from talking_heads.hmtalker_core.training.train_avatar import train_avatar, unfinished_path
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import EncoderFacts, PlainEncoder


class StopAt:
    """A report that cancels at one step and counts what it was told."""

    def __init__(self, step=None):
        self.step, self.calls, self.pictures, self.phases, self.losses, self.shows = step, [], [], [], [], set()

    def __call__(self, done, total, info, preview):
        if info["phase"] == "compile":  # told once on a machine that has never drawn, beside the steps
            return
        if "loss" not in info and info["phase"] != "finish":  # between the frames of a validation
            return
        self.calls.append((done, total))
        self.phases.append(info["phase"])
        self.losses += [value for value in info.values() if isinstance(value, float)]
        if preview is not None:
            self.pictures.append(preview)
            self.shows.add(info.get("shows"))
        if done == self.step:
            raise Cancelled


def test_runs_report_every_step_and_show_pictures(tiny_dataset, tiny_config, tmp_path):
    report = StopAt()
    avatar = train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config, report=report)
    total = 4 + 14 + 8 + 4
    assert report.calls[:total] == [(i + 1, total) for i in range(total)]
    assert "finish" not in report.phases[:total] and set(report.phases[total:]) == {"finish"}
    assert sorted(set(report.phases), key=report.phases.index) == ["warmup", "face", "mouth", "fuse", "finish"]
    assert np.isfinite(report.losses).all(), "no figure shown is NaN, not at the end of a phase either"
    assert report.pictures and report.pictures[0].dtype == np.uint8
    assert report.shows == {"truth | avatar", "held-out | avatar | held-out | avatar"}
    assert avatar.config["quality"]["head_psnr"] > 5
    assert "never said" in avatar.config["credit"], "the data set's credit goes with the avatar"
    assert not unfinished_path(tmp_path / "a.safetensors").exists()


def test_the_compiler_is_announced_before_the_first_picture_and_can_be_stopped_there(tiny_dataset, tiny_config, tmp_path,
                                                                                    monkeypatch):
    asked = []
    monkeypatch.setattr(steps_module, "must_compile", lambda device, gradients: asked.append(gradients) or True)
    seen = []

    def report(done, total, info, preview):
        seen.append((done, info["phase"]))
        if info["phase"] == "compile":
            raise Cancelled

    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, path, preset=tiny_config, report=report)
    assert seen == [(i + 1, "warmup") for i in range(4)] + [(4, "compile")] and asked == [True]
    monkeypatch.undo()
    again = StopAt(5)
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, path, preset=tiny_config, report=again)
    assert again.calls == [(5, 30)], "it goes on where it was stopped"


def test_a_slow_encoder_tells_and_can_be_stopped(tiny_dataset, tiny_config, tmp_path):
    def slow(mono, report):
        report(1, 2, {}, None)
        raise AssertionError("it went on")

    def stop(done, total, info, preview):
        assert (done, total, info, preview) == (0, 30, {"phase": "speech"}, None)
        raise Cancelled

    facts = EncoderFacts("ears", dim=4, rate=50.0, window=2, silence=0.0, description="for this test")
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config, encoder=PlainEncoder(facts, slow), report=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stops", [(2,), (11,), (21, 24), (28,)])
def test_a_cancelled_run_ends_with_the_same_weights(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path, stops):
    path = tmp_path / "again.safetensors"
    for stop in stops:
        report = StopAt(stop)
        with pytest.raises(Cancelled):
            train_avatar(tiny_dataset, path, preset=tiny_config, report=report)
        assert report.calls[-1][0] == stop, "cancelled within the step"
        assert not path.exists() and unfinished_path(path).exists()
    train_avatar(tiny_dataset, path, preset=tiny_config)
    whole, resumed = load_file(tiny_avatar_path), load_file(path)
    assert whole.keys() == resumed.keys()
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_chance_comes_from_the_seed_alone(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train_avatar(tiny_dataset, tmp_path / "same.safetensors", preset=tiny_config)
    assert torch.equal(torch.get_rng_state(), before), "the caller's chance is left alone"
    train_avatar(tiny_dataset, tmp_path / "other.safetensors", preset=tiny_config, seed=1)
    first, same, other = (load_file(p) for p in (tiny_avatar_path, tmp_path / "same.safetensors", tmp_path / "other.safetensors"))
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert any(first[k].shape != other[k].shape or not torch.equal(first[k], other[k]) for k in first)


def test_other_threads_that_seed_and_draw_change_nothing(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    """As a second training in the process does, or anybody's code."""
    done = threading.Event()

    def restless():
        while not done.wait(0.001):
            torch.manual_seed(0)
            torch.nn.functional.dropout(torch.ones(50), 0.5, True)
            np.random.rand(3)

    other = threading.Thread(target=restless)
    with torch.random.fork_rng(devices=[]):
        other.start()
        try:
            train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config)
        finally:
            done.set()
            other.join()
    alone, beside = load_file(tiny_avatar_path), load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_an_unfinished_run_of_other_settings_is_not_continued(tiny_dataset, tiny_config, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, path, preset=tiny_config, report=StopAt(3))
    with pytest.raises(TalkingHeadsError, match="seed"):
        train_avatar(tiny_dataset, path, preset=tiny_config, seed=9)
    assert unfinished_path(path).exists(), "nothing lost"
    train_avatar(tiny_dataset, path, preset=tiny_config, seed=9, resume=False)
    assert path.exists()


def test_an_unfinished_run_of_other_tracks_or_features_is_named(tiny_dataset, tiny_config, tmp_path):
    from dataclasses import replace

    from talking_heads.hmtalker_core.training import train_avatar as avatar_training

    folder, path = tmp_path / "data", tmp_path / "a.safetensors"
    shutil.copytree(tiny_dataset, folder)
    with pytest.raises(Cancelled):
        train_avatar(folder, path, preset=tiny_config, report=StopAt(3))
    data = avatar_training.AvatarDataset.open(folder)
    clip = avatar_training.open_clip(data, "mel", torch.device("cpu"), avatar_training.silent)
    narrow, state = replace(clip, features=clip.features[:, :40]), unfinished_path(path)
    identity = avatar_training.run_identity(clip.dataset, tiny_config, 0, "another")
    with pytest.raises(TalkingHeadsError, match="another encoder"):
        avatar_training.load_training(state, narrow, tiny_config, 0,
                                      lambda saved: avatar_training.same_run(identity, saved, state))
    lines = (folder / "au.csv").read_text().splitlines()
    (folder / "au.csv").write_text("\n".join([lines[0], lines[1].replace(" 0.000", " 1.000"), *lines[2:]]))
    with pytest.raises(TalkingHeadsError, match="action units"):
        train_avatar(folder, path, preset=tiny_config)


def test_what_was_learnt_survives_a_disk_full_at_the_end(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path, monkeypatch):

    def full(avatar, path):
        raise TalkingHeadsError("The avatar file must fit", "no space", "Free some")

    path, steps = tmp_path / "a.safetensors", []
    with monkeypatch.context() as patch:
        patch.setattr(avatar_training, "save_avatar", full)
        with pytest.raises(TalkingHeadsError, match="no space"):
            train_avatar(tiny_dataset, path, preset=tiny_config)
    assert not path.exists() and unfinished_path(path).exists()
    train_avatar(tiny_dataset, path, preset=tiny_config, report=lambda done, total, info, preview: steps.append(info["phase"]))
    first, second = load_file(tiny_avatar_path), load_file(path)
    assert set(steps) == {"finish"}, "only the finishing is done again"
    assert all(torch.equal(first[name], second[name]) for name in first) and not unfinished_path(path).exists()


def test_motion_learns_something(tiny_dataset, tiny_config, tmp_path):
    """More steps bring the picture closer: the running loss of the face phase falls by a fifth."""
    from dataclasses import replace

    losses = []
    report = lambda done, total, info, preview: losses.append(info["loss"]) if info["phase"] == "face" else None
    longer = replace(tiny_config, face=replace(tiny_config.face, steps=60, static=20))
    train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=longer, report=report)
    losses = [x for x in losses if x == x]
    assert min(losses[-5:]) < 0.8 * losses[0]


@pytest.mark.parametrize("damage, words", [
    (lambda d: (d / "ori_imgs" / "7.lms").unlink(), "7"),
    (lambda d: (d / "parsing" / "3.png").unlink(), "3"),
    (lambda d: (d / "au.csv").write_text("\n".join((d / "au.csv").read_text().splitlines()[:-9])), "au.csv"),
    (lambda d: (d / "aud.wav").unlink(), "aud.wav"),
    (lambda d: save_wav(d / "aud.wav", Sound(np.zeros((1, 1600), np.float32), 16000)), "lasts 0.10 s"),
])
def test_broken_data_sets_say_what_is_wrong(tiny_dataset, tiny_config, tmp_path, damage, words):
    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset, folder)
    damage(folder)
    with pytest.raises(TalkingHeadsError, match=words):
        train_avatar(folder, tmp_path / "a.safetensors", preset=tiny_config)
    assert not (tmp_path / "a.safetensors").exists()


def test_a_split_without_training_frames_and_a_negative_seed_say_so(tiny_dataset, tiny_config, tmp_path):
    import json

    with pytest.raises(TalkingHeadsError, match="seed.*-1"):
        train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config, seed=-1)
    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset, folder)
    train, val = (json.loads((folder / f"transforms_{part}.json").read_text()) for part in ("train", "val"))
    val["frames"] += train["frames"]
    train["frames"] = []
    for part, table in (("train", train), ("val", val)):
        (folder / f"transforms_{part}.json").write_text(json.dumps(table))
    with pytest.raises(TalkingHeadsError, match="training frames"):
        train_avatar(folder, tmp_path / "a.safetensors", preset=tiny_config)


@pytest.mark.parametrize("every", [2, 1])
def test_frames_without_a_mouth_are_no_obstacle(tiny_dataset, tiny_config, tmp_path, every):
    from PIL import Image

    folder = tmp_path / "data"
    shutil.copytree(tiny_dataset, folder)
    for path in list((folder / "parsing").iterdir())[::every]:
        labels = np.array(Image.open(path))
        labels[(labels == 100).all(-1)] = (0, 0, 255)
        Image.fromarray(labels).save(path)
    for path in (folder / "teeth_mask").iterdir():
        np.save(path, np.zeros_like(np.load(path)))
    train_avatar(folder, tmp_path / "a.safetensors", preset=tiny_config)
    assert len(load_avatar(tmp_path / "a.safetensors").mouth) > 0


def test_presets_round_trip_and_scale():
    import json
    from dataclasses import replace

    for config in presets().values():
        assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert preset("demo").scaled(0.5).face.steps == presets()["demo"].face.steps // 2
    assert (preset("preview"), preset("paper")) == (preset("demo"), preset("published")), "their names before"
    assert all(config.scaled(1.0) == config for config in presets().values()), "nothing is added to a preset"
    dense = replace(preset("demo"), face=replace(preset("demo").face, densify_every=4))
    assert dense.scaled(1.0).face.densify_every == 4
    with pytest.raises(TalkingHeadsError, match="demo, standard, published"):
        preset("huge")
    with pytest.raises(TalkingHeadsError, match="above 0"):
        preset("demo").scaled(0)


def test_rounds_show_every_frame_once():
    order = FrameOrder(np.arange(10, 17), seed=1, stage=1)
    seen = [order(s) for s in range(21)]
    assert all(sorted(seen[i:i + 7]) == list(range(10, 17)) for i in (0, 7, 14)) and seen[:7] != seen[7:14]
    assert FrameOrder(np.arange(10, 17), seed=1, stage=1)(13) == seen[13]


def test_rules_always_find_a_frame():
    """The published loops never end where nobody blinks (docs/hmtalker.md#curriculum); here the nearest frame comes."""
    values = np.array([0.0, 0.1, 0.2])
    rng = np.random.default_rng(0)
    assert nearest_in_window(values, np.arange(3), 0.9, 1.2, rng) == 2
    order = FrameOrder(np.arange(3), seed=0, stage=1)
    never_blinks = face_rule(1000, 60, values, np.zeros(3), np.arange(3), every=15)
    assert all(choose_frame(order, never_blinks, s) in (0, 1, 2) for s in range(0, 1000, 15))
    always_shut = mouth_rule(1000, 60, np.zeros(3), np.arange(3))
    assert all(choose_frame(order, always_shut, s) in (0, 1, 2) for s in range(0, 1000, 7))


def test_published_endings_freeze_the_mouth(tiny_dataset, tiny_config, tmp_path, monkeypatch):
    """From 98 % of the mouth stage on only its colours learn; without the flag everything goes on."""
    from dataclasses import replace

    from talking_heads.hmtalker_core.training.steps import AvatarTraining

    seen = {}
    step = AvatarTraining.train_step

    def watching(run):
        out = step(run)
        if run.mouth is not None and run.phase == 2 and run.at in (10, 12):
            seen[run.at] = {k: v.clone() for k, v in run.mouth.field.state_dict().items()} | {
                "net": torch.cat([p.detach().flatten() for p in run.mouth.net.parameters()])}
        return out

    monkeypatch.setattr(AvatarTraining, "train_step", watching)
    mouth = replace(tiny_config.mouth, steps=13, densify_until=0.5)
    for endings in (True, False):
        config = replace(tiny_config, published_endings=endings, mouth=mouth)
        monkeypatch.setattr("talking_heads.hmtalker_core.training.steps.MOUTH_FROZEN", 0.7)
        train_avatar(tiny_dataset, tmp_path / f"{endings}.safetensors", preset=config)
        same = {name: torch.equal(seen[10][name], seen[12][name]) for name in seen[10]}
        assert not same["features_dc"]
        assert all(same[name] is endings for name in ("xyz", "opacity", "scaling", "rotation", "net")), same


def test_closing_fills_gaps_of_a_pixel():
    from talking_heads.hmtalker_core.training.objectives import closed

    mask = torch.zeros(9, 9, 1)
    mask[2:7, 2:7] = 1
    mask[4, 4] = 0
    out = closed(mask)
    assert out[4, 4] == 1 and out.sum() == 25 and torch.equal(closed(torch.zeros(9, 9, 1)), torch.zeros(9, 9, 1))


def test_uniform_rates_are_the_papers_literal_words(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    from dataclasses import replace

    train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=replace(tiny_config, uniform_lr=True))
    uniform, usual = load_file(tmp_path / "a.safetensors"), load_file(tiny_avatar_path)
    assert not torch.equal(uniform["face_net.encoder_xy.embeddings"], usual["face_net.encoder_xy.embeddings"])


def test_finishing_can_be_stopped_and_goes_on(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    path, steps = tmp_path / "a.safetensors", []

    def stop(done, total, info, preview):
        if info["phase"] == "finish":
            raise Cancelled

    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, path, preset=tiny_config, report=stop)
    assert not path.exists() and unfinished_path(path).exists()
    train_avatar(tiny_dataset, path, preset=tiny_config, report=lambda d, t, info, p: steps.append(info["phase"]))
    assert set(steps) == {"finish"}, "no step is trained again"
    whole, resumed = load_file(tiny_avatar_path), load_file(path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("stop", [2, 11, 21, 28])
def test_what_is_kept_early_is_the_avatar_of_that_step_and_it_can_go_on(tiny_dataset, tiny_config, tiny_avatar_path, tmp_path,
                                                                       stop):
    """Stopped in each of the four phases: the same file as an avatar built from the state that an interruption leaves."""
    cut, kept, report = tmp_path / "cut.safetensors", tmp_path / "kept.safetensors", StopAt()
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, cut, preset=tiny_config, report=StopAt(stop))
    train_avatar(tiny_dataset, kept, preset=tiny_config, report=report, enough=lambda: len(report.calls) >= stop)
    clip = open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)
    run = load_training(unfinished_path(cut), clip, tiny_config, 0, lambda saved: None)
    assert run.step == stop
    save_avatar(build_avatar(run), tmp_path / "built.safetensors")
    built, found = load_file(tmp_path / "built.safetensors"), load_file(kept)
    assert built.keys() == found.keys() and all(torch.equal(built[name], found[name]) for name in built)
    avatar = load_avatar(kept)
    assert avatar.config["training"]["stopped_at"] == stop and avatar.config["quality"]["frames"] > 0
    train_avatar(tiny_dataset, kept, preset=tiny_config)
    whole, resumed = load_file(tiny_avatar_path), load_file(kept)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole) and not unfinished_path(kept).exists()
