"""Descriptions and tensors of files are compared with what they must be, and errors say what, where and what to do."""
import pytest
import torch
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.schema import (
    RATE,
    SIZE,
    described,
    each,
    flag,
    is_plain_name,
    many,
    optional,
    plain_name,
    real,
    record,
    text,
    whole,
)
from talking_heads.media_core.tensor_schema import Numbers, fitting

CHECK = record({"n": whole(1, 5), "rate": RATE}, {"size": optional(SIZE), "kind": text(choices=("a", "b")), "on": flag(),
                                                  "sums": each(text(3), plain_name()), "nan": real(0, 1, nan=True)})
GOOD = {"n": 3, "rate": 25, "size": [2, 3], "kind": "a", "on": False, "sums": {"x": "abc"}, "nan": float("nan")}


def test_what_fits_is_given_back():
    assert described(GOOD, CHECK, "f", "do") is GOOD
    assert described({"n": 1, "rate": 1000.0, "size": None}, CHECK, "f", "do")["n"] == 1


@pytest.mark.parametrize("change, told", [
    ({"n": 0}, "'n' in f must be a whole number in 1..5. Got: 0"), ({"n": True}, "Got: True"), ({"n": 3.0}, "Got: 3.0"),
    ({"n": 10**30}, "Got: 1000000"), ({"rate": "25"}, "'rate' in f"), ({"rate": float("nan")}, "a number in 1..1000"),
    ({"rate": 10**400}, "'rate'"), ({"size": [1]}, "a list of 2"), ({"size": [1, 20000]}, r"'size\[1\]' in f"),
    ({"size": {"a": 1}}, "a list of 2"), ({"kind": "c"}, "one of a, b"), ({"kind": ["a"]}, "one of a, b"),
    ({"on": 1}, "true or false"),
    ({"sums": {"../x": "a"}}, "without folders"), ({"sums": {"x": 4}}, "'sums.x'"), ({"nan": float("inf")}, "or NaN"),
    ({"more": 1}, "one with more"), ({"n": "a" * 10**6}, "aaa")])
def test_what_does_not_fit_is_told(change, told):
    with pytest.raises(FileFormatError, match=told) as error:
        described({**GOOD, **change}, CHECK, "f", "Do this")
    assert "Do this." in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("value", [None, [], "x", 3, {"n": 1}])
def test_another_thing_than_the_object_is_told(value):
    with pytest.raises(FileFormatError, match="The description in f must be an object"):
        described(value, CHECK, "f", "do")


def test_long_lists_are_not_walked():
    with pytest.raises(FileFormatError, match="at most 3"):
        described([0] * 4, many(whole(0, 1), most=3), "f", "do")


@pytest.mark.parametrize("name, plain", [("a.safetensors", True), ("a b", True), ("", False), ("..", False), (".a", False),
                                             ("a/b", False), ("a\\b", False), ("C:a", False), ("a\0", False), ("a" * 300, False),
                                             ("a\ud800", False), (5, False)])
def test_plain_names(name, plain):
    assert is_plain_name(name) is plain


WANTED = {"a": Numbers(("T", 3)), "b": Numbers(("T",), (torch.bool,)), "c": Numbers((2, ""), nan=True),
          "d": Numbers((), absent=True)}
WHOLE = {"a": torch.zeros(4, 3), "b": torch.ones(4, dtype=torch.bool), "c": torch.full((2, 7), torch.nan)}


def test_tensors_that_fit_tell_their_lengths():
    assert fitting(WHOLE, WANTED, "f", "do") == {"T": 4}


@pytest.mark.parametrize("change, told", [
    ({"a": torch.zeros(4, 2)}, r"'a' must be float32.*\[T, 3\].*\[4, 2\]"),
    ({"b": torch.ones(3, dtype=torch.bool)}, r"'b' must be bool \[4\]"),
    ({"a": torch.zeros(4, 3, dtype=torch.int64)}, "int64"), ({"a": torch.zeros(())}, r"\[\]"), ({"b": None}, "lacks it"),
    ({"a": torch.full((4, 3), torch.nan)}, "NaN or inf"), ({"c": torch.full((2, 1), torch.inf)}, "holds inf"),
    ({"d": torch.full((), torch.nan)}, "'d'")])
def test_tensors_that_do_not_fit_are_told(change, told):
    tensors = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
    with pytest.raises(FileFormatError, match=told):
        fitting(tensors, WANTED, "f", "do")
