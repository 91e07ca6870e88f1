"""Several datasets in one training: drawn with their fractions, the same when resumed, refused where they do not fit."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from motion_data import TINY, make_motion_dataset
from safetensors.torch import load_file
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.mouth import lip_aperture, resting_face
from talking_heads.moditalker_core.atom.checkpoints import load_atom, save_atom
from talking_heads.moditalker_core.atom.config import SpeechInput
from talking_heads.moditalker_core.atom.lip_training import TUNED
from talking_heads.moditalker_core.atom.mix import Mix, Share
from talking_heads.moditalker_core.atom.start import chosen
from talking_heads.moditalker_core.atom.train_config import gentler, preset
from talking_heads.moditalker_core.atom.training import train_atom, unfinished_path
from talking_heads.moditalker_core.atom.windows import Clips, Windows
from talking_heads.moditalker_core.data.dataset import INDEX, MotionDataset

SPEECH = SpeechInput("mel", "last", 80.0, 80, 2)
SHORT = replace(TINY, steps=4, save_every=2, val_every=4)


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    return make_motion_dataset(tmp_path_factory.mktemp("mix") / "mine", (30, 25, 20))


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    return make_motion_dataset(tmp_path_factory.mktemp("mix") / "other", (60, 40, 20), seed=3)


@pytest.fixture(scope="module")
def begun(mine, tmp_path_factory) -> Path:
    """Weights to start from; they are shown the mean face."""
    folder = tmp_path_factory.mktemp("begun")
    atom = train_atom(mine, folder / "plain.safetensors", SHORT)
    atom.config = replace(atom.config, shown="mean")
    return save_atom(atom, folder / "start.safetensors")


def clips(folder: Path) -> Clips:
    return Clips(MotionDataset.open(folder), "train", SPEECH, 8, torch.from_numpy(mean_face()))


def changed_index(source: Path, folder: Path, **changes) -> Path:
    """The same dataset, whose index says something else."""
    folder.mkdir()
    (folder / "shards").symlink_to(source / "shards")
    (folder / INDEX).write_text(json.dumps({**json.loads((source / INDEX).read_text("utf8")), **changes}), "utf8")
    return folder


def test_each_dataset_gives_its_fraction_of_the_windows(mine, other):
    parts = [clips(mine), clips(other)]
    windows = Windows(Mix(parts, [.7, .3]), replace(TINY, batch=4), 0)
    drawn = np.array([windows.sample(step, index).clip for step in range(500) for index in range(4)])
    assert np.mean(drawn >= len(parts[0])) == pytest.approx(.3, abs=.03)
    first = drawn[drawn < len(parts[0])]
    assert np.bincount(first) / len(first) == pytest.approx(parts[0].lengths / parts[0].lengths.sum(), abs=.04)
    mix = windows.clips
    assert torch.equal(mix[len(parts[0])].motion, parts[1][0].motion) and len(mix) == 4
    batch = windows.batch(1, range(4))
    assert all(torch.equal(a, b) for a, b in zip(vars(batch).values(), vars(windows.batch(1, range(4))).values()))


def test_one_dataset_is_drawn_as_before(mine):
    alone = Windows(clips(mine), TINY, 5)
    random = np.random.default_rng([5, 2, 1])
    ends = np.cumsum(alone.clips.lengths)
    assert alone.sample(2, 1).clip == int(np.searchsorted(ends, random.integers(ends[-1]), side="right"))


@pytest.mark.parametrize("text, folder, fraction", [
    ("a/b@0.3", "a/b", .3), ("a/b", "a/b", .5), ("a@b/c", "a@b/c", .5), ("a@b/c@.25", "a@b/c", .25)])
def test_a_share_as_text(text, folder, fraction):
    assert Share.read(text) == Share(folder, fraction)


def test_a_resumed_mixture_ends_with_the_same_weights(mine, other, tmp_path):
    def stop(done, total, info, preview):
        if done == 3:
            raise Cancelled

    whole, again = tmp_path / "whole.safetensors", tmp_path / "again.safetensors"
    mix = [Share(other, .4)]
    atom = train_atom(mine, whole, SHORT, mix=mix)
    with pytest.raises(Cancelled):
        train_atom(mine, again, SHORT, mix=mix, report=stop)
    for others in ([], [Share(other, .3)], [Share(mine, .4)]):
        with pytest.raises(TalkingHeadsError, match="another mix in again.training"):
            train_atom(mine, again, SHORT, mix=others)
    train_atom(mine, again, SHORT, mix=mix)
    assert not unfinished_path(again).exists()
    assert all(torch.equal(value, load_file(again)[name]) for name, value in load_file(whole).items())
    record = atom.config.training
    assert record["clips"] == 3 and record["mix"] == [{"fraction": .4, "clips": 3, "seconds": 4.8, "people": 3}]
    alone = train_atom(mine, tmp_path / "alone.safetensors", SHORT)
    assert "mix" not in alone.config.training
    assert not torch.equal(alone.denoiser.state_dict()["audio_in.weight"], load_file(whole)["denoiser.audio_in.weight"])


@pytest.mark.parametrize("fractions", [(0.0,), (1.0,), (.6, .4), (-.1,), (float("nan"),)])
def test_fractions_that_leave_nothing(mine, other, tmp_path, fractions):
    with pytest.raises(TalkingHeadsError, match="above 0 and below 1 together"):
        train_atom(mine, tmp_path / "a.safetensors", SHORT, mix=[Share(other, f) for f in fractions])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes, words", [
    ({"speech": {"encoder": "wav2vec2-base", "layer": "last", "rate": 50.0, "dim": 80}}, "'mel'.*wav2vec2-base"),
    ({"fps": 30.0}, "25 frames per second.*30 in "), ({"tracker": "people"}, "'rendered'.*'people'.*finetune")])
def test_datasets_that_do_not_fit_are_refused_with_both_names(mine, other, tmp_path, changes, words):
    if "fps" in changes:
        rows = json.loads((other / INDEX).read_text("utf8"))["clips"]
        changes["clips"] = [{**row, "seconds": row["frames"] / 30} for row in rows]
    foreign = changed_index(other, tmp_path / "foreign", **changes)
    with pytest.raises(TalkingHeadsError, match=words):
        train_atom(mine, tmp_path / "a.safetensors", SHORT, mix=[Share(foreign)])


def test_motion_from_the_face_at_rest(mine):
    """The network is shown the mean face; what it learns is the motion from the person's own face with its mouth closed."""
    windows = Windows(clips(mine), replace(TINY, neutral=1.0, mirror=0.0, voice=0.0), 0)
    sample, batch = windows.sample(0, 0), windows.batch(0, [0])
    data = MotionDataset.open(mine)
    points = data.landmarks(data.indices("train")[sample.clip]).points
    rest = resting_face(points)
    length = int(batch.mask.sum())
    wanted = 10 * (points[sample.start:sample.start + length] - rest).flatten(1)
    assert torch.allclose(batch.x0[0, :length], wanted, atol=1e-5) and not batch.face.any()
    assert float(lip_aperture(rest)) <= float(lip_aperture(points).min()) + 1e-6


