"""Numbered results: however many are written at once, each keeps its own place."""
from __future__ import annotations

import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from crash import DEAD, contents, killed_at
from talking_heads.media_core.files import save_tensors
from talking_heads.media_core.numbered import save_numbered


def test_results_written_at_once_keep_their_own(tmp_path):
    at_once, together = 6, Barrier(6)

    def run(number: int):
        def write(path):
            path.write_text(str(number))
            together.wait(30)  # all have chosen their first number, none is done

        return save_numbered(lambda n: tmp_path / f"a_{n:05}_.txt", 1, write)

    with ThreadPoolExecutor(at_once) as pool:
        saved = list(pool.map(run, range(at_once)))
    assert sorted(number for _, number in saved) == list(range(1, at_once + 1))
    assert [path.read_text() for path, _ in saved] == [str(number) for number in range(at_once)]
    assert len(list(tmp_path.iterdir())) == at_once


@pytest.mark.parametrize("links", [True, False])
def test_a_number_taken_meanwhile_is_left_alone(tmp_path, monkeypatch, links):
    if not links:  # a memory card, say
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))

    def write(path):
        assert path.suffix == ".txt"
        path.write_text("mine")
        (tmp_path / "a_4.txt").write_text("theirs")

    assert save_numbered(lambda n: tmp_path / f"a_{n}.txt", 4, write) == (tmp_path / "a_5.txt", 5)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a_4.txt": "theirs", "a_5.txt": "mine"}


@pytest.mark.parametrize("links", [True, False])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, links):
    def write(path):
        path.write_text("half")
        if links:
            raise KeyboardInterrupt

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    error = KeyboardInterrupt
    if not links:
        error = OSError
        whole = os.replace
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
        monkeypatch.setattr(os, "replace", lambda a, b: full() if str(b).endswith("a_1.txt") else whole(a, b))
    with pytest.raises(error):
        save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, write)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_nothing_for_long(tmp_path, monkeypatch):
    """Nor half a file under a number: the next run removes what is hidden."""
    def write(path):
        save_tensors(path, {"x": torch.ones(1)}, kind="x", version=1, config={})

    def save(folder):
        return save_numbered(lambda n: folder / f"a_{n}.safetensors", 1, write)

    with killed_at(tmp_path / "whole", sys.maxsize) as changes:
        save(tmp_path / "whole")
    (content,) = contents(tmp_path / "whole").values()
    assert len(changes) > 5
    for event in range(1, len(changes) + 1):
        folder = tmp_path / str(event)
        with monkeypatch.context() as patch, killed_at(folder, event) as seen:
            patch.setattr(os, "getpid", lambda: DEAD)
            save(folder)
        assert len(seen) >= event, "it was killed"
        _, number = save(folder)
        assert contents(folder) == {f"a_{n}.safetensors": content for n in range(1, number + 1)}, seen[event - 1]


def test_the_user_mask_decides_who_reads_it(tmp_path):
    path, _ = save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, lambda path: path.write_text("mine"))
    (tmp_path / "plain").write_text("")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_hidden_file_that_stays_does_not_fail_the_run(tmp_path, monkeypatch):
    """A virus scanner reads it."""
    def held(self, missing_ok=False):
        raise PermissionError(errno.EACCES, "in use")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        path, _ = save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, lambda path: path.write_text("mine"))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("code", ["ENAMETOOLONG", "ENOSPC", "EACCES", "EROFS"])
def test_what_no_other_way_would_mend_is_told_at_once(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(getattr(errno, code), "refused")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="refused"):
        save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, lambda path: path.write_text("mine"))
    assert not list(tmp_path.iterdir())


def test_on_windows_a_rename_replaces_nothing(tmp_path, monkeypatch):
    plain = os.rename

    def rename(source, target):
        if os.path.exists(target):
            raise FileExistsError(errno.EEXIST, "there is one")
        plain(source, target)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "link", None)
    (tmp_path / "a_1.txt").write_text("theirs")
    assert save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, lambda path: path.write_text("mine"))[1] == 2
    assert contents(tmp_path) == {"a_1.txt": b"theirs", "a_2.txt": b"mine"}
