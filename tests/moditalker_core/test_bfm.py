"""A user's mean face from three kinds of file; synthetic data, no BFM."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.bfm import KeyBasis, pose_coefficients, read_key_basis, read_key_mean_shape

VERTICES = 90


def model(seed: int = 0) -> dict[str, np.ndarray]:
    """A model whose published points, one vertex beside the meant ones, are the pack's mean face."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(VERTICES, 3)).astype(np.float32)
    numbers = rng.permutation(np.arange(1, VERTICES - 1))[:68]
    mean[numbers] = mean_face()
    return {"meanshape": mean.reshape(1, -1), "keypoints": numbers[None].astype(np.float64),
            "idBase": rng.normal(size=(3 * VERTICES, 8)).astype(np.float32), "exBase": rng.normal(size=(3 * VERTICES, 6))}


@pytest.fixture
def mat(tmp_path):
    savemat(tmp_path / "BFM_model_front.mat", model() | {"tri": np.ones((3, 3))}, do_compression=True)
    return tmp_path / "BFM_model_front.mat"


def test_mat(mat):
    shape = read_key_mean_shape(mat)
    assert shape.dtype == torch.float32 and np.array_equal(shape.numpy(), mean_face())


def test_mat_with_the_meant_vertices(tmp_path):
    arrays = model()
    arrays["keypoints"] += 1
    savemat(tmp_path / "m.mat", arrays)
    assert np.array_equal(read_key_mean_shape(tmp_path / "m.mat", off_by_one=False).numpy(), mean_face())
    with pytest.raises(FileFormatError):
        read_key_mean_shape(tmp_path / "m.mat")  # strange vertices are no face


def test_basis_gives_offsets_in_centimetres(mat):
    basis, arrays = read_key_basis(mat), model()
    coefficients = torch.randn(3, 8 + 6 + 8 + 33, generator=torch.Generator().manual_seed(0))
    whole = (arrays["idBase"] @ coefficients[:, :8].numpy().T + arrays["exBase"] @ coefficients[:, 8:14].numpy().T).T
    wanted = 10 * whole.reshape(3, VERTICES, 3)[:, arrays["keypoints"][0].astype(int)].reshape(3, 204)
    np.testing.assert_allclose(basis.idexp(coefficients).numpy(), wanted, rtol=1e-4, atol=1e-4)
    angles, translation = pose_coefficients(coefficients)
    assert torch.equal(translation, coefficients[:, -3:]) and torch.equal(angles, coefficients[:, 22:25])
    with pytest.raises(TalkingHeadsError, match="14"):
        basis.idexp(coefficients[:, :13])


def test_npy_and_safetensors(tmp_path):
    np.save(tmp_path / "a.npy", mean_face().astype(np.float64))
    save_file({"key_mean_shape": torch.from_numpy(mean_face()), "other": torch.zeros(2)}, tmp_path / "a.safetensors")
    for name in ("a.npy", "a.safetensors"):
        assert np.array_equal(read_key_mean_shape(tmp_path / name).numpy(), mean_face())


def wrong_faces():
    face = mean_face()
    nan = face.copy()
    nan[5, 1] = np.nan
    return {"shape": face[:67], "flat": face.reshape(-1), "nan": nan, "metres": face / 10, "millimetres": face * 100,
            "zero": face * 0, "upside down": face * [1, -1, 1], "away": face * [1, 1, -1], "mirrored": face * [-1, 1, 1],
            "text": np.array(["a"])}


@pytest.mark.parametrize("name", wrong_faces())
def test_wrong_faces_are_told(name, tmp_path):
    np.save(tmp_path / "a.npy", wrong_faces()[name])
    with pytest.raises(FileFormatError, match="Got"):
        read_key_mean_shape(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["npy", "safetensors", "mat"])
def test_truncated_files_are_told(kind, mat, tmp_path):
    np.save(tmp_path / "whole.npy", mean_face())
    save_file({"key_mean_shape": torch.from_numpy(mean_face())}, tmp_path / "whole.safetensors")
    mat.rename(tmp_path / "whole.mat")
    whole = (tmp_path / f"whole.{kind}").read_bytes()
    rng = np.random.default_rng(5)
    for length in [0, 1, 4, 130, 200, *rng.integers(0, len(whole) - 80, 40)]:
        (tmp_path / f"short.{kind}").write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="Got"):
            read_key_mean_shape(tmp_path / f"short.{kind}")


def test_spoilt_mats_are_told_or_read(mat):
    """Whatever bytes are wrong, nothing but our own error comes out."""
    whole, rng = mat.read_bytes(), np.random.default_rng(6)
    told = 0
    for _ in range(120):
        spoilt = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 2000), 3):
            spoilt[place] = rng.integers(256)
        mat.write_bytes(bytes(spoilt))
        try:
            read_key_mean_shape(mat)
        except FileFormatError:
            told += 1
    assert told > 20


def test_other_files_are_told(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"x")
    save_file({"x": torch.zeros(3)}, tmp_path / "a.safetensors")
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    savemat(tmp_path / "some.mat", {"meanshape": np.zeros(3)})
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    for name in ("absent.npy", "a.pt", "a.safetensors", "pickle.npy", "some.mat", "new.mat"):
        with pytest.raises(FileFormatError, match="Got"):
            read_key_mean_shape(tmp_path / name)
    with pytest.raises(FileFormatError, match="exist"):
        read_key_basis(tmp_path / "absent.mat")


@pytest.mark.parametrize("change", [{"keypoints": np.arange(5)}, {"idBase": np.zeros((4, 4))}, {"keypoints": np.full(68, 200)},
                                    {"meanshape": np.zeros(9)}])
def test_arrays_that_do_not_belong_together(change):
    with pytest.raises(TalkingHeadsError, match="Got"):
        KeyBasis.from_arrays(**(model() | change))
