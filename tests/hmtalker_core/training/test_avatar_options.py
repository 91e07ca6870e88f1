"""Every option of table 4 in a whole training: it acts as its formula says, resumes to the bit, and stays in the file."""
from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.config import NEWER, TrainConfig, numbers_of, preset
from talking_heads.hmtalker_core.training.curriculum import draw_mask, draw_path
from talking_heads.hmtalker_core.training.objectives import face_loss
from talking_heads.hmtalker_core.training.prior import SHIPPED
from talking_heads.hmtalker_core.training.steps import AvatarTraining
from talking_heads.hmtalker_core.training.train_avatar import run_identity, train_avatar, unfinished_path
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES, LOWER_INDEX, ExpressionTrack
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import encode_speech
from voices import voice

OPTIONS = {"concat": {"fusion": "concat"}, "fixed": {"fusion": "fixed"}, "implicit": {"fusion": "implicit"},
           "explicit": {"fusion": "explicit"}, "blendshapes": {"cue": "blendshapes"}, "vector": {"cue": "vector"},
           "mcmc": {"densify": "mcmc"}, "residuals": {"pose_residuals": True},
           "all": {"fusion": "concat", "cue": "vector", "densify": "mcmc", "pose_residuals": True, "published_endings": True}}


@pytest.fixture(scope="module")
def data(tiny_dataset, tmp_path_factory):
    """The tiny dataset with blendshapes and a vector of seven numbers."""
    folder = tmp_path_factory.mktemp("cues") / "data"
    shutil.copytree(tiny_dataset, folder)
    random, frames = np.random.default_rng(1), len(AvatarDataset.open(folder))
    np.save(folder / "blendshapes.npy", random.uniform(0, 1, (frames, 52)))
    np.save(folder / "vector.npy", random.normal(2, 3, (frames, 7)))
    return folder


@pytest.fixture(scope="module")
def short(tiny_config):
    return replace(tiny_config, warmup_steps=1, fuse_steps=1, face=replace(tiny_config.face, steps=6, static=2, densify_from=1,
                   densify_every=2, max_points=1000), mouth=replace(tiny_config.mouth, steps=3, static=1, densify_from=1))


@pytest.mark.parametrize("kind", OPTIONS)
def test_it_stops_and_goes_on_to_the_bit_and_the_file_drives(data, short, tmp_path, kind):
    config = replace(short, **OPTIONS[kind])
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    train_avatar(data, once, preset=config)

    def stop(done, total, info, preview):
        if done in (6, 9):
            raise Cancelled

    for _ in range(2):
        with pytest.raises(Cancelled):
            train_avatar(data, twice, preset=config, report=stop)
    train_avatar(data, twice, preset=config)
    whole, parts = load_file(once), load_file(twice)
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)
    avatar = load_avatar(once)
    assert avatar.config["motion"]["fusion"] == config.fusion == avatar.face_net.fusion
    assert (avatar.config["motion"]["cue"], avatar.config["motion"]["width"]) == (
        config.cue, {"au": 10, "blendshapes": 30, "vector": 7}[config.cue])
    assert TrainConfig.from_json({k: v for k, v in avatar.config["training"].items() if k not in ("seed", "frames")}
                                 ).densify == config.densify
    motion = avatar.drive(encode_speech(voice(0.4)))
    rgb = torch.cat([rgb for rgb, _ in avatar.render(motion)])
    assert len(rgb) == 10 and bool(rgb.isfinite().all()) and bool(motion.codes.isfinite().all())


def test_mcmc_grows_where_it_is_asked_and_lifts_the_loss_by_its_regularisers(data, short):
    clip = open_clip(AvatarDataset.open(data), "mel", torch.device("cpu"), silent)
    runs = [AvatarTraining.fresh(clip, replace(short, warmup_steps=0, densify=kind), 0) for kind in ("grow", "mcmc")]
    before = runs[1].face.field
    expected = 0.01 * float(before.opacities.detach().mean() + before.scales.detach().mean())
    plain, lifted = (run.train_step()["loss"] for run in runs)
    assert lifted - plain == pytest.approx(expected, rel=1e-3)
    while runs[1].phase == 0:
        runs[1].train_step()
    for _ in range(6 - runs[1].at):
        runs[1].train_step()
    assert 700 < len(runs[1].face.field) <= 1000


def test_paths_and_masks_are_those_that_are_asked_for(data, short):
    generator = torch.Generator().manual_seed(0)
    assert {draw_path(generator, (0, 1, 0)) for _ in range(20)} == {"masked"}
    assert not draw_mask(32, generator, 1.0, 1.0).any() and draw_mask(32, generator, 0.0, 0.0).all()
    clip = open_clip(AvatarDataset.open(data), "mel", torch.device("cpu"), silent)
    dropped = replace(short, path_weights=(0, 1, 0), mask_ratio=(1.0, 1.0), lambda_align=0.0)
    training = AvatarTraining.fresh(clip, dropped, 0)
    torch.nn.init.normal_(training.face.net.deform.net[-1].weight, std=0.01)
    training.face.net.requires_grad_(True)
    loss = face_loss(training.face, clip, clip.view(3), 5, dropped, torch.Generator().manual_seed(1))[0]
    loss.backward()
    hears = [p.grad for p in training.face.net.audio_net.parameters()]
    assert all(g is None or not g.any() for g in hears), "a speech code that is dropped whole teaches the audio net nothing"


