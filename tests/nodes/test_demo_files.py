"""The demo files that the pack puts into ComfyUI's input folder, and its model folder."""
from __future__ import annotations

import errno
import importlib
import json
import os
import sys

import pytest
from pack import ROOT, make_host
from prompts import own
from talking_heads.media_core.temporary import part_name

NAMES = {"talking_heads_demo_speech.wav", "talking_heads_demo_speech_short.wav", "talking_heads_demo_portrait.jpg",
         "talking_heads_demo_video.mp4", *(f"talking_heads_demo_batch/take{number}.wav" for number in (1, 2, 3))}


@pytest.fixture
def demo_files(host):
    return own(host, "nodes.demo_files")


def files(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_input_folder_gets_all_of_them(host, demo_files, tmp_path):
    there = files(tmp_path / "base" / "input")
    assert set(there) == NAMES == set(demo_files.demo_files())
    assert there == {name: path.read_bytes() for name, path in demo_files.demo_files().items()}
    assert sum(map(len, there.values())) < 2_000_000, "start-up copies them once"


def test_the_workflows_name_nothing_else():
    """Whatever a Load node of a shipped workflow reads is a demo file, or a folder of them."""
    for path in (ROOT / "workflows" / "api").glob("*.json"):
        for node in json.loads(path.read_text("utf8")).values():
            read = {"LoadAudio": "audio", "LoadImage": "image", "LoadVideo": "file"}.get(node["class_type"])
            assert read is None or node["inputs"][read] in NAMES, path


def test_what_is_there_stays_whatever_it_holds(host, demo_files, tmp_path):
    folder = tmp_path / "base" / "input"
    (folder / "talking_heads_demo_speech.wav").write_bytes(b"mine")
    (folder / "talking_heads_demo_batch" / "take1.wav").unlink()
    (folder / "talking_heads_demo_batch" / "own.wav").write_bytes(b"mine too")
    (folder / "talking_heads_demo_portrait.jpg").unlink()
    (folder / "talking_heads_demo_portrait.jpg").symlink_to("gone.jpg")
    demo_files.offer(folder)
    there = files(folder)
    assert there["talking_heads_demo_speech.wav"] == b"mine" and there["talking_heads_demo_batch/own.wav"] == b"mine too"
    assert len(there["talking_heads_demo_batch/take1.wav"]) > 1000, "what is absent comes again"
    assert os.readlink(folder / "talking_heads_demo_portrait.jpg") == "gone.jpg"


@pytest.mark.parametrize("how", ["a file", "a broken link"])
def test_what_is_called_like_the_folder_stays_and_the_other_files_come(demo_files, tmp_path, caplog, how):
    folder, batch = tmp_path / "in", tmp_path / "in" / "talking_heads_demo_batch"
    folder.mkdir()
    if how == "a file":
        batch.write_text("mine")
    else:
        batch.symlink_to("gone")
    demo_files.offer(folder)
    assert set(files(folder)) - {batch.name} == {name for name in NAMES if "/" not in name} and not caplog.records
    assert batch.read_text() == "mine" if how == "a file" else os.readlink(batch) == "gone"


def test_a_second_start_only_looks(demo_files, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_files, "_copy", lambda *given: pytest.fail("copied again"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "base" / "input").rglob("*")}
    make_host(tmp_path / "base")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "base" / "input").rglob("*")} == before


def test_what_a_killed_start_left_is_removed_and_a_file_that_comes_meanwhile_stays(demo_files, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    left = part_name("talking_heads_demo_speech.wav").replace(f"-{os.getpid()}-", "-4194305-")  # of a process there is not
    (folder / left).write_bytes(b"half")
    copy = demo_files.shutil.copyfile

    def slow(source, target):
        copy(source, target)
        (folder / "talking_heads_demo_speech.wav").write_bytes(b"another's")

    monkeypatch.setattr(demo_files.shutil, "copyfile", slow)
    demo_files.offer(folder)
    assert set(files(folder)) == NAMES and files(folder)["talking_heads_demo_speech.wav"] == b"another's"


def full(*given):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("case", ["missing", "a file", "full"])
def test_a_folder_that_takes_none_is_told_in_one_line(demo_files, tmp_path, monkeypatch, caplog, case):
    folder = tmp_path / "in"
    if case == "a file":
        folder.write_text("")
    elif case == "full":
        folder.mkdir()
        monkeypatch.setattr(demo_files.shutil, "copyfile", full)
    demo_files.offer(folder)
    (told,) = caplog.records
    assert told.levelname == "WARNING" and str(folder) in told.getMessage() and "restart ComfyUI" in told.getMessage()
    assert folder.exists() is (case != "missing") and (case != "full" or not files(folder))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs POSIX permissions, which root has not")
def test_a_read_only_folder_is_told(demo_files, tmp_path, caplog):
    (tmp_path / "in").mkdir(mode=0o555)
    demo_files.offer(tmp_path / "in")
    assert "Permission denied" in caplog.text and not files(tmp_path / "in")


def test_a_pack_without_its_demo_folder_loads(demo_files, tmp_path, caplog):
    demo_files.offer(tmp_path / "in", demo=tmp_path / "none")
    assert not caplog.records


def test_hidden_files_and_others_are_not_offered(demo_files, tmp_path):
    for name in ("demo_a.wav", ".demo_b.wav", "notes.txt"):
        (tmp_path / name).write_text("")
    assert set(demo_files.demo_files(tmp_path)) == {"talking_heads_demo_a.wav"}


def test_the_model_folder_exists_from_the_start(host, tmp_path, monkeypatch, caplog):
    bridge = sys.modules[f"{host.packs[0].module.__name__}.nodes.bridge"]
    models = tmp_path / "base" / "models"
    assert (models / "talking_heads").is_dir()
    (models / "talking_heads").rmdir()
    with monkeypatch.context() as patch:
        patch.setattr(bridge.os, "mkdir", full)
        bridge.register_model_folder()
    assert [str(models / "talking_heads") in record.getMessage() for record in caplog.records] == [True]


def test_a_folder_of_extra_model_paths_stands_first_and_no_models_folder_is_made(tmp_path):
    """The command line's base folder is the user's own: without models/ it gets none."""
    from talking_heads.host.graph import Host

    host = Host(str(tmp_path / "base"), packs=(str(ROOT),))
    assert not (tmp_path / "base" / "models").exists()
    bridge, folders = own(host, "nodes.bridge"), importlib.import_module("folder_paths")
    folders.folder_names_and_paths["talking_heads"][0].insert(0, str(tmp_path / "elsewhere"))  # as ComfyUI does from the file
    bridge.register_model_folder()
    assert bridge.new_model_path("me").parent == (tmp_path / "elsewhere").resolve()
