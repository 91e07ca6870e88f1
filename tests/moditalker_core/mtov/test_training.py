"""The trainings of MToV: each stage learns, goes on to the same weights, stops within a step, and refuses what it cannot use."""
from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from motion_data import make_motion_dataset
from safetensors.torch import load_file
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.moditalker_core.mtov import objectives
from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder, load_mtov
from talking_heads.moditalker_core.mtov.run import MToVTraining
from talking_heads.moditalker_core.mtov.training import train_mtov, unfinished_path
from talking_heads.training_core import network_training
from talking_heads.training_core.state import strip
from video_data import DIFFUSION, GAN, LANDMARKS, RGB, StopAt, make_video_dataset

STAGES = {"rgb": RGB, "gan": GAN, "landmarks": LANDMARKS, "diffusion": DIFFUSION}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data")


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Path:
    """The same with a clip to validate on."""
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "data", (20, 12, 9), val=1)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> dict[str, Path]:
    """The file of every stage, of a few steps."""
    folder, files = tmp_path_factory.mktemp("mtov"), {}
    for stage, config in STAGES.items():
        files[stage], report = folder / f"{stage}.safetensors", StopAt()
        train_mtov(stage, data, files[stage], config, report=report, **given(stage, files))
        assert len(report.infos) == 5 and not report.pictures, "there are no clips to look at"
    return files


def given(stage: str, files: dict[str, Path]) -> dict[str, Path]:
    """The files that a stage begins with."""
    return {role: files[role] for role in {"rgb": (), "diffusion": ("rgb", "landmarks")}.get(stage, ("rgb",))}


def same(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_every_stage_leaves_a_file_that_says_how_it_was_made(made):
    for stage, role in (("rgb", "rgb"), ("gan", "rgb"), ("landmarks", "landmarks")):
        network, note = load_autoencoder(made[stage], role=role)
        assert network.config == RGB.autoencoder and note.training["stage"] == stage and note.training["steps"] == 5
        assert note.training["people"] == 2 and note.training["raster"] == {"size": 32, "radius": 1, "finer": 2}
        assert not unfinished_path(made[stage]).exists()
    mtov = load_mtov(made["diffusion"])
    assert mtov.config.prediction == "sample" and mtov.config.overlap == 1 and mtov.config.reference == "any"
    assert (mtov.config.margin, mtov.config.fps, mtov.config.calls) == (1.6, 25, 2) and mtov.config.raster.finer == 2
    assert torch.equal(mtov.rgb.patch_in.weight, load_autoencoder(made["rgb"])[0].patch_in.weight), "left as it was"
    assert not any(path.suffix == ".part" or "latents" in path.name for path in made["rgb"].parent.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_validation_leaves_the_training_as_it_is(held, made, tmp_path, stage):
    often, seldom = tmp_path / "often.safetensors", tmp_path / "seldom.safetensors"
    for path, val_every in ((often, 1), (seldom, 100)):
        train_mtov(stage, held, path, replace(STAGES[stage], val_every=val_every), **given(stage, made))
    assert same(often, seldom)


@pytest.mark.parametrize("stage, steps, changes, share", [
    ("rgb", 40, {"lr": 2e-2}, 0.5), ("landmarks", 40, {"lr": 2e-2}, 0.6),
    ("diffusion", 30, {"lr": 1e-2, "schedule": "cosine", "cache": 8}, 0.4),
    ("gan", 40, {"lr": 1e-2, "adversarial": 0.02, "judges_lr": 4e-3}, 0.8)])
def test_the_loss_falls(held, made, tmp_path, stage, steps, changes, share):
    report = StopAt()
    plain = {"mirror": 0.0, "colour": 0.0, "penalty": 0.0}
    config = replace(STAGES[stage], steps=steps, val_every=steps, save_every=steps, **plain, **changes)
    train_mtov(stage, held, tmp_path / "a.safetensors", config, report=report, **given(stage, made))
    losses = [info["loss"] for info in report.infos if "discriminators" not in info]
    assert np.mean(losses[-5:]) < share * losses[0]
    if stage == "gan":
        judged = [info["discriminators"] for info in report.infos if "discriminators" in info]
        assert len(judged) == 20 and np.mean(judged[-5:]) < 0.8 * judged[0], "the discriminators learn to tell"
    assert len(report.pictures) == 1 and report.pictures[0].dtype == np.uint8 and report.pictures[0].shape[1:] == (6 * 32, 3)
    assert report.shows[0].startswith("rows in turn: "), "the picture says what it shows"
    assert np.isfinite([report.infos[-1][name] for name in ("psnr", "mouth")]).all()


@pytest.mark.parametrize("stage, stops", [("rgb", (2, 4)), ("gan", (3,)), ("landmarks", (1,)), ("diffusion", (2, 5)),
                                          ("cached", (2,)), ("stills", (2,))])
def test_a_stopped_run_ends_with_the_same_weights(data, made, tmp_path, stage, stops):
    others = {"cached": replace(DIFFUSION, cache=5),
              "stills": replace(RGB, stills=3, still_steps=1, still_every=2, still_shift=0.1)}
    config = others.get(stage) or STAGES[stage]
    path, expected, kind = tmp_path / "again.safetensors", made.get(stage), config.stage
    if expected is None:
        expected = tmp_path / "whole.safetensors"
        train_mtov(kind, data, expected, config, **given(kind, made))
    for stop in stops:
        with pytest.raises(Cancelled):
            train_mtov(kind, data, path, config, report=StopAt(stop), **given(kind, made))
        assert not path.exists() and unfinished_path(path).exists(), "what was learnt is kept"
        assert path.with_suffix(".latents.safetensors").exists() == (stage == "cached")
    report = StopAt()
    train_mtov(kind, data, path, config, report=report, **given(kind, made))
    assert [info["done"] for info in report.infos] == [*range(stops[-1] + 1, 6)], "no step is done twice"
    assert same(expected, path) and not path.with_suffix(".latents.safetensors").exists()


def test_the_decoder_stays_in_the_landmark_stage(made):
    before, after = load_autoencoder(made["rgb"])[0].state_dict(), load_autoencoder(made["landmarks"])[0].state_dict()
    for name in before:
        equal = torch.equal(before[name], after[name])
        assert equal == name.startswith("decoder."), name


def test_the_first_weights_are_as_small_as_the_settings_say(data, tmp_path):
    with pytest.raises(Cancelled):
        train_mtov("rgb", data, tmp_path / "a.safetensors", replace(RGB, lr=1e-9), report=StopAt(1))
    state = load_file(unfinished_path(tmp_path / "a.safetensors"))
    assert float(state["autoencoder.pool.xy.positions"].std()) == pytest.approx(0.05, rel=0.3)


def test_the_warm_up_is_stepped(data, made, tmp_path):
    """The published one was built and never used (docs/moditalker.md#warm-up)."""
    report = StopAt()
    config = replace(DIFFUSION, warm_up=4, lr=1e-3)
    train_mtov("diffusion", data, tmp_path / "a.safetensors", config, report=report, **given("diffusion", made))
    assert [info["lr"] for info in report.infos] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])


