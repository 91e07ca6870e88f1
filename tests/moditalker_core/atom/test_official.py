"""Published AToM checkpoints: every tensor accounted for, the same output after import, and every kind of bad file told."""
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from atom_files import official_state_dict
from safetensors import safe_open
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom import official
from talking_heads.moditalker_core.atom.checkpoints import load_atom, unfilled
from talking_heads.moditalker_core.atom.config import DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.official import read_official

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "moditalker"
LISTENS = SpeechInput("toy", "last", 50.0, 24)  # the fixture's width
HEADS = 4


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    with safe_open(FIXTURES / "moditalker_atom.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


@pytest.fixture
def state(tensors) -> dict[str, torch.Tensor]:
    """A small network's state dict as the published code saves it, dead tensors and buffers included."""
    return {name[3:]: value.clone() for name, value in tensors.items() if name.startswith("sd.")}


def checkpoint(state) -> dict:
    """As the published training saves it; its optimiser's group really holds a None."""
    moments = {i: {"step": 3, "exp_avg": torch.zeros(2)} for i in range(2)}
    group = {"lr": 4e-4, "betas": (0.02, 0.08, 0.01), "restart_cond": None, "params": [0, 1]}
    return {"ema_state_dict": {name: value + 0.5 for name, value in state.items()}, "model_state_dict": state,
            "optimizer_state_dict": {"state": moments, "param_groups": [group]}}


def saved(folder, held, **how) -> Path:
    torch.save(held, folder / "atom.pt", **how)
    return folder / "atom.pt"


def imported(folder, held, **options):
    options = {"speech": LISTENS, "heads": HEADS, **options}
    return load_atom(official.import_atom(saved(folder, held), folder / "atom.safetensors", **options))


def test_every_published_tensor_is_mapped_dead_or_a_buffer():
    listed = json.loads((FIXTURES / "keys.json").read_text("utf8"))["atom.MotionDecoder"]
    sizes = {name: value for name, value in listed["constructor"].items() if name != "activation"}
    own = {name: list(value.shape) for name, value in unfilled(DenoiserConfig(**sizes)).state_dict().items()}
    mapped, left = {}, []
    for name, entry in listed["keys"].items():
        ours = official.our_name(name)
        if ours is None:
            left.append(entry)
            continue
        assert ours not in mapped and entry["shape"] == own[ours] and entry["kind"] == "param", name
        assert official.official_name(ours) == name
        mapped[ours] = entry
    assert set(mapped) == set(own) and len(mapped) + len(left) == 344
    numbers = lambda entries: sum(math.prod(entry["shape"]) for entry in entries)
    assert numbers(mapped.values()) == 48_491_724
    assert numbers(entry for entry in left if entry["kind"] == "param") == 16_685_568
    with pytest.raises(KeyError):
        official.our_name("face_mlq.0.weight")


def test_sizes_are_read_off_the_tensors_of_any_network():
    listed = json.loads((FIXTURES / "keys.json").read_text("utf8"))["atom.MotionDecoder"]["keys"]
    state = {name: torch.empty(entry["shape"], device="meta") for name, entry in listed.items()}
    assert official.config_of_state(state) == DenoiserConfig()


@pytest.mark.parametrize("wrap", [lambda s: checkpoint(s), lambda s: s, lambda s: {"model_state_dict": s},
                                  lambda s: checkpoint({f"module.{k}": v for k, v in s.items()}),
                                  lambda s: {f"module.module.{k}": v for k, v in s.items()}],
                         ids=["published", "bare", "model only", "module.", "bare module.module."])
def test_the_imported_network_predicts_what_the_published_one_does(wrap, state, tensors, tmp_path):
    atom = imported(tmp_path, wrap(state))
    with torch.inference_mode():
        got = atom.denoiser(*(tensors[f"in.{name}"] for name in ("x", "face", "cond", "times")))
    assert torch.allclose(got, tensors["out.cond"], atol=1e-4)
    assert atom.config.reference == "first" and atom.config.clip == 1.0 and (atom.config.steps, atom.config.eta) == (50, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atom.pt", "atom.safetensors"]


def test_ema_weights_and_files_of_the_older_format(state, tmp_path):
    saved(tmp_path, checkpoint(state), _use_new_zipfile_serialization=False)
    path = official.import_atom(tmp_path / "atom.pt", tmp_path / "a.safetensors", weights="ema", speech=LISTENS, heads=HEADS)
    assert torch.equal(load_atom(path).denoiser.out.bias, state["final_layer.bias"] + 0.5)


def test_there_and_back(state, tmp_path):
    atom = imported(tmp_path, checkpoint(state))
    back = official_state_dict(atom)
    assert set(back) == {name for name in state if not official.is_dead(name)}
    assert all(torch.equal(value, state[name]) for name, value in back.items())


def test_the_mean_face_is_the_users_or_noted_as_ours(state, tmp_path):
    ours = imported(tmp_path, state)
    assert torch.equal(ours.key_mean_shape, torch.from_numpy(mean_face())) and "BFM" in ours.config.training["note"]
    given = torch.randn(68, 3)
    theirs = imported(tmp_path, state, key_mean_shape=given, licence="theirs", half=True)
    assert torch.equal(theirs.key_mean_shape, given) and "note" not in theirs.config.training
    assert theirs.config.training["weights"] == "raw" and theirs.config.licence == "theirs"


def dropped(state, *names):
    return {name: value for name, value in state.items() if name not in names}


BAD = {
    "lacks final_layer.bias": lambda s: dropped(s, "final_layer.bias"),
    "lacks seqTransDecoder.stack.0.film1.block.1.bias": lambda s: dropped(s, "seqTransDecoder.stack.0.film1.block.1.bias"),
    "must be an AToM's": lambda s: {"encoder.weight": torch.zeros(3)},
    "lacks final_layer.weight": lambda s: dropped(s, "final_layer.weight"),
    "also holds stranger.weight": lambda s: {**s, "stranger.weight": torch.zeros(2)},
    r"null_cond_embed \[1, 23, 32\], not \[1, 24, 32\]": lambda s: {**s, "null_cond_embed": torch.zeros(1, 23, 32)},
    "norm_cond.weight hold NaN": lambda s: {**s, "norm_cond.weight": torch.full((32,), math.nan)},
    "whole numbers": lambda s: {**s, "norm_cond.weight": torch.ones(32, dtype=torch.int64)},
    "nfeats 204": lambda s: {**s, "final_layer.weight": torch.zeros(200, 64)},
    "holds a list": lambda s: [s],
    "holds a dict, empty": lambda s: {},
    "holds a Tensor": lambda s: torch.zeros(3),
    "holds 0, 1, 99999999": lambda s: {**s, "seqTransDecoder.stack.99999999.norm1.weight": torch.zeros(32)},
    "norm_cond.bias hold NaN": lambda s: {**s, "norm_cond.bias": torch.zeros(32).to_sparse()},
    "tensors by name": lambda s: {"model_state_dict": {"epoch": 3}},
    "holds int": lambda s: {"model_state_dict": 3},
    "hold a 'model_state_dict'": lambda s: {"ema_state_dict": s},
    "tensors and plain values only": lambda s: torch.nn.Linear(2, 2),
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_checkpoint_is_told_and_nothing_is_written(told, state, tmp_path):
    with pytest.raises(TalkingHeadsError, match=told):
        imported(tmp_path, BAD[told](state))
    assert [path.name for path in tmp_path.iterdir()] == ["atom.pt"]


@pytest.mark.parametrize("how, told", [
    (lambda whole: whole[:-200], "breaks off"), (lambda whole: whole[:6], "breaks off"), (lambda whole: b"", "torch.save"),
    (lambda whole: b"no pickle at all", "torch.save"), (lambda whole: b"\x80\x02", "torch.save"),
    (lambda whole: whole[:900] + bytes(300) + whole[1200:], "torch.save"),
], ids=["truncated", "stub", "empty", "text", "pickle's head", "garbled"])
def test_a_file_that_is_no_checkpoint_is_told(how, told, state, tmp_path):
    path = saved(tmp_path, checkpoint(state))
    path.write_bytes(how(path.read_bytes()))
    with pytest.raises(FileFormatError, match=told):
        official.import_atom(path, tmp_path / "a.safetensors", speech=LISTENS, heads=HEADS)
    assert [path.name for path in tmp_path.iterdir()] == ["atom.pt"]


@pytest.mark.parametrize("options, told", [
    ({"heads": 5}, "num_heads"), ({"heads": 0}, "num_heads"), ({"speech": None}, "1024 and 24"),
    ({"key_mean_shape": torch.zeros(5, 3)}, "68 points"),
    ({"weights": "best"}, "raw or ema"),
])
def test_options_that_do_not_fit_are_told(options, told, state, tmp_path):
    with pytest.raises(TalkingHeadsError, match=told):
        imported(tmp_path, state, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["atom.pt"]


def test_ema_of_a_file_without_it_absent_files_and_the_source_as_target(state, tmp_path):
    with pytest.raises(FileFormatError, match="'ema_state_dict'.*Choose the raw weights"):
        imported(tmp_path, state, weights="ema")
    with pytest.raises(FileFormatError, match="Choose the other weights"):
        imported(tmp_path, {"model_state_dict": state}, weights="ema")
    with pytest.raises(FileFormatError, match="no file at"):
        official.import_atom(tmp_path / "none.pt", tmp_path / "a.safetensors")
    with pytest.raises(TalkingHeadsError, match="another file"):
        official.import_atom(tmp_path / "atom.pt", tmp_path / "atom.pt", speech=LISTENS, heads=HEADS)


@pytest.mark.parametrize("version, safe", [("2.5.1+cu124", False), ("1.13.0", False), ("2.6.0", True), ("2.13.0+cpu", True),
                                           ("3.0.0a0+git1", True)])
def test_a_torch_whose_restricted_reader_can_be_fooled_is_refused(version, safe, state, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    torch.save({"model_state_dict": state}, tmp_path / "atom.pt")
    try:
        read_official(tmp_path / "atom.pt", "atom.pt")
    except TalkingHeadsError as error:
        assert ("CVE-2025-32434" in str(error)) != safe
    else:
        assert safe
