"""The trainer of AToM: it learns, goes on to the same weights, stops within a step, and refuses what it cannot use."""
from __future__ import annotations

import csv
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from motion_data import TINY, make_motion_dataset
from safetensors.torch import load_file
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.moditalker_core.atom import run as run_module
from talking_heads.moditalker_core.atom import training
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.config import octave_base
from talking_heads.moditalker_core.atom.run import AToMTraining
from talking_heads.moditalker_core.atom.training import train_atom, unfinished_path
from talking_heads.moditalker_core.atom.windows import Clips, Windows
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.training_core.process_group import SingleProcess
from talking_heads.training_core.state import strip


class StopAt:
    """A report that cancels at one step and counts what it was told."""

    def __init__(self, step=None):
        self.step, self.calls, self.infos, self.pictures, self.shows = step, [], [], [], []

    def __call__(self, done, total, info, preview):
        if "loss" in info:
            self.calls.append((done, total))
            self.infos.append({name: value for name, value in info.items() if name != "shows"})
        if preview is not None:
            self.pictures.append(preview)
            self.shows.append(info.get("shows"))
        if done == self.step:
            raise Cancelled


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_motion_dataset(tmp_path_factory.mktemp("motion") / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("atom") / "a.safetensors"
    train_atom(data, path, TINY)
    return path


def same(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def make_run(data: Path, config=TINY, seed: int = 0, group: SingleProcess | None = None) -> AToMTraining:
    opened = MotionDataset.open(data)
    config, speech = training.resolved(config, opened)
    clips = Clips(opened, "train", speech, config.denoiser.seq_len, torch.from_numpy(training._own_mean()))
    return AToMTraining(config, Windows(clips, config, seed), seed, torch.device("cpu"), group or SingleProcess())


def test_every_step_is_told_and_samples_are_shown(data, tmp_path):
    report, path = StopAt(), tmp_path / "a.safetensors"
    atom = train_atom(data, path, TINY, report=report, licence="mine")
    assert report.calls == [(i + 1, 6) for i in range(6)] and not unfinished_path(path).exists()
    assert all(np.isfinite(list(info.values())).all() for info in report.infos)
    assert all(info["loss"] == pytest.approx(info["reconstruction"] + info["velocity"]) for info in report.infos)
    assert [picture.shape[2] for picture in report.pictures] == [3, 3] and report.pictures[0].dtype == np.uint8
    assert report.shows == 2 * ["opening of the lips: truth grey, AToM red"], "each picture says what it shows"
    assert "lip_correlation" not in report.infos[2] and -1 <= report.infos[3]["lip_correlation"] <= 1
    again = load_atom(path)
    assert again.config == atom.config and again.config.licence == "mine" and again.config.reference == "any"
    assert again.config.speech.encoder == "mel" and again.config.denoiser.cond_feature_dim == 160
    assert again.config.training["steps"] == 6 and again.config.training["people"] == 4


def test_validation_leaves_the_training_as_it_is(data, trained, tmp_path):
    train_atom(data, tmp_path / "a.safetensors", replace(TINY, val_every=1))
    assert same(trained, tmp_path / "a.safetensors")


def test_what_is_kept_are_the_averaged_weights(data):
    run = make_run(data)
    before = {k: v.clone() for k, v in run.weights().items()}
    for _ in range(3):
        run.train_step()
    kept = run.averaged_network().state_dict()
    name = "audio_in.weight"
    assert torch.equal(kept[name], run.average.average[name])
    assert not torch.equal(kept[name], run.params[name]) and not torch.equal(kept[name], before[name])
    last = make_run(data, replace(TINY, ema=None))
    last.train_step()
    assert torch.equal(last.averaged_network().state_dict()[name], last.params[name])


def test_it_learns_to_move_the_mouth(data, tmp_path):
    """Lips of held clips follow their sound after a few seconds of training, and the loss falls to under a fifth."""
    report = StopAt()
    net = replace(TINY.denoiser, num_heads=4, rotary_base=octave_base(16, 2), residual=True, dropout=0.0)
    config = replace(TINY, denoiser=net, steps=70, batch=8, val_every=70, save_every=70, voice=0.0, mirror=0.0,
                     cond_drop=0.0, lr=1e-2)
    train_atom(data, tmp_path / "a.safetensors", config, report=report)
    losses = [info["loss"] for info in report.infos]
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:3])
    assert report.infos[-1]["lip_correlation"] > 0.85


