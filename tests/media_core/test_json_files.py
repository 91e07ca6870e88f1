"""JSON is read with bounds: what Python's parser meets with other errors, or none, ends in the pack's own."""
import json

import pytest
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.json_files import DEEPEST, parse_json, parse_json_object, read_json_file

VALUE = {"name": "\u00e9\u4e2d", "numbers": [1, -2.5, 2**64 - 1], "on": True, "none": None}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_what_editors_save_is_read(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(VALUE, ensure_ascii=False).encode(encoding))
    assert read_json_file(path) == VALUE


@pytest.mark.parametrize("text", [
    "", "{", "nan", "[1,]", "[" * 100_000, "[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000, "1" * 5000, "-" + "9" * 21,
    "1e400", "[-1e999]", "NaN", '{"a": Infinity}', "[-Infinity]", '"\\ud800"', '{"\\udc00": 1}', b"\xff\xd8\xff\xe0JFIF",
    b'"\xe9"', b"\x00", b'"\x00'])
def test_everything_else_is_a_clear_error(text):
    with pytest.raises(FileFormatError, match="a.json must be readable JSON"):
        parse_json(text, "a.json")


def test_the_deepest_value_and_brackets_in_texts_are_read():
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deep, "a")) == deep
    assert parse_json(json.dumps(["[" * 5000, '\\"[{' * 500]), "a") == ["[" * 5000, '\\"[{' * 500]
    with pytest.raises(FileFormatError, match=f"more than {DEEPEST} deep"):
        parse_json(f"[{deep}]", "a")


def test_nan_is_read_where_it_is_allowed():
    value = parse_json("[NaN, 1e400]", "a", finite=False)
    assert value[0] != value[0] and value[1] == float("inf")


def test_pairs_of_surrogates_are_characters():
    assert parse_json('"\\ud83d\\ude00"', "a") == "\U0001f600"


def test_size_kind_and_absence(tmp_path):
    with pytest.raises(FileFormatError, match="at most 10 bytes"):
        parse_json("[1, 2, 3, 4]", "a", longest=10)
    with pytest.raises(FileFormatError, match="JSON object.*list"):
        parse_json_object("[]", "a")
    with pytest.raises(FileFormatError, match="none.json must be a readable file"):
        read_json_file(tmp_path / "none.json")
