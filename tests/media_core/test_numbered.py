"""Numbered results: however many are written at once, each keeps its own place."""
from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
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
        monkeypatch.setattr(os, "link", full)
        monkeypatch.setattr(os, "replace", lambda a, b: full() if str(b).endswith("a_1.txt") else whole(a, b))
    with pytest.raises(error):
        save_numbered(lambda n: tmp_path / f"a_{n}.txt", 1, write)
    assert not list(tmp_path.iterdir())