def test_what_is_kept_are_the_averaged_weights(data, made, tmp_path):
    """An average every second step: the third step's weights are not in it yet."""
    path, averages = tmp_path / "a.safetensors", []
    config = replace(DIFFUSION, ema_every=2, save_every=1, ema_warm_up=False)
    for stop in (1, 2, 3):
        with pytest.raises(Cancelled):
            train_mtov("diffusion", data, path, config, report=StopAt(stop), **given("diffusion", made))
        state = load_file(unfinished_path(path))
        averages.append((state["average.out.bias"], state["denoiser.out.bias"]))
    (first, _), (second, moved), (third, last) = averages
    assert torch.equal(second, third) and not torch.equal(last, moved)
    assert torch.allclose(second, first.lerp(moved, 0.1), atol=1e-7)
    mtov = train_mtov("diffusion", data, path, config, **given("diffusion", made))
    assert not torch.equal(mtov.denoiser.out.bias, last) and not mtov.denoiser.training


@pytest.mark.parametrize("stage", ["rgb", "landmarks", "diffusion"])
def test_accumulated_pieces_equal_the_whole_batch(data, made, tmp_path, stage):
    grads = []
    for pieces in (1, 4):
        report = StopAt(1)
        config = replace(STAGES[stage], batch=4, accumulation=pieces, gradient_clip=None, latent_noise=0.1)
        with pytest.raises(Cancelled):
            train_mtov(stage, data, tmp_path / f"{pieces}.safetensors", config, report=report, **given(stage, made))
        state = load_file(unfinished_path(tmp_path / f"{pieces}.safetensors"))
        grads.append(({k: v for k, v in state.items() if k.endswith("exp_avg")}, report.infos[0]["loss"]))
    (whole, loss), (cut, other) = grads
    assert other == pytest.approx(loss, rel=1e-5) and whole.keys() == cut.keys() and whole
    for name in whole:  # after one step the moment is the gradient, but for a factor
        assert torch.allclose(whole[name], cut[name], rtol=1e-3, atol=1e-6 * float(whole[name].abs().max() + 1)), name


