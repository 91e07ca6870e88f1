"""Blendshapes and vectors beside a dataset: read, standardised, and refused where they do not fit."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from talking_heads.hmtalker_core.data.cues import read_cue
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES
from talking_heads.media_core.face.action_units.mesh_shapes import LOWER_FACE

POSES, TRAIN = np.tile(np.eye(4, dtype=np.float32), (6, 1, 1)), np.arange(4)


def test_action_units_need_no_file(tmp_path):
    assert read_cue(tmp_path, "au", POSES, TRAIN) is None


@pytest.mark.parametrize("name", ["blendshapes.npy", "bs.npy"])
def test_the_shapes_of_the_lower_face_are_taken_times_five(tmp_path, name):
    rows = np.random.default_rng(1).uniform(0, 1, (6, 52))
    rows[2] = np.nan
    np.save(tmp_path / name, rows)
    cue = read_cue(tmp_path, "blendshapes", POSES, TRAIN)
    assert cue.shape == (6, 30) and cue.dtype == np.float32
    jaw = [BLENDSHAPES[i] for i in LOWER_FACE].index("jawOpen")
    own = rows[:, BLENDSHAPES.index("jawOpen")]
    assert np.allclose(cue[[0, 1, 3], jaw], 5 * own[[0, 1, 3]], atol=1e-6)
    assert cue[2, jaw] == pytest.approx(2.5 * (own[1] + own[3])), "a gap is filled"
    assert not any(name.startswith(("eye", "brow")) for name in (BLENDSHAPES[i] for i in LOWER_FACE))


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_a_vector_is_standardised_over_the_training_frames(tmp_path, kind):
    rows = np.random.default_rng(2).normal(3, 7, (6, 5)).astype(np.float32)
    rows[:, 4] = 2.0
    if kind == "npy":
        np.save(tmp_path / "vector.npy", rows)
    else:
        save_file({"exp": torch.from_numpy(rows)}, tmp_path / "vector.safetensors")
    cue = read_cue(tmp_path, "vector", POSES, TRAIN)
    assert np.allclose(cue[:, :4], (rows[:, :4] - rows[:4, :4].mean(0)) / rows[:4, :4].std(0), atol=1e-5)
    assert not cue[:, 4].any(), "what never changes tells nothing"


@pytest.mark.parametrize("cue, rows, words", [
    ("blendshapes", None, "must have blendshapes.npy.*has neither.*choose cue 'au'"),
    ("vector", None, "vector.npy or vector.safetensors.*has neither.*cue 'au'"),
    ("vector", np.zeros((5, 3)), "each of the 6 frames.*5, 3.*cue 'au'"), ("vector", np.zeros(6), "one row"),
    ("vector", np.zeros((6, 0)), "1 to 4096"), ("vector", np.full((6, 2), np.nan), "at least one frame"),
    ("blendshapes", np.zeros((6, 51)), "one row of 52 numbers"), ("vector", np.zeros((6, 2), complex), "complex")])
def test_what_does_not_fit_is_refused_with_the_way_out(tmp_path, cue, rows, words):
    if rows is not None:
        np.save(tmp_path / {"blendshapes": "blendshapes.npy", "vector": "vector.npy"}[cue], rows)
    with pytest.raises(FileFormatError, match=f"(?s){words}"):
        read_cue(tmp_path, cue, POSES, TRAIN)


def test_a_broken_tensor_file_is_refused(tmp_path):
    (tmp_path / "vector.safetensors").write_bytes(b"no tensors")
    with pytest.raises(FileFormatError, match="whole safetensors file"):
        read_cue(tmp_path, "vector", POSES, TRAIN)
    save_file({"a": torch.zeros(6, 2), "b": torch.zeros(6, 2)}, tmp_path / "vector.safetensors")
    with pytest.raises(FileFormatError, match="one tensor"):
        read_cue(tmp_path, "vector", POSES, TRAIN)
