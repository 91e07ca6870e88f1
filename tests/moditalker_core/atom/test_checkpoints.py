"""The AToM file: whole and equal after a round trip, and every kind of bad file told."""
from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors import safe_open
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.moditalker_core.atom.checkpoints import load_atom, save_atom
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.model import AToM

SIZES = DenoiserConfig(seq_len=6, latent_dim=16, ff_size=24, num_layers=2, num_heads=2, cond_feature_dim=10)
CONFIG = AToMConfig(SIZES, SpeechInput("mel", "last", 80.0, 5, 2), clip=None, guidance=1.5, reference="any", licence="mine",
                    training={"steps": 3})


@pytest.fixture
def atom() -> AToM:
    torch.manual_seed(3)
    return AToM(AToMDenoiser(SIZES), CONFIG, torch.randn(68, 3))


def equal(one: AToM, other: AToM) -> bool:
    states = one.denoiser.state_dict(), other.denoiser.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_round_trip_keeps_weights_description_and_mean_face(atom, tmp_path):
    read = load_atom(save_atom(atom, tmp_path / "a.safetensors"))
    assert equal(atom, read) and read.config == CONFIG and torch.equal(read.key_mean_shape, atom.key_mean_shape)
    assert not read.denoiser.training and all(p.requires_grad for p in read.denoiser.parameters())
    assert read.dtype == torch.float32 and read.device.type == "cpu"
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        header = file.metadata()
    assert header["talking_heads.kind"] == "atom" and json.loads(header["talking_heads.config"])["speech"]["encoder"] == "mel"


def test_half_the_size_is_read_back_as_float32(atom, tmp_path):
    whole, half = save_atom(atom, tmp_path / "a.safetensors"), save_atom(atom, tmp_path / "b.safetensors", half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    read = load_atom(half)
    for name, value in atom.denoiser.state_dict().items():
        assert torch.equal(read.denoiser.state_dict()[name], value.half().float())
    assert torch.equal(read.key_mean_shape, atom.key_mean_shape) and read.dtype == torch.float32
    assert load_atom(half, dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("value, half", [(math.nan, False), (math.inf, False), (70000.0, True)])
def test_weights_that_cannot_be_stored_are_named_and_the_old_file_stays(atom, tmp_path, value, half):
    path = save_atom(atom, tmp_path / "a.safetensors")
    before = path.read_bytes()
    with torch.no_grad():
        atom.denoiser.out.bias[3] = value
    with pytest.raises(TalkingHeadsError, match="out.bias"):
        save_atom(atom, path, half=half)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def spoilt(path, change, kind="atom", version=1):
    tensors, config = load_tensors(path, kind="atom", version=1)
    change(tensors, config)
    save_tensors(path, tensors, kind=kind, version=version, config=config)


CHANGES = {
    "denoiser.out.bias": lambda tensors, config: tensors.pop("denoiser.out.bias"),
    "also holds stranger": lambda tensors, config: tensors.update({"denoiser.stranger": torch.zeros(1)}),
    r"out.weight \[204, 31\], not \[204, 32\]":
        lambda tensors, config: tensors.update({"denoiser.out.weight": torch.zeros(204, 31)}),
    "null_face hold NaN": lambda tensors, config: tensors["denoiser.null_face"].fill_(math.nan),
    "lacks 'key_mean_shape'": lambda tensors, config: tensors.pop("key_mean_shape"),
    r"\[67, 3\]": lambda tensors, config: tensors.update({"key_mean_shape": torch.zeros(67, 3)}),
    "also colour": lambda tensors, config: config.update({"colour": 1}),
    "lacks layers.2": lambda tensors, config: config["denoiser"].update({"num_layers": 3}),
    "num_heads": lambda tensors, config: config["denoiser"].update({"num_heads": 3}),
    "Sampling needs": lambda tensors, config: config.update({"sampler": "euler"}),
    "describe an AToM": lambda tensors, config: config.update({"denoiser": 5}),
}


@pytest.mark.parametrize("told", CHANGES)
def test_what_is_wrong_inside_is_told(atom, tmp_path, told):
    path = save_atom(atom, tmp_path / "a.safetensors")
    spoilt(path, CHANGES[told])
    with pytest.raises(FileFormatError, match=told.removeprefix("denoiser.")):
        load_atom(path)


@pytest.mark.parametrize("kind, version, told", [("avatar", 1, "of kind 'avatar'"), ("atom", 2, "Update Talking Heads")])
def test_another_kind_or_a_newer_file_is_told(atom, tmp_path, kind, version, told):
    path = save_atom(atom, tmp_path / "a.safetensors")
    spoilt(path, lambda tensors, config: None, kind, version)
    with pytest.raises(FileFormatError, match=told):
        load_atom(path)


def test_an_absent_truncated_or_foreign_file_is_told(atom, tmp_path):
    path = save_atom(atom, tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="no file at"):
        load_atom(tmp_path / "none.safetensors")
    for content in (path.read_bytes()[:-100], path.read_bytes()[:20], b"", b"PK\x03\x04 no safetensors"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="truncated"):
            load_atom(path)


@pytest.mark.parametrize("mean", [torch.zeros(68, 2), torch.full((68, 3), math.nan), torch.zeros(204)])
def test_a_mean_face_that_is_none(mean):
    with pytest.raises(TalkingHeadsError, match="68 points"):
        AToM(AToMDenoiser(SIZES), CONFIG, mean)


def test_a_network_and_a_description_that_differ():
    other = DenoiserConfig(seq_len=7, latent_dim=16, ff_size=24, num_layers=2, num_heads=2, cond_feature_dim=10)
    with pytest.raises(TalkingHeadsError, match="description"):
        AToM(AToMDenoiser(other), CONFIG, torch.zeros(68, 3))


def test_moving_changes_the_network_and_keeps_the_mean_face_exact(atom):
    mean = atom.key_mean_shape.clone()
    assert atom.to(dtype=torch.bfloat16) is atom and atom.dtype == torch.bfloat16
    assert torch.equal(atom.key_mean_shape, mean)
