"""MATLAB files whose tags lie: scipy would end the interpreter over them."""
from __future__ import annotations

import struct

import numpy as np
import pytest
from scipy.io import savemat
from talking_heads.media_core.errors import FileFormatError
from talking_heads.moditalker_core.bfm import read_key_basis
from talking_heads.moditalker_core.mat_files import check_numeric

NAMES = ("mean", "wide", "x")


def written(path, **options) -> bytes:
    arrays = {"mean": np.arange(12.0).reshape(3, 4), "wide": np.arange(5, dtype=np.float32), "x": np.uint8([[7]]), "word": "text",
              "group": {"part": np.ones(3)}}
    savemat(path, arrays, **options)
    return path.read_bytes()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}, {"long_field_names": True}])
def test_whole_files_pass(tmp_path, options):
    if options.get("format") == "4":
        savemat(tmp_path / "a.mat", {"mean": np.ones((3, 4))}, format="4")
        check_numeric((tmp_path / "a.mat").read_bytes(), NAMES)
    else:
        check_numeric(written(tmp_path / "a.mat", **options), NAMES)


@pytest.mark.parametrize("name", ["word", "group", "complex"])
def test_what_is_no_array_of_numbers_is_refused(tmp_path, name):
    savemat(tmp_path / "a.mat", {"word": "text", "group": {"part": np.ones(3)}, "complex": np.array([1 + 2j])})
    with pytest.raises(ValueError, match=f"'{name}' is no array"):
        check_numeric((tmp_path / "a.mat").read_bytes(), (name,))


@pytest.mark.parametrize("kind", [0, 8, 10, 11, 16, 99, 0xFFFF, 0x7FFFFFFF])
def test_numbers_of_no_kind_are_refused(tmp_path, kind):
    """The tag in front of the first variable's numbers: there scipy looks the kind up in a table without looking at its end."""
    content = bytearray(written(tmp_path / "a.mat"))
    at = content.index(np.arange(12.0).reshape(3, 4).tobytes("F")) - 8
    assert struct.unpack_from("<II", content, at) == (9, 96)
    struct.pack_into("<I", content, at, kind)
    with pytest.raises(ValueError, match="'mean' is no array"):
        check_numeric(bytes(content), NAMES)
    (tmp_path / "bfm.mat").write_bytes(bytes(content))
    with pytest.raises(FileFormatError):
        read_key_basis(tmp_path / "bfm.mat")


def test_a_file_cut_anywhere_is_read_or_refused(tmp_path):
    content = written(tmp_path / "a.mat")
    for end in range(0, len(content), 7):
        try:
            check_numeric(content[:end], NAMES)
        except ValueError:
            continue
