"""The state of an unfinished avatar: what is not finite never gets into it, and what does not fit is refused."""
from dataclasses import replace

import pytest
import torch
from talking_heads.hmtalker_core.training import prior
from talking_heads.hmtalker_core.training import steps as steps_module
from talking_heads.hmtalker_core.training import train_avatar as avatar_training
from talking_heads.hmtalker_core.training.state import KIND, VERSION, load_training
from talking_heads.hmtalker_core.training.train_avatar import train_avatar, unfinished_path
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors

STARTS = {"warmup": 0, "face": 4, "mouth": 18, "fuse": 26}  # of the phases of `tiny_config`


def tensors_of(path):
    return load_tensors(path, kind=KIND, version=VERSION)[0]


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    data = avatar_training.AvatarDataset.open(tiny_dataset)
    return avatar_training.open_clip(data, "mel", torch.device("cpu"), avatar_training.silent)


@pytest.fixture(scope="module")
def steps(tiny_dataset, tiny_config, tmp_path_factory):
    """The state after each step of a run: files by step."""
    folder, kept = tmp_path_factory.mktemp("states"), {}

    def keep(done, total, info, preview):
        if info["phase"] != "finish" and done - 2 in STARTS.values() or done - 3 in STARTS.values():
            kept[done] = folder / f"{done}.safetensors"
            kept[done].write_bytes(unfinished_path(folder / "a.safetensors").read_bytes())

    train_avatar(tiny_dataset, folder / "a.safetensors", preset=often(tiny_config), report=keep)
    return kept


def often(config):
    return replace(config, save_every=1)


@pytest.fixture(scope="module")
def states(steps):
    """States after the second step of every phase, by phase."""
    return {phase: steps[start + 2] for phase, start in STARTS.items()}


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize("phase", list(STARTS))
def test_what_is_not_finite_stops_the_run_and_changes_nothing(tiny_dataset, tiny_config, steps, tmp_path, monkeypatch, phase,
                                                              kind):
    """A run goes on after two steps of a phase; the next is good, the one after it goes wrong, and what was good is kept."""
    name = {"warmup": "align_loss"}.get(phase, f"{phase}_loss")
    real, calls = getattr(steps_module, name), []

    def spoilt(*args, **kwargs):
        made = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 1:
            return made
        loss = made[0] if isinstance(made, tuple) else made
        wrong = loss * float("nan") if kind == "loss" else loss + torch.sqrt(loss - loss)  # whose slope at 0 is infinite times 0
        return (wrong, *made[1:]) if isinstance(made, tuple) else wrong

    path = tmp_path / "a.safetensors"
    unfinished_path(path).write_bytes(steps[STARTS[phase] + 2].read_bytes())
    monkeypatch.setattr(steps_module, name, spoilt)
    with pytest.raises(TalkingHeadsError, match=f"must stay finite.*{kind} nan.*step 4 of {phase}.*last good state"):
        train_avatar(tiny_dataset, path, preset=replace(tiny_config, save_every=1000))  # what was learnt since is kept too
    kept, wanted = tensors_of(unfinished_path(path)), tensors_of(steps[STARTS[phase] + 3])
    assert not path.exists() and kept.keys() == wanted.keys()
    assert all(torch.equal(kept[k], wanted[k]) for k in kept), "weights, moments and statistics are those before the step"


def test_weights_that_are_not_finite_are_never_kept(clip, tiny_config, tmp_path):
    fresh, path = steps_module.AvatarTraining.fresh(clip, tiny_config, 0), tmp_path / "a.training.safetensors"
    fresh.save(path, {})
    before = path.read_bytes()
    fresh.face.field.opacity.data[3] = float("inf")
    with pytest.raises(TalkingHeadsError, match="weights .* finite.*field.opacity"):
        fresh.save(path, {})
    assert path.read_bytes() == before