@pytest.mark.parametrize("stage, precision", [("rgb", "fp16"), ("gan", "bf16"), ("gan", "fp16"), ("diffusion", "bf16")])
def test_half_numbers_train(data, made, tmp_path, stage, precision):
    reports = [StopAt(3), StopAt(3)]
    for report, number in zip(reports, ("fp32", precision)):
        config = replace(STAGES[stage], precision=number, encoding=number)
        with pytest.raises(Cancelled):
            train_mtov(stage, data, tmp_path / f"{number}.safetensors", config, report=report, **given(stage, made))
    exact, half = ([info["loss"] for info in report.infos] for report in reports)
    assert half == pytest.approx(exact, rel=0.05) and half != exact
    state = load_file(unfinished_path(tmp_path / f"{precision}.safetensors"))
    assert all(v.dtype == torch.float32 for k, v in state.items() if k.endswith(("weight", "bias"))), "weights stay exact"
    finite = [np.isfinite(info["grad_norm"]) for info in reports[1].infos]
    assert all(finite) or precision == "fp16" and any(finite), "fp16 may have to find its scale"
    assert all(bool(torch.isfinite(value).all()) for value in state.values())


def test_a_gradient_that_fp16_cannot_hold_skips_the_step_and_lowers_the_scale(data, tmp_path, monkeypatch):
    path, config = tmp_path / "a.safetensors", replace(RGB, precision="fp16", save_every=1)
    real, calls = objectives.Reconstruction.losses, []

    def broken(objective, turn, step, indices):
        figures = real(objective, turn, step, indices)
        if figures.is_meta:  # the memory is being computed
            return figures
        calls.append(step)
        return figures * torch.where(torch.arange(len(figures)) == 0, 1e36 if len(calls) == 2 else 1.0, 1.0)

    monkeypatch.setattr(objectives.Reconstruction, "losses", broken)
    weights = []
    for stop in (1, 2, 3):
        with pytest.raises(Cancelled):
            train_mtov("rgb", data, path, config, report=StopAt(stop))
        weights.append(load_file(unfinished_path(path))["autoencoder.patch_in.weight"])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    monkeypatch.setattr(network_training, "SKIPPED", 1)
    monkeypatch.setattr(objectives.Reconstruction, "losses", lambda *given: 1e36 * real(*given))
    with pytest.raises(TalkingHeadsError, match="must stay finite.*step 5"):  # the fourth is skipped
        train_mtov("rgb", data, path, config)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(data, tmp_path, monkeypatch):
    path, real = tmp_path / "a.safetensors", objectives.Reconstruction.losses
    spoil = lambda objective, turn, step, indices: real(objective, turn, step, indices) * (float("nan") if step == 3 else 1)
    monkeypatch.setattr(objectives.Reconstruction, "losses", spoil)
    with pytest.raises(TalkingHeadsError, match="must stay finite.*step 4"):
        train_mtov("rgb", data, path, replace(RGB, save_every=100))
    monkeypatch.undo()
    state = load_file(unfinished_path(path))
    assert all(bool(torch.isfinite(v).all()) for v in state.values())
    report = StopAt()
    train_mtov("rgb", data, path, RGB, report=report)
    assert report.infos[0]["done"] == 4 and path.is_file()


@pytest.mark.parametrize("damage", [
    lambda m: {}, lambda m: dict(list(m.items())[1:]), lambda m: {k: v.flatten()[:0] for k, v in m.items()},
    lambda m: {k: v.to(torch.float64) for k, v in m.items()}, lambda m: {k: v * float("nan") for k, v in m.items()}])
def test_a_state_whose_moments_do_not_fit_says_so(data, tmp_path, damage):
    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_mtov("rgb", data, path, RGB, report=StopAt(2))
    state = unfinished_path(path)
    tensors, saved = load_tensors(state, kind=MToVTraining.kind, version=MToVTraining.version)
    moments = {k: v for k, v in tensors.items() if k.startswith("optimizer.")}
    kept = {k: v for k, v in tensors.items() if k not in moments}
    for told in (saved, {k: v for k, v in saved.items() if k != "moments"}):  # also where it is not said how many
        save_tensors(state, kept | damage(moments), kind=MToVTraining.kind, version=MToVTraining.version, config=told)
        with pytest.raises(FileFormatError, match="moments.*Start over"):
            train_mtov("rgb", data, path, RGB)
    save_tensors(state, tensors, kind=MToVTraining.kind, version=MToVTraining.version, config=saved | {"step": -1})
    with pytest.raises(FileFormatError, match="'step' in 0..5"):
        train_mtov("rgb", data, path, RGB)