@pytest.mark.parametrize("stops", [(2,), (4,), (3, 5), (6,)])
def test_a_stopped_run_ends_with_the_same_weights(data, trained, tmp_path, stops):
    path = tmp_path / "again.safetensors"
    for stop in stops:
        report = StopAt(stop)
        with pytest.raises(Cancelled):
            train_atom(data, path, TINY, report=report)
        assert report.calls[-1][0] in (stop, stop - 1), "stopped within the step"
        assert not path.exists() and unfinished_path(path).exists()
    train_atom(data, path, TINY)
    assert same(trained, path)


@pytest.mark.parametrize("optimizer", ["adan", "adamw"])
def test_a_killed_run_goes_on_from_what_was_saved(data, tmp_path, optimizer):
    """As after a power cut: steps after the last saving are done again, to the same weights."""
    config, path = replace(TINY, optimizer=optimizer, precision="bf16"), tmp_path / "a.training.safetensors"
    whole, cut = make_run(data, config), make_run(data, config)
    for _ in range(3):
        whole.train_step(), cut.train_step()
    cut.save(path, {})
    cut.train_step()
    cut = make_run(data, config, group=SingleProcess())
    cut.load(path, lambda came: None)
    assert cut.step == 3
    for _ in range(2):
        whole.train_step(), cut.train_step()
    assert all(torch.equal(whole.params[k], cut.params[k]) for k in whole.params)
    assert all(torch.equal(whole.average.average[k], cut.average.average[k]) for k in whole.params)


def test_chance_comes_from_the_seed_alone(data, trained, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train_atom(data, tmp_path / "same.safetensors", TINY)
    assert torch.equal(torch.get_rng_state(), before), "the caller's chance is left alone"
    train_atom(data, tmp_path / "other.safetensors", TINY, seed=1)
    assert same(trained, tmp_path / "same.safetensors") and not same(trained, tmp_path / "other.safetensors")


def test_accumulated_pieces_equal_the_whole_batch(data):
    """Also where windows are padded unevenly: each frame counts once, whichever piece it lies in."""
    still = replace(TINY, denoiser=replace(TINY.denoiser, dropout=0.0), batch=8, gradient_clip=None)
    whole, pieces = make_run(data, still), make_run(data, replace(still, accumulation=4))
    masks = whole.windows.batch(0, range(8)).mask.sum(1)
    assert masks.min() < masks.max(), "one of the windows is padded"
    figures = [run.train_step() for run in (whole, pieces)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)
    for name, p in whole.params.items():
        assert torch.allclose(p.grad, pieces.params[name].grad, rtol=1e-4, atol=1e-7), name


def test_padded_frames_teach_nothing(data, monkeypatch):
    run = make_run(data, replace(TINY, denoiser=replace(TINY.denoiser, dropout=0.0), batch=8))
    gradients = []
    for value in (0.0, 1e4):
        def spoilt(step, indices, batch=run.windows.batch, value=value):
            made = batch(step, indices)
            return replace(made, x0=torch.where(made.mask[..., None], made.x0, made.x0 + value))

        monkeypatch.setattr(run_module, "noised", lambda x0, times, noise: noise)  # what is seen is the same
        monkeypatch.setattr(run.windows, "batch", spoilt)
        run.network.zero_grad()
        run.gradients("network")
        monkeypatch.undo()
        gradients.append({k: p.grad.clone() for k, p in run.params.items()})
    assert not run.windows.batch(0, range(8)).mask.all()
    assert all(torch.equal(gradients[0][k], gradients[1][k]) for k in run.params)


def test_a_dropped_condition_teaches_the_null_tokens_alone(data):
    for share, name, other in ((1.0, "null_audio", "audio_in.weight"), (0.0, "audio_in.weight", "null_audio")):
        run = make_run(data, replace(TINY, cond_drop=share, steps=50))
        for _ in range(2):  # the first prediction is "no motion", whatever is heard
            run.train_step()
        assert float(run.params[name].grad.abs().max()) > 0 and float(run.params[other].grad.abs().max()) == 0


def test_the_warm_up_is_really_stepped(data, tmp_path):
    report = StopAt()
    train_atom(data, tmp_path / "a.safetensors", replace(TINY, schedule="constant", warm_up=4, lr=1e-3), report=report)
    assert [info["lr"] for info in report.infos] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3])


