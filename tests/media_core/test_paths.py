"""A path from a user never leaves its folder."""
from __future__ import annotations

import sys

import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.paths import contained, file_stem, is_temporary
from talking_heads.media_core.temporary import part_name


@pytest.mark.parametrize("name", ["a", "a/b.png", "a\\b.png", "./a", "a/../b", ""])
def test_paths_inside_are_resolved(tmp_path, name):
    found = contained(tmp_path, name)
    assert found == tmp_path.resolve() or tmp_path.resolve() in found.parents


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", "\\\\host\\x", "..\\x", "C:\\x", "c:x", "a\0b"])
def test_paths_outside_are_refused(tmp_path, name):
    with pytest.raises(TalkingHeadsError, match="inside the folder"):
        contained(tmp_path / "base", name)


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path):
    (tmp_path / "base2").mkdir()
    with pytest.raises(TalkingHeadsError):
        contained(tmp_path / "base", "../base2/x")


def test_a_link_that_leads_out_is_refused(tmp_path):
    base, other = tmp_path / "base", tmp_path / "other"
    base.mkdir()
    other.mkdir()
    (base / "link").symlink_to(other)
    with pytest.raises(TalkingHeadsError):
        contained(base, "link/file")


def test_a_link_may_leave_a_folder_the_user_fills_but_a_name_may_not(tmp_path):
    base, other = tmp_path / "base", tmp_path / "other"
    base.mkdir()
    other.write_text("")
    (base / "link").symlink_to(other)
    assert contained(base, "link", links_may_leave=True) == base / "link"
    with pytest.raises(TalkingHeadsError):
        contained(base, "../other", links_may_leave=True)


def test_a_linked_base_is_no_obstacle(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "real")
    assert contained(tmp_path / "base", "x") == (tmp_path / "real" / "x").resolve()


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", ".hidden", "x.", " x", "con", "NUL.txt", "a:b", "a\nb", "x" * 101])
def test_bad_file_names_are_refused(name):
    with pytest.raises(TalkingHeadsError, match="file name"):
        file_stem(name)


@pytest.mark.parametrize("name", ["my_avatar", "Ada 2", "über-me", "v1.2"])
def test_good_file_names_stay(name):
    assert file_stem(name) == name


@pytest.mark.parametrize("name, words", [("x" * 256, "256"), ("a/" + "结" * 86 + "/b", "258"),
                                         ("/".join("x" * 200 for _ in range(30)), "path")])
def test_names_longer_than_file_systems_allow_are_refused(tmp_path, name, words):
    with pytest.raises(TalkingHeadsError, match=f"at most 255 bytes.*{words}.*shorter"):
        contained(tmp_path, name)


def test_the_longest_names_are_no_longer_refused(tmp_path):
    contained(tmp_path, "x" * 255).write_text("")
    contained(tmp_path, "结" * 85).write_text("")


@pytest.mark.parametrize("call", [file_stem, lambda name: contained(".", name)])
def test_half_characters_are_refused(call):
    """As a damaged workflow has them: Python reads them, no file system takes them."""
    with pytest.raises(TalkingHeadsError, match="whole characters.*ud83d"):
        call("my \ud83d face")


def test_a_stem_is_measured_in_bytes():
    """What a training adds to a name must still fit."""
    assert file_stem("结" * 73) and len(("结" * 73 + "_landmarks.training.safetensors").encode()) <= 255
    longest = "结" * 74 + "xx"
    assert file_stem(longest) and len(f"{longest}_landmarks.training.safetensors".encode()) == 255
    for longer in (longest + "x", "结" * 100):
        with pytest.raises(TalkingHeadsError, match=f"224 bytes.*{len(longer.encode())}.*shorter.*2 to 4"):
            file_stem(longer)


def test_windows_measures_names_in_utf_16(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert file_stem("结" * 100) and file_stem("🙂" * 100)
    contained(tmp_path, "结" * 255)
    contained(tmp_path, "🙂" * 127)
    for name, size in (("结" * 256, 256), ("🙂" * 128, 256)):
        with pytest.raises(TalkingHeadsError, match=f"255 characters.*{size}.*Choose shorter names[.]$"):
            contained(tmp_path, name)
    for name in ("my \ud83d face", "my \udcff face"):
        with pytest.raises(TalkingHeadsError, match="whole characters"):
            contained(tmp_path, name)
    part = part_name("结" * 251 + ".mp4")
    assert len(part) == 255 and part.startswith(".结") and part.endswith(".part.mp4")


@pytest.mark.parametrize("name", ["interview.part.2.mp4", "anna.part.two.safetensors", "a.part", "part"])
def test_only_hidden_names_are_ours(name):
    assert not is_temporary(name) and is_temporary(part_name(name)) and is_temporary(f".{name}.0123456789ab.part.mp4")