@pytest.fixture(scope="module")
def unfinished(data, made, tmp_path_factory):
    """States after the second step in fp16, and after the third of networks with judges: (tensors, what is said) by stage."""
    states = {}
    for stage, step, config in (("rgb", 2, replace(RGB, precision="fp16")), ("gan", 3, GAN), ("diffusion", 1, DIFFUSION)):
        path = tmp_path_factory.mktemp("states") / f"{stage}.safetensors"
        with pytest.raises(Cancelled):
            train_mtov(stage, data, path, config, report=StopAt(step), **given(stage, made))
        states[stage] = *load_tensors(unfinished_path(path), kind=MToVTraining.kind, version=MToVTraining.version), config
    return states


def refused(stage, state, data, made, tmp_path, words, tensors=(), **said):
    """A state with other tensors, and saying other things (None: nothing of them), is told from a whole one."""
    whole, saved, config = state[stage]
    kept, told = ({k: v for k, v in (old | dict(new)).items() if v is not None} for old, new in ((whole, tensors), (saved, said)))
    path = tmp_path / "a.safetensors"
    save_tensors(unfinished_path(path), kept, kind=MToVTraining.kind, version=MToVTraining.version, config=told)
    with pytest.raises(FileFormatError, match=words):
        train_mtov(stage, data, path, config, **given(stage, made))


@pytest.mark.parametrize("stage", ["rgb", "gan", "diffusion"])
def test_a_state_of_an_earlier_version_is_refused(unfinished, data, made, tmp_path, stage):
    """Version 1 says nothing of its version beside the header, and `done` for `step`."""
    refused(stage, unfinished, data, made, tmp_path, "version of Talking Heads that began it.*earlier version.*start over",
            version=None, step=None, done=2)


@pytest.mark.parametrize("part", ["autoencoder", "judges"])
def test_states_need_the_moments_of_every_network_that_moved(unfinished, data, made, tmp_path, part):
    gone = {name: None for name in unfinished["gan"][0] if name.startswith(f"optimizer.{part}.")}
    assert gone
    refused("gan", unfinished, data, made, tmp_path, "moments.*Start over", gone, moments=None)


@pytest.mark.parametrize("change", [None, [], {}, {"scale": "much"}, {"scale": 0.0}, {"scale": -1.0}, {"growth_interval": None},
                                    {"_growth_tracker": 0.5}, {"_growth_tracker": 2 ** 40}, {"growth_factor": True}])
def test_a_state_that_garbles_the_scale_of_fp16_says_so(unfinished, data, made, tmp_path, change):
    scaler = unfinished["rgb"][1]["scaler"] | change if change else change
    refused("rgb", unfinished, data, made, tmp_path, "scales its gradients.*Start over", scaler=scaler)


@pytest.mark.parametrize("part", ["denoiser.", "average."])
@pytest.mark.parametrize("damage", [lambda v: v.to(torch.int32), lambda v: v.half(), lambda v: v * float("inf")])
def test_a_state_whose_weights_are_of_another_kind_says_so(unfinished, data, made, tmp_path, part, damage):
    name, value = next((k, v) for k, v in unfinished["diffusion"][0].items() if k.startswith(part) and v.dtype == torch.float32)
    refused("diffusion", unfinished, data, made, tmp_path, "all weights.*Start over", {name: damage(value)})


def test_the_log_has_every_line_once(held, tmp_path):
    path, config = tmp_path / "a.safetensors", replace(RGB, steps=4, val_every=2)
    with pytest.raises(Cancelled):
        train_mtov("rgb", held, path, config, report=StopAt(3))
    train_mtov("rgb", held, path, config)
    with (tmp_path / "a_log" / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["step"] for line in lines] == ["2", "2", "4", "4"]
    assert [bool(line["psnr"]) for line in lines] == [False, True, False, True]


def test_threads_that_read_ahead_change_nothing(data, made, tmp_path):
    train_mtov("rgb", data, tmp_path / "a.safetensors", replace(RGB, loaders=2))
    assert same(made["rgb"], tmp_path / "a.safetensors")


