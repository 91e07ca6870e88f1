"""Arrays are read without pickles, and without believing what a header says of their size."""
import struct

import numpy as np
import pytest
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.npy_files import load_npy


def written(path, header: str, content: bytes = b"\0" * 64):
    text = header.encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content)
    return path


def test_what_numpy_saved_is_read(tmp_path):
    for array in (np.arange(6.0).reshape(2, 3), np.zeros((0, 3), np.uint8), np.array(5), np.asfortranarray(np.eye(3, 4))):
        np.save(tmp_path / "a.npy", array)
        again = load_npy(tmp_path / "a.npy", "must", "do")
        assert np.array_equal(again, array) and again.dtype == array.dtype


@pytest.mark.parametrize("header", [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", "{" * 3000, "(" * 3000, "'''", "{'descr': 5}", "", "{[]: 1}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 'a'), }"])
def test_other_headers_are_clear_errors(tmp_path, header):
    with pytest.raises(FileFormatError, match="It must be.*a.npy is not.*Do this"):
        load_npy(written(tmp_path / "a.npy", header), "It must be", "Do this")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00\x10\x00", b"PK\x03\x04" * 20, b"\x80\x04N."])
def test_other_files_are_clear_errors(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FileFormatError):
        load_npy(tmp_path / "a.npy", "must", "do")


def test_pickled_arrays_and_absent_files_are_clear_errors(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    for name in ("a.npy", "none.npy"):
        with pytest.raises(FileFormatError):
            load_npy(tmp_path / name, "must", "do")