def test_the_preset_starts_from_the_demo_weights():
    config, start = chosen("finetune", None)
    assert Path(start).name == "demo_atom.safetensors" and 50 <= config.steps <= 100 and config == preset("finetune")
    assert chosen("finetune", "mine") == (config, "mine")
    assert chosen("demo", "mine") == (gentler(preset("demo")), "mine") and chosen("demo", None) == (preset("demo"), None)


def test_some_of_the_starting_weights_are_kept(mine, begun, tmp_path):
    name = "denoiser.audio_in.weight"
    tuned = {}
    for kept in (0.0, .5):
        out = tmp_path / f"{kept}.safetensors"
        train_atom(mine, out, replace(SHORT, keep_start=kept, ema=None), start_from=begun)
        tuned[kept] = load_file(out)[name]
    start = load_file(begun)[name]
    assert not torch.equal(tuned[0.0], start) and torch.allclose(tuned[.5], (tuned[0.0] + start) / 2, atol=1e-6)
    with pytest.raises(TalkingHeadsError, match="none to start from"):
        train_atom(mine, tmp_path / "none.safetensors", replace(SHORT, keep_start=.5))


def test_fine_tuning_measures_from_rest_only_for_weights_that_are_shown_the_mean_face(mine, other, begun, tmp_path):
    """There what trackers differ by cancels, so they may be mixed."""
    people = changed_index(other, tmp_path / "people", tracker="people")
    gentle = replace(SHORT, neutral=1.0, keep_start=.4)
    atom = train_atom(mine, tmp_path / "a.safetensors", gentle, start_from=begun, mix=[Share(people)])
    assert atom.config.shown == "mean" and load_atom(tmp_path / "a.safetensors").config.training["begun with"]
    plain = begun.with_name("plain.safetensors")
    with pytest.raises(TalkingHeadsError, match="measured by the tracker"):
        train_atom(mine, tmp_path / "b.safetensors", gentle, start_from=plain, mix=[Share(people)])


def test_the_lip_network_is_tuned_too(mine, other, begun, tmp_path):
    """On the same mixture: its last layer, without what it says of closures. Weights without one get none from two minutes of
    video."""
    start, out = tmp_path / "start.safetensors", tmp_path / "tuned.safetensors"
    before = train_atom(mine, start, replace(SHORT, lips=1.0)).lips
    lips = train_atom(mine, out, replace(SHORT, lips=1.0, keep_start=.5), start_from=start, mix=[Share(other)]).lips
    assert all(parameter.requires_grad for parameter in lips.parameters())
    for name, value in before.state_dict().items():
        if name.startswith("leave"):
            old, new = (v.unflatten(0, (before.config.members, -1)) for v in (value, lips.state_dict()[name]))
            assert torch.equal(old[:, -1], new[:, -1]) and not torch.equal(old[:, :-1], new[:, :-1]), name
        else:
            assert torch.equal(value, lips.state_dict()[name]), name
    assert (before.config.weight, lips.config.weight) == (.2, TUNED) and lips.config.spread == before.config.spread
    again = load_atom(out)
    assert torch.equal(again.lips.leave.weight, lips.leave.weight) and again.config.lips == lips.config
    rest = [train_atom(mine, tmp_path / f"{kept}.safetensors", replace(SHORT, lips=1.0, keep_start=kept), start_from=start,
                       mix=[Share(other)]).lips.leave.bias[:-1] for kept in (.5, .75)]
    old, size = before.leave.bias[:-1], before.config.shapes
    assert torch.allclose((rest[0] - old)[:size], 2 * (rest[1] - old)[:size], atol=1e-5), "the more is kept, the less has moved"
    without = train_atom(mine, tmp_path / "none.safetensors", replace(SHORT, lips=1.0, keep_start=.4), start_from=begun)
    assert without.lips is None