def test_the_log_has_every_line_once(data, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_atom(data, path, TINY, report=StopAt(5))
    train_atom(data, path, TINY)
    with (tmp_path / "a_log" / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["step"] for line in lines] == ["2", "4", "4", "6", "6"]
    assert all(float(line["loss"]) > 0 for line in lines if not line["lip_correlation"])
    pytest.importorskip("tensorboard")
    assert list((tmp_path / "a_log").glob("events.out.tfevents*")), "TensorBoard finds something to show"


@pytest.mark.parametrize("change", ["seed", "lr", "dataset"])
def test_an_unfinished_run_of_others_is_not_continued(data, tmp_path, change):
    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_atom(data, path, TINY, report=StopAt(2))
    kept = unfinished_path(path).read_bytes()
    other = make_motion_dataset(tmp_path / "other", seed=5) if change == "dataset" else data
    config, seed = replace(TINY, lr=1e-4) if change == "lr" else TINY, 3 if change == "seed" else 0
    with pytest.raises(TalkingHeadsError, match=f"another {change} in a.training"):
        train_atom(other, path, config, seed=seed)
    assert unfinished_path(path).read_bytes() == kept, "nothing lost"
    train_atom(data, path, replace(TINY, save_every=1, guidance=1.5))  # not a matter of what is learnt
    assert path.exists()


def test_a_broken_state_says_so_and_a_new_start_helps(data, trained, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_atom(data, path, TINY, report=StopAt(2))
    state = unfinished_path(path)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match="truncated"):
        train_atom(data, path, TINY)
    train_atom(data, path, TINY, resume=False)
    assert same(trained, path)


@pytest.mark.parametrize("part", ["network.", "average."])
def test_a_state_that_lacks_weights_says_so(data, tmp_path, part):
    run, path = make_run(data), tmp_path / "a.training.safetensors"
    run.save(path, {})
    tensors, saved = load_tensors(path, kind=AToMTraining.kind, version=AToMTraining.version)
    tensors.pop(next(name for name in tensors if name.startswith(part)))
    save_tensors(path, tensors, kind=AToMTraining.kind, version=AToMTraining.version, config=saved)
    with pytest.raises(FileFormatError, match="all weights"):
        make_run(data).load(path, lambda came: None)


@pytest.mark.parametrize("part", ["network.", "average."])
@pytest.mark.parametrize("damage", [lambda v: v.to(torch.int32), lambda v: v.double(), lambda v: v * float("nan")])
def test_a_state_whose_weights_are_of_another_kind_says_so(data, tmp_path, part, damage):
    run, path = make_run(data), tmp_path / "a.training.safetensors"
    run.save(path, {})
    tensors, saved = load_tensors(path, kind=AToMTraining.kind, version=AToMTraining.version)
    name = next(name for name in tensors if name.startswith(part))
    save_tensors(path, tensors | {name: damage(tensors[name])}, kind=AToMTraining.kind, version=AToMTraining.version,
                 config=saved)
    with pytest.raises(FileFormatError, match="all weights.*Start over"):
        make_run(data).load(path, lambda came: None)


@pytest.mark.parametrize("optimizer", ["adan", "adamw"])
@pytest.mark.parametrize("damage", [
    lambda m: {}, lambda m: dict(list(m.items())[1:]), lambda m: m | {"9999.step": torch.ones(())},
    lambda m: {k: v.flatten()[:0] for k, v in m.items()}, lambda m: {k: v.to(torch.float64) for k, v in m.items()},
    lambda m: {k: v * float("nan") for k, v in m.items()}, lambda m: {f"x{k}": v for k, v in m.items()}])
def test_a_state_whose_moments_do_not_fit_says_so(data, tmp_path, optimizer, damage):
    config = replace(TINY, optimizer=optimizer)
    run, path = make_run(data, config), tmp_path / "a.training.safetensors"
    run.train_step()
    run.save(path, {})
    tensors, saved = load_tensors(path, kind=AToMTraining.kind, version=AToMTraining.version)
    kept, moments = {k: v for k, v in tensors.items() if "optimizer." not in k}, strip(tensors, "optimizer.network.")
    for said in ({}, {"moments": saved.pop("moments")}):  # also where it is not said how many there are
        tensors = kept | {f"optimizer.network.{k}": v for k, v in damage(moments).items()}
        save_tensors(path, tensors, kind=AToMTraining.kind, version=AToMTraining.version, config=saved | said)
        with pytest.raises(FileFormatError, match="moments.*Start over"):
            make_run(data, config).load(path, lambda came: None)
        save_tensors(path, kept | {f"optimizer.network.{k}": v for k, v in moments.items()}, kind=AToMTraining.kind,
                     version=AToMTraining.version, config=saved | said)
        make_run(data, config).load(path, lambda came: None)


def test_a_state_of_an_earlier_version_is_refused_and_kept(data, tmp_path):
    """Version 1: `done`, and moments under `optimizer.<number>`."""
    run, path = make_run(data), tmp_path / "a.safetensors"
    run.train_step()
    run.save(unfinished_path(path), {})
    tensors, saved = load_tensors(unfinished_path(path), kind=AToMTraining.kind, version=AToMTraining.version)
    tensors = {name.replace("optimizer.network.", "optimizer."): value for name, value in tensors.items()}
    earlier = {"identity": saved["identity"], "done": saved["step"], "moments": saved["moments"]["network"]}
    save_tensors(unfinished_path(path), tensors, kind=AToMTraining.kind, version=1, config=earlier)
    kept = unfinished_path(path).read_bytes()
    with pytest.raises(FileFormatError, match="version of Talking Heads that began it.*earlier version.*Finish it with that"):
        train_atom(data, path, TINY)
    assert unfinished_path(path).read_bytes() == kept
    train_atom(data, path, TINY, resume=False)
    assert path.exists()


@pytest.mark.parametrize("done", [None, -1, 7, "2", True])
def test_a_state_that_does_not_say_how_far_it_is_is_refused(data, tmp_path, done):
    run, path = make_run(data), tmp_path / "a.training.safetensors"
    run.save(path, {})
    tensors, saved = load_tensors(path, kind=AToMTraining.kind, version=AToMTraining.version)
    save_tensors(path, tensors, kind=AToMTraining.kind, version=AToMTraining.version, config=saved | {"step": done})
    with pytest.raises(FileFormatError, match="'step' in 0..6"):
        make_run(data).load(path, lambda came: None)


def test_two_trainings_in_two_threads_end_as_alone(data, monkeypatch):
    """Both have seeded their dropout before either goes on, and a third thread seeds torch's own generator in between."""
    def trained(seed):
        run = make_run(data, seed=seed)
        for _ in range(2):
            run.train_step()
        return run.params

    alone = [trained(seed) for seed in (0, 1)]
    gate, real = threading.Barrier(2, timeout=60), run_module.noised

    def together(*args):
        gate.wait()
        torch.manual_seed(0)  # as other code in the process may
        gate.wait()
        return real(*args)
    monkeypatch.setattr(run_module, "noised", together)
    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(2) as pool:
        both = list(pool.map(trained, (0, 1)))
    for mine, other in zip(both, alone, strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_saving_that_fails_leaves_the_state_before(data, tmp_path, monkeypatch):
    run, path = make_run(data), tmp_path / "a.training.safetensors"
    run.train_step()
    run.save(path, {"who": 1})
    kept = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("talking_heads.media_core.files.save_file", full)
    with pytest.raises(TalkingHeadsError, match="no space"):
        run.save(path, {"who": 1})
    assert path.read_bytes() == kept and list(tmp_path.iterdir()) == [path]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(data, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    real = run_module.losses

    def broken(predicted, x0, mask, weights):
        count.append(1)
        return real(predicted * (float("nan") if len(count) > 4 else 1.0), x0, mask, weights)

    count = []
    monkeypatch.setattr(run_module, "losses", broken)
    with pytest.raises(TalkingHeadsError, match="must stay finite.*step 5"):
        train_atom(data, path, replace(TINY, save_every=100))
    monkeypatch.undo()
    run = make_run(data)
    run.load(unfinished_path(path), lambda came: None)
    assert run.step == 4 and all(bool(torch.isfinite(p).all()) for p in run.params.values())
    run.params["audio_in.bias"].data[0] = float("inf")
    with pytest.raises(TalkingHeadsError, match="weights .* finite"):
        run.save(unfinished_path(path), {})


def test_bf16_trains(data):
    exact, half = (make_run(data, replace(TINY, precision=precision)) for precision in ("fp32", "bf16"))
    losses = [[run.train_step()["loss"] for _ in range(3)] for run in (exact, half)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[1] != losses[0]
    assert all(p.dtype == torch.float32 for p in half.params.values()), "weights and moments stay exact"


@pytest.mark.parametrize("changes, words", [
    ({"encoder": "hubert-large-ls960-ft"}, "hubert-large-ls960-ft.*mel"),
    ({"batch": 6, "accumulation": 4}, "divide evenly"),
])
def test_settings_that_do_not_fit_say_so(data, tmp_path, changes, words):
    with pytest.raises(TalkingHeadsError, match=words):
        train_atom(data, tmp_path / "a.safetensors", replace(TINY, **changes))
    assert not list(tmp_path.iterdir())


def test_a_negative_seed_and_a_folder_that_is_none_say_so(data, tmp_path):
    with pytest.raises(TalkingHeadsError, match="seed"):
        train_atom(data, tmp_path / "a.safetensors", TINY, seed=-1)
    with pytest.raises(FileFormatError, match="motion dataset"):
        train_atom(tmp_path / "nothing", tmp_path / "a.safetensors", TINY)


def test_a_disk_full_at_the_end_loses_nothing(data, trained, tmp_path, monkeypatch):
    path, steps = tmp_path / "a.safetensors", []

    def full(atom, path, *, half):
        raise TalkingHeadsError("The file must fit", "no space", "Free some")

    with monkeypatch.context() as patch:
        patch.setattr("talking_heads.moditalker_core.atom.checkpoints.save_atom", full)
        with pytest.raises(TalkingHeadsError, match="no space"):
            train_atom(data, path, TINY)
    train_atom(data, path, TINY, report=lambda done, total, info, preview: steps.append(done))
    assert same(trained, path) and not steps and not unfinished_path(path).exists()


def test_fine_tuning_begins_with_the_weights_and_their_description(data, trained, tmp_path):
    before, out, config = load_atom(trained), tmp_path / "b.safetensors", replace(TINY, steps=1, lr=1e-9, ema=None, clip=9.0)
    other = replace(config, denoiser=replace(TINY.denoiser, latent_dim=32), stack=1, sampler_steps=7)
    after = train_atom(data, out, other, start_from=trained)
    assert after.config.denoiser == before.config.denoiser and after.config.speech == before.config.speech
    assert (after.config.clip, after.config.steps) == (before.config.clip, before.config.steps)
    assert after.config.training["begun with"] == before.config.training
    assert torch.equal(after.key_mean_shape, before.key_mean_shape)
    known = before.denoiser.state_dict()
    assert all(torch.allclose(value, known[name], atol=1e-5) for name, value in after.denoiser.state_dict().items())
    far = train_atom(data, tmp_path / "c.safetensors", replace(other, lr=1e-2, steps=3), start_from=trained)
    moved = far.denoiser.state_dict()
    assert any(not torch.allclose(moved[name], known[name], atol=1e-4) for name in known)


def test_fine_tuning_goes_on_to_the_same_weights_and_from_no_other(data, trained, tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train_atom(data, whole, TINY, start_from=trained)
    with pytest.raises(Cancelled):
        train_atom(data, parts, TINY, start_from=trained, report=StopAt(2))
    with pytest.raises(TalkingHeadsError, match="another weights in parts.training"):
        train_atom(data, parts, TINY, start_from=whole)
    train_atom(data, parts, TINY, start_from=trained)
    assert same(whole, parts)


def test_what_cannot_be_fine_tuned(data, trained, tmp_path):
    with pytest.raises(TalkingHeadsError, match="must not replace"):
        train_atom(data, trained, TINY, start_from=trained)
    with pytest.raises(TalkingHeadsError, match="their own mean face"):
        train_atom(data, tmp_path / "a.safetensors", TINY, start_from=trained, key_mean_shape=load_atom(trained).key_mean_shape)
    with pytest.raises(FileFormatError):
        train_atom(data, tmp_path / "a.safetensors", TINY, start_from=data / "index.json")
    assert not list(tmp_path.iterdir())


def test_a_training_in_more_pieces_learns_the_same(data, trained, tmp_path):
    """Dropout is drawn for a piece's first window and those after it: another cut draws another one, so there is none here."""
    calm = replace(TINY, denoiser=replace(TINY.denoiser, dropout=0.0), lr=1e-4, optimizer="adan", steps=2)
    whole, parts = (train_atom(data, tmp_path / f"{pieces}.safetensors", replace(calm, accumulation=pieces)).denoiser.state_dict()
                    for pieces in (1, 4))
    assert all(torch.allclose(whole[name], parts[name], rtol=1e-3, atol=1e-5) for name in whole)
    with pytest.raises(TalkingHeadsError, match="must fit into the 0.2 GB"):
        train_atom(data, tmp_path / "c.safetensors", calm, memory_gb=0.2)


@pytest.mark.parametrize("stop", [2, 5])
def test_what_is_kept_early_is_what_the_state_of_that_step_holds_and_it_can_go_on(data, trained, tmp_path, stop):
    cut, kept = tmp_path / "cut.safetensors", tmp_path / "kept.safetensors"
    with pytest.raises(Cancelled):
        train_atom(data, cut, TINY, report=StopAt(stop))
    state, report = load_file(unfinished_path(cut)), StopAt()
    atom = train_atom(data, kept, TINY, report=report, enough=lambda: len(report.calls) >= stop)
    assert report.calls[-1] == (stop, 6) and atom.config.training["stopped_at"] == stop
    found = load_atom(kept).denoiser.state_dict()
    expected = strip(state, "network.") | strip(state, "average.")
    assert expected.keys() <= found.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert same(unfinished_path(kept), unfinished_path(cut)), "the training can go on"
    train_atom(data, kept, TINY)
    assert same(trained, kept) and not unfinished_path(kept).exists()
    assert "stopped_at" not in load_atom(kept).config.training
