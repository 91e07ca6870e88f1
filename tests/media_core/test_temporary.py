"""What killed processes leave is told from what living ones are writing, and removed."""
from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from types import SimpleNamespace

import pytest
import torch
from crash import DEAD
from talking_heads.media_core import temporary
from talking_heads.media_core.files import atomic_path, load_tensors, save_tensors
from talking_heads.media_core.paths import is_temporary
from talking_heads.media_core.temporary import part_name, remove_leftovers, runs, temporary_folder

DAYS = 2 * 86400  # s


def aged(path, seconds=DAYS):
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def leftover(folder, monkeypatch, name="a.safetensors", process=DEAD, place=None):
    """A file as a process that was killed has left it."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: process)
        if place is not None:
            patch.setattr(temporary, "place_of_processes", lambda: place)
        path = folder / part_name(name)
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("name", ["a", "a.mp4", ".request.json", "x" * 240 + ".mp4", "x" * 255, "结" * 83 + ".mp4", "é" * 127,
                                  "a." + "b" * 250, "🙂" * 63])
def test_temporary_names_are_no_longer_than_the_file_system_allows(tmp_path, name):
    part = part_name(name)
    assert len(part.encode()) <= max(80, len(name.encode())) and is_temporary(part) and part != part_name(name)
    with atomic_path(tmp_path / name) as path:
        path.write_bytes(b"whole")
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_ending_stays_since_libraries_go_by_it():
    assert part_name("x" * 248 + ".npz").endswith(".part.npz") and part_name("a.b.mp4").startswith(".a.b.")


def test_a_long_name_is_saved_and_read(tmp_path):
    path = save_tensors(tmp_path / ("结" * 80 + ".safetensors"), {"x": torch.ones(1)}, kind="x", version=1, config={})
    assert load_tensors(path, kind="x", version=1)[0]["x"] == 1


def test_the_next_save_removes_what_a_killed_one_left(tmp_path, monkeypatch):
    for name in ("a.safetensors", "b.safetensors", "x" * 240 + ".safetensors"):
        leftover(tmp_path, monkeypatch, name)
    save_tensors(tmp_path / "a.safetensors", {}, kind="x", version=1, config={})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_living_processes_and_other_machines_write_stays(tmp_path, monkeypatch):
    mine = aged(leftover(tmp_path, monkeypatch, process=os.getpid()))
    parents = aged(leftover(tmp_path, monkeypatch, process=os.getppid()))
    elsewhere = leftover(tmp_path, monkeypatch, place="00000000")
    forgotten = aged(leftover(tmp_path, monkeypatch, place="00000000"))
    older, oldest = tmp_path / ".a.0123456789ab.part.json", aged_file(tmp_path / ".b.0123456789ab.part")
    older.write_bytes(b"")
    foreign = aged_file(tmp_path / ".a.part.safetensors"), aged_file(tmp_path / "a.0123456789ab.part.json")
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {mine, parents, elsewhere, older, *foreign}
    assert not forgotten.exists() and not oldest.exists()


def aged_file(path):
    path.write_bytes(b"")
    return aged(path)


def test_folders_below_only_where_asked(tmp_path, monkeypatch):
    (tmp_path / "shards").mkdir()
    path = leftover(tmp_path / "shards", monkeypatch)
    remove_leftovers(tmp_path)
    assert path.exists()
    remove_leftovers(tmp_path, below=True)
    assert not path.exists()


def test_temporary_folders_of_killed_runs_go_when_the_next_one_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: DEAD)
        with temporary_folder("talking_heads_") as name:
            killed = tmp_path / os.path.basename(name)
    (killed / "output").mkdir(parents=True)
    (killed / "output" / "film.mp4").write_bytes(b"")
    older, old = tmp_path / "talking_heads_abcdefgh", tmp_path / "talking_heads_abcdefg_"
    far, lately = (tmp_path / f"talking_heads_{place * 8}-7-abcdef_abcdefgh" for place in "01")  # of other containers
    for folder in (older, old, tmp_path / "talking_heads_of_mine", tmp_path / "other_abcdefgh", far, lately):
        folder.mkdir()
        aged(folder, 4 * DAYS)
    aged(old, 60)
    aged(lately, 3 * DAYS)  # a job may work so long without writing to it
    with temporary_folder("talking_heads_") as one, temporary_folder("talking_heads_") as two:
        left = {path.name for path in tmp_path.iterdir()} - {os.path.basename(one), os.path.basename(two)}
        assert left == {"talking_heads_abcdefg_", "talking_heads_of_mine", "other_abcdefgh", lately.name}
    assert not os.path.exists(one)


def test_a_process_that_ended_and_was_not_collected_does_not_run():
    assert runs(os.getpid()) and runs(os.getppid()) and not runs(DEAD)
    if hasattr(os, "waitid"):
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not runs(child.pid) or not os.path.isdir("/proc/self")
        child.wait()


@pytest.mark.parametrize("handle, error, state, there", [(0, 5, 0, True), (0, 87, 0, False), (7, 0, 0x102, True),
                                                          (7, 5, 0, False)])
def test_what_windows_says_of_a_process(monkeypatch, handle, error, state, there):
    """The error is the one ctypes kept: what it calls in between may change the system's own."""
    closed = []

    def library(name, use_last_error=False):
        assert name == "kernel32" and use_last_error
        return SimpleNamespace(OpenProcess=lambda rights, inherit, process: handle, CloseHandle=closed.append,
                               WaitForSingleObject=lambda handle, time: state)

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", library, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    assert runs(12) is there and closed == [handle] * bool(handle)
