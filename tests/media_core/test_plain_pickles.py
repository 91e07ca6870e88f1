"""Pickles are read without being run: plain values and arrays come back, everything else stays unread."""
from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.plain_pickles import Unread, plain_pickle

VALUES = {"text": "ä", "bytes": b"\x00\xff", "none": None, "flags": [True, False], "tuple": (1, (2.5, -3), ()), "big": 1 << 80,
          "array": np.arange(12, dtype=np.float32).reshape(3, 4), "columns": np.asfortranarray(np.eye(3, 2)),
          "swapped": np.arange(5, dtype=">i4"), "scalar": np.float64(0.25), "flag": np.bool_(True), "empty": np.zeros((0, 3)),
          "ordered": OrderedDict(a=1), "same": None}
VALUES["same"] = VALUES["array"]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_back(protocol):
    found = plain_pickle(pickle.dumps(VALUES, protocol), "it")
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(found[name], value) and found[name].shape == value.shape, name
        else:
            assert found[name] == value, name


def test_objects_in_arrays_are_found(tmp_path):
    np.save(tmp_path / "a.npy", {"offsets": [1, 2]}, allow_pickle=True)
    blob = (tmp_path / "a.npy").read_bytes()
    assert plain_pickle(blob[blob.index(b"\x80", 10):], "it") == {"offsets": [1, 2]}


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    found = plain_pickle(pickle.dumps({"bad": Evil(), "path": Path("a"), "kind": Evil, "good": 1}, protocol), "it")
    assert found["good"] == 1 and not list(tmp_path.iterdir())
    assert all(isinstance(found[name], Unread) for name in ("bad", "path", "kind"))


@pytest.mark.parametrize("blob", [
    b"", b".", b"no pickle", pickle.dumps(VALUES)[:-9], pickle.dumps(VALUES)[5:], b"]" * 9, b"h\x05.", b"(((t", b"\x80\x04N",
    pickle.dumps(np.array(["a", "b"])), b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", b"0."])
def test_what_is_none_says_so(blob):
    try:
        found = plain_pickle(blob, "it")
    except FileFormatError as error:
        assert "it is not" in str(error) and "copy it again" in str(error)
    else:
        assert not isinstance(found, (np.ndarray, dict))


def test_what_is_named_a_hundred_times_is_made_once():
    """Else 50 lists of the one before, twice each, would take for ever."""
    nested = [np.arange(3)]
    for _ in range(40):
        nested = [nested, nested]
    back = plain_pickle(pickle.dumps(nested), "nested.data")
    assert back[0] is back[1]


@pytest.mark.parametrize("blob", [b"c_codecs\\nencode\\n(I1\\nI2\\ntR.",
                                  b"cnumpy.core.multiarray\\n_reconstruct\\n(tR(I1\\nI2\\nI3\\nI4\\nI5\\ntb."])
def test_calls_with_what_they_do_not_take(blob):
    with pytest.raises(FileFormatError, match="must be whole"):
        plain_pickle(blob, "odd.data")