def test_lower_units_of_an_expression_move_nothing_where_the_cue_is_another(data, short, tmp_path):
    path = tmp_path / "a.safetensors"
    train_avatar(data, path, preset=replace(short, cue="vector"))
    avatar, speech = load_avatar(path), encode_speech(voice(0.4))
    lower = list(LOWER_INDEX)
    wide = torch.full((10, len(AU_NAMES)), torch.nan)
    wide[:, lower] = 4.0
    plain, asked = avatar.drive(speech), avatar.drive(speech, expression=ExpressionTrack(wide, 25.0))
    assert torch.equal(plain.codes, asked.codes) and not asked.au[:, lower].any()
    assert avatar.au_reliability is not None and not any(avatar.au_reliability[i] for i in lower)


def test_an_avatar_without_the_entry_renders_as_it_did(tiny_avatar_path, tmp_path):
    avatar = load_avatar(tiny_avatar_path)
    older = {name: value for name, value in avatar.config.items() if name != "motion"}
    avatar.config = older
    save_avatar(avatar, tmp_path / "old.safetensors")
    old, new = load_avatar(tmp_path / "old.safetensors"), load_avatar(tiny_avatar_path)
    speech = encode_speech(voice(0.4))
    frames = [torch.cat([rgb for rgb, _ in a.render(a.drive(speech))]) for a in (old, new)]
    assert "motion" not in old.config and torch.equal(*frames)


def test_the_prior_gives_another_cue_its_ears_alone(data, short):
    clip = open_clip(AvatarDataset.open(data), "mel", torch.device("cpu"), silent, "vector")
    plain, started = (AvatarTraining.fresh(clip, replace(short, cue="vector"), 0, prior) for prior in (None, (SHIPPED, "mel")))
    same = {name: torch.equal(a, b) for (name, a), b in zip(plain.face.net.state_dict().items(),
                                                            started.face.net.state_dict().values(), strict=True)}
    assert not same["audio_net.encoder_conv.0.weight"] and same["a2am.0.weight"]


def stopping(data, path, config):
    """A training stopped after four steps; its state."""
    def stop(done, total, info, preview):
        if done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_avatar(data, path, preset=config, report=stop)
    return unfinished_path(path).read_bytes()


ASKED = [{"fusion": "concat"}, {"cue": "vector"}, {"densify": "mcmc"}, {"pose_residuals": True}]


@pytest.mark.parametrize("options", ASKED, ids=lambda options: next(iter(options)))
def test_a_training_of_other_options_is_refused_by_name(data, short, tmp_path, options):
    """In either direction, and the state stays."""
    for number, (first, second) in enumerate([(short, replace(short, **options)), (replace(short, **options), short)]):
        path = tmp_path / f"{number}.safetensors"
        kept = stopping(data, path, first)
        with pytest.raises(TalkingHeadsError, match=rf"another .*{next(iter(options))}.* in .*resume off"):
            train_avatar(data, path, preset=second)
        assert unfinished_path(path).read_bytes() == kept


def test_a_training_begun_before_there_were_options_goes_on(data, short, tmp_path, monkeypatch):
    path, identity = tmp_path / "a.safetensors", TrainConfig.identity
    monkeypatch.setattr(TrainConfig, "identity", lambda own: {k: v for k, v in identity(own).items() if k not in NEWER})
    stopping(data, path, short)
    monkeypatch.undo()
    assert set(NEWER) <= set(run_identity(AvatarDataset.open(data), short, 0, "mel")["config"])
    with pytest.raises(TalkingHeadsError, match=r"another fusion in .*resume off"):
        train_avatar(data, path, preset=replace(short, fusion="fixed"))
    train_avatar(data, path, preset=short)
    assert path.is_file() and not unfinished_path(path).exists()


def test_a_dataset_without_the_cue_is_refused_before_the_first_step(tiny_dataset, short, tmp_path):
    for cue in ("blendshapes", "vector"):
        with pytest.raises(FileFormatError, match=f"(?s)cue '{cue}'.*choose cue 'au'"):
            train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=replace(short, cue=cue))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes, words", [
    ({"fusion": "sum"}, "fusion must be one of gate, concat, fixed, implicit, explicit"), ({"cue": "flame"}, "au, blendshapes"),
    ({"densify": "split"}, "grow, mcmc"), ({"path_weights": (0, 0, 0)}, "path ratio"), ({"path_weights": (1, 2)}, "path ratio"),
    ({"mask_ratio": (0.5, 0.2)}, "mask range"), ({"mask_ratio": (0.5, 1.2)}, "mask range")])
def test_settings_that_do_not_exist_are_refused(changes, words):
    with pytest.raises(TalkingHeadsError, match=words):
        replace(preset("demo"), **changes)


def test_caps_and_written_numbers():
    demo = preset("demo")
    capped = demo.with_cap(4000)
    assert (capped.face.max_points, capped.face.points) == (4000, 4000)
    assert (capped.mouth.max_points, capped.mouth.points) == (1000, 1000) and demo.with_cap(10000) == demo
    assert numbers_of("4:4:2", "The path ratio", 3) == demo.path_weights and numbers_of("0.1 : 0.3", "x", 2) == (0.1, 0.3)
    for text, count in (("4:4", 3), ("a:b:c", 3), ("", 2), ("0.1:nan", 2)):
        with pytest.raises(TalkingHeadsError, match="colons between them"):
            numbers_of(text, "The path ratio", count)
    with pytest.raises(TalkingHeadsError, match="from 100"):
        demo.with_cap(5)