def test_latents_once_made_are_used_again(data, made, tmp_path, monkeypatch):
    from talking_heads.moditalker_core.mtov import latents

    kept, config, encoded, real = tmp_path / "kept.safetensors", replace(DIFFUSION, cache=6), [], latents.Encoder.encoded
    monkeypatch.setattr(latents.Encoder, "encoded", lambda *args: encoded.append(1) or real(*args))
    settings = {"latents": kept, **given("diffusion", made)}
    train_mtov("diffusion", data, tmp_path / "a.safetensors", config, **settings)
    assert kept.is_file() and len(encoded) == 6, "each window once"
    train_mtov("diffusion", data, tmp_path / "b.safetensors", replace(config, lr=1e-4), **settings)
    assert len(encoded) == 6
    train_mtov("diffusion", data, tmp_path / "c.safetensors", replace(config, lips=1.0), **settings)
    assert len(encoded) == 12, "others' latents are not taken"


@pytest.mark.parametrize("change", ["lr", "rgb", "dataset"])
def test_an_unfinished_run_of_others_is_not_continued(data, made, tmp_path, change):
    path, files = tmp_path / "a.safetensors", given("landmarks", made)
    with pytest.raises(Cancelled):
        train_mtov("landmarks", data, path, LANDMARKS, report=StopAt(2), **files)
    kept = unfinished_path(path).read_bytes()
    other = make_video_dataset(tmp_path / "other", seed=5) if change == "dataset" else data
    config = replace(LANDMARKS, lr=1e-4) if change == "lr" else LANDMARKS
    files = {"rgb": made["gan"]} if change == "rgb" else files
    with pytest.raises(TalkingHeadsError, match=f"another {change} in a.training"):
        train_mtov("landmarks", other, path, config, **files)
    assert unfinished_path(path).read_bytes() == kept, "nothing lost"
    train_mtov("landmarks", data, path, replace(LANDMARKS, save_every=1, checkpointing=True), **given("landmarks", made))
    assert same(path, made["landmarks"]), "activations computed twice are the same"


def test_what_does_not_fit_says_so(data, made, tmp_path):
    out = tmp_path / "out" / "a.safetensors"
    with pytest.raises(TalkingHeadsError, match="no file for rgb and landmarks"):
        train_mtov("diffusion", data, out, DIFFUSION)
    with pytest.raises(FileFormatError, match="must be one of landmarks"):
        train_mtov("diffusion", data, out, DIFFUSION, rgb=made["rgb"], landmarks=made["rgb"])
    with pytest.raises(TalkingHeadsError, match="settings of 'rgb' for 'gan'"):
        train_mtov("gan", data, out, RGB, rgb=made["rgb"])
    with pytest.raises(TalkingHeadsError, match="demo, standard, published"):
        train_mtov("rgb", data, out, "best")
    with pytest.raises(TalkingHeadsError, match="stage must be one of"):
        train_mtov("sound", data, out)
    with pytest.raises(TalkingHeadsError, match="must be square"):
        train_mtov("rgb", data, out, replace(RGB, autoencoder=replace(RGB.autoencoder, width=64)))
    with pytest.raises(TalkingHeadsError, match="must have 64 px"):
        train_mtov("rgb", data, out, replace(RGB, autoencoder=replace(RGB.autoencoder, width=64, height=64)))
    with pytest.raises(TalkingHeadsError, match="divide evenly"):
        train_mtov("rgb", data, out, replace(RGB, accumulation=4))
    blind = make_motion_dataset(tmp_path / "blind")
    with pytest.raises(TalkingHeadsError, match="--frames"):
        train_mtov("rgb", blind, out, RGB)
    assert not out.parent.exists()


@pytest.mark.parametrize("stage", ["rgb", "gan", "diffusion"])
def test_what_is_kept_early_is_what_the_state_of_that_step_holds_and_it_can_go_on(data, made, tmp_path, stage):
    cut, kept, config = tmp_path / "cut.safetensors", tmp_path / "kept.safetensors", STAGES[stage]
    with pytest.raises(Cancelled):
        train_mtov(stage, data, cut, config, report=StopAt(3), **given(stage, made))
    state, report = load_file(unfinished_path(cut)), StopAt()
    train_mtov(stage, data, kept, config, report=report, enough=lambda: len(report.infos) >= 3, **given(stage, made))
    name = "denoiser" if stage == "diffusion" else "autoencoder"
    found = {key.partition(".")[2]: value for key, value in load_file(kept).items() if key.startswith(f"{name}.")}
    expected = strip(state, f"{name}.") | strip(state, "average.")
    assert len(found) > 10 and found.keys() <= expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert same(unfinished_path(kept), unfinished_path(cut))
    train_mtov(stage, data, kept, config, **given(stage, made))
    assert same(made[stage], kept) and not unfinished_path(kept).exists()