def test_a_prior_whose_loss_is_not_finite_is_not_written(tmp_path):
    spoken = prior.SpokenClip(torch.zeros(60, 80, 16), torch.full((60, 17), float("nan")))
    with pytest.raises(TalkingHeadsError, match="must stay finite.*step 1"):
        prior.train_prior([spoken], tmp_path / "p.safetensors", "mel", steps=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("phase, damage", [
    ("face", lambda t: {k: v for k, v in t.items() if not k.startswith("face.field_adam.")}),
    ("fuse", lambda t: {k: v for k, v in t.items() if not k.startswith("fuse_adam.")}),
    ("warmup", lambda t: {k: v for k, v in t.items() if not k.startswith("warmup_adam.0.")}),
    ("mouth", lambda t: {k: v for k, v in t.items() if not k.endswith("mouth.field_adam.3.exp_avg")}),
    ("mouth", lambda t: {k: v for k, v in t.items() if not k.startswith("mouth.")}),
    ("face", lambda t: t | {"face.field_adam.0.exp_avg": t["face.field_adam.0.exp_avg"][:5]}),
    ("face", lambda t: t | {"face.field_adam.1.exp_avg_sq": -torch.ones_like(t["face.field_adam.1.exp_avg_sq"])}),
    ("face", lambda t: t | {"face.density.seen": t["face.density.seen"][1:]}),
    ("face", lambda t: t | {"face.field.opacity": t["face.field.opacity"][1:]}),
    ("face", lambda t: t | {"face.net.gate.0.bias": t["face.net.gate.0.bias"] * float("nan")}),
    ("face", lambda t: {k: v for k, v in t.items() if k != "face.field.xyz"}),
    ("face", lambda t: t | {"face.field.opacity": t["face.field.opacity"].double()}),
    ("face", lambda t: t | {"face.net.gate.0.bias": t["face.net.gate.0.bias"].to(torch.int32)}),
    ("mouth", lambda t: t | {"mouth.density.gradient": t["mouth.density.gradient"].to(torch.int64)}),
])
def test_a_state_that_lacks_something_says_so(clip, tiny_config, states, tmp_path, phase, damage):
    tensors, saved = load_tensors(states[phase], kind=KIND, version=VERSION)
    path = tmp_path / "a.training.safetensors"
    save_tensors(path, {k: v.clone() for k, v in damage(tensors).items()}, kind=KIND, version=VERSION, config=saved)
    with pytest.raises(FileFormatError, match="unfinished training.*Start over"):
        load_training(path, clip, tiny_config, 0, lambda came: None)


@pytest.mark.parametrize("change", [{"step": None}, {"step": -1}, {"step": 31}, {"step": "face"}, {"face_degree": "1"},
                                    {"loss": []}, {"moments": None}, {"hears": None},
                                    {"hears": {"encoder": "mel", "speech": {"silence": "?"}}}])
def test_a_state_that_does_not_say_how_far_it_is_is_refused(clip, tiny_config, states, tmp_path, change):
    tensors, saved = load_tensors(states["face"], kind=KIND, version=VERSION)
    path = tmp_path / "a.training.safetensors"
    save_tensors(path, tensors, kind=KIND, version=VERSION, config=saved | change)
    with pytest.raises(FileFormatError, match="Start over"):
        load_training(path, clip, tiny_config, 0, lambda came: None)


@pytest.mark.parametrize("lost", ["face.field_adam.", "face.net_adam.", "mouth.field_adam.", "mouth.net_adam.", "fuse_adam."])
def test_a_state_needs_the_moments_of_what_moved(clip, tiny_config, states, tmp_path, lost):
    tensors, saved = load_tensors(states["fuse"], kind=KIND, version=VERSION)
    saved["moments"] = {name: 0 if f"{name}." == lost else count for name, count in saved["moments"].items()}
    kept, path = {k: v for k, v in tensors.items() if not k.startswith(lost)}, tmp_path / "a.training.safetensors"
    assert len(kept) < len(tensors)
    save_tensors(path, kept, kind=KIND, version=VERSION, config=saved)
    with pytest.raises(FileFormatError, match="moments.*Start over"):
        load_training(path, clip, tiny_config, 0, lambda came: None)


def test_a_training_goes_on_with_the_model_that_it_began_with(clip, tiny_config, states):
    """Not with another one in a folder of the same name."""
    other = replace(clip, hears=replace(clip.hears, silence=-clip.hears.silence))
    with pytest.raises(TalkingHeadsError, match="same speech encoder.*another model called 'mel'.*Restore the model folder"):
        load_training(states["face"], other, tiny_config, 0, lambda came: None)


def test_a_state_of_an_earlier_version_is_refused_and_kept(tiny_dataset, tiny_config, states, tmp_path):
    """Version 1 said `phase` and `at`, and nothing of its version beside the header."""
    tensors, saved = load_tensors(states["face"], kind=KIND, version=VERSION)
    earlier = {name: value for name, value in saved.items() if name not in ("version", "step")} | {"phase": 1, "at": 2}
    path = tmp_path / "a.safetensors"
    save_tensors(unfinished_path(path), tensors, kind=KIND, version=1, config=earlier)
    kept = unfinished_path(path).read_bytes()
    with pytest.raises(FileFormatError, match="version of Talking Heads that began it.*earlier version.*Finish it with that"):
        train_avatar(tiny_dataset, path, preset=tiny_config)
    assert unfinished_path(path).read_bytes() == kept
    train_avatar(tiny_dataset, path, preset=tiny_config, resume=False)
    assert path.exists()
