"""A finished dataset's manifest is checked before its text becomes paths and its numbers become loops."""
import json

import pytest
from fuzz import seeds
from talking_heads.media_core.dataset_folder import read_json, verify_dataset
from talking_heads.media_core.errors import FileFormatError


@pytest.fixture
def folder(tmp_path):
    seeds.verified(tmp_path, None)
    return tmp_path


def changed(folder, change):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return folder


def test_a_whole_folder(folder):
    assert verify_dataset(folder)["frames"] == 3


@pytest.mark.parametrize("change, told", [
    ({"frames": 10**6}, "files of 3 frames at most"), ({"frames": 10**9}, "'frames'"), ({"frames": "3"}, "'frames'"),
    ({"frames": 2}, "differs"), ({"checksums": []}, "'checksums'"), ({"checksums": {"aud.wav": 3}}, "checksums.aud.wav"),
    ({"checksums": {"../aud.wav": "a"}}, "of its own folder"), ({"checksums": {"/etc/passwd": "a"}}, "of its own folder"),
    ({"checksums": {"{:9999999999}": "a"}}, "of its own folder"), ({"checksums": {"{}{}": "a"}}, "of its own folder"),
    ({"checksums": {"{0.__class__}": "a"}}, "differs"), ({"checksums": {"a\0": "a"}}, "of its own folder")])
def test_manifests_that_are_garbled(folder, change, told):
    with pytest.raises(FileFormatError, match=told):
        verify_dataset(changed(folder, change))


@pytest.mark.parametrize("text", ["[" * 5000, "1" * 5000, '{"a": 1e400}', "[]", "\x00"])
def test_other_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FileFormatError, match="a.json must.*Choose another folder, or delete the file"):
        read_json(tmp_path / "a.json")
