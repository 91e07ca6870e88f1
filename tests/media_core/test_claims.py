"""One writer at a time: the second is refused at once, and a killed one stops nobody."""
from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core import claims
from talking_heads.media_core.capture import capture
from talking_heads.media_core.claims import claim, claimed
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import export_dataset
from talking_heads.media_core.video import VideoWriter
from talking_heads.moditalker_core.atom.official import import_atom
from talking_heads.moditalker_core.atom.training import train_atom
from talking_heads.moditalker_core.data.from_subject import build_from_subject
from talking_heads.moditalker_core.data.from_videos import build_from_videos
from talking_heads.moditalker_core.mtov.official import import_autoencoder, import_mtov
from talking_heads.moditalker_core.mtov.training import train_mtov


@contextmanager
def held_elsewhere(target):
    """Another thread has `target`."""
    ready, done = Event(), Event()

    def hold():
        with claim(target):
            ready.set()
            done.wait(60)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(hold)
        ready.wait(60)
        try:
            yield
        finally:
            done.set()
            work.result()


def test_the_second_is_refused_while_the_first_works(tmp_path):
    target = tmp_path / "a.safetensors"
    with held_elsewhere(target):
        with pytest.raises(TalkingHeadsError, match=r"Only one run.*a\.safetensors.*Got: process \d+ on .*Wait"):
            with claim(tmp_path / "x" / ".." / "a.safetensors"):
                pass
        with claim(tmp_path / "b.safetensors"):
            pass
    with claim(target):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.name != "x"] == []


def test_what_a_job_has_its_parts_may_have_too(tmp_path):
    with claim(tmp_path / "a"):
        with claim(tmp_path / "a"):
            pass
        assert claims.lock_path(tmp_path / "a").exists(), "the outer one still has it"
    assert not list(tmp_path.iterdir())


def test_folders_made_for_the_lock_alone_go_again(tmp_path):
    with claim(tmp_path / "a" / "b" / "c.mp4"):
        pass
    assert not list(tmp_path.iterdir())
    with claim(tmp_path / "a" / "b" / "c.mp4"):
        (tmp_path / "a" / "d").mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "d"]


KILLED = """
import os, signal, sys
from talking_heads.media_core.claims import claim
with claim(sys.argv[1]):
    print("has it", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_between_processes_and_a_killed_one_stops_nobody(tmp_path):
    target = tmp_path / "a.mp4"
    other = subprocess.Popen([sys.executable, "-c", KILLED, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"has it\n"
    with pytest.raises(TalkingHeadsError, match=f"process {other.pid} on "), claim(target):
        pass
    other.communicate()
    assert other.returncode < 0 and claims.lock_path(target).exists()
    with claim(target):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_goes_while_it_is_taken_is_taken_anew(tmp_path, monkeypatch):
    """The last holder removes the file between our opening and our locking it: that lock would keep nobody out."""
    lock, plain = claims._lock, []

    def late(descriptor):
        if not plain:
            plain.append(claims.lock_path(tmp_path / "a").unlink())
        lock(descriptor)
    monkeypatch.setattr(claims, "_lock", late)
    with claim(tmp_path / "a"), ThreadPoolExecutor(1) as pool, pytest.raises(TalkingHeadsError, match="Only one run"):
        pool.submit(lambda: claim(tmp_path / "a").__enter__()).result()
    assert plain


@pytest.mark.parametrize("name", ["a", "x" * 255, "结" * 85])
def test_the_lock_of_any_name_has_room(tmp_path, name):
    with held_elsewhere(tmp_path / name), pytest.raises(TalkingHeadsError, match="Only one run"), claim(tmp_path / name):
        pass


def test_where_nothing_can_be_locked_the_work_says_what_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with claim(tmp_path / "file" / "a"):
        pass

    def unknown(descriptor):
        raise OSError(38, "Function not implemented")
    monkeypatch.setattr(claims, "_lock", unknown)
    with claim(tmp_path / "a"):
        pass


@pytest.mark.parametrize("platform, code, held", [("linux", errno.EACCES, False), ("linux", errno.ENOLCK, False),
                                                  ("linux", errno.EAGAIN, True), ("win32", errno.EACCES, True)])
def test_a_server_that_grants_no_locks_is_no_other_run(tmp_path, monkeypatch, caplog, platform, code, held):
    def refuse(descriptor):
        raise OSError(code, "refused")

    monkeypatch.setattr(claims, "_lock", refuse)
    monkeypatch.setattr(sys, "platform", platform)
    with caplog.at_level("INFO"):
        if held:
            with pytest.raises(TalkingHeadsError, match="Only one run"), claim(tmp_path / "a"):
                pass
        else:
            with claim(tmp_path / "a"):
                pass
            assert "without a lock" in caplog.text


def test_the_file_is_closed_when_its_holder_cannot_be_read(tmp_path, monkeypatch):
    closed, close = [], os.close

    def unreadable(descriptor, size):
        raise PermissionError(errno.EACCES, "locked")

    def note(descriptor):
        closed.append(descriptor)
        close(descriptor)

    with held_elsewhere(tmp_path / "a"):
        monkeypatch.setattr(os, "read", unreadable)
        monkeypatch.setattr(os, "close", note)
        with pytest.raises(TalkingHeadsError, match="another run"), claim(tmp_path / "a"):
            pass
        monkeypatch.undo()
    assert len(closed) == 1


@pytest.mark.parametrize("times", [1, 2, 1000])
def test_a_folder_that_another_run_removes_meanwhile_is_made_again(tmp_path, monkeypatch, times):
    """It had made it for its own lock, and failed. A folder that goes again and again is given up."""
    path, plain, removed = claims.lock_path(tmp_path / "new" / "a"), os.open, []

    def late(name, *arguments, **options):
        if name == path and len(removed) < times:
            removed.append(path.parent.rmdir())
        return plain(name, *arguments, **options)

    monkeypatch.setattr(os, "open", late)
    with claim(tmp_path / "new" / "a"):
        assert path.exists() == (times < 1000)
    assert len(removed) == min(times, 10) and not list(tmp_path.iterdir())


def test_a_folder_made_anew_for_the_lock_goes_again(tmp_path, monkeypatch):
    """Also when it was there, another run's, at the first look."""
    path, plain = claims.lock_path(tmp_path / "new" / "a"), os.open
    path.parent.mkdir()

    def late(name, *arguments, **options):
        if name == path and not removed:
            removed.append(path.parent.rmdir())
        return plain(name, *arguments, **options)

    removed: list[None] = []
    monkeypatch.setattr(os, "open", late)
    with claim(tmp_path / "new" / "a"):
        assert path.exists()
    assert removed and not list(tmp_path.iterdir())


class Member:
    """One of two processes that work together; `other` says what the other one says."""

    def __init__(self, main, other=False):
        self.main, self.other = main, other

    def any(self, said):
        return said or self.other


def test_of_a_team_the_main_process_claims_and_all_are_refused(tmp_path):
    ran = []
    work = claimed("out", group="group")(lambda out, group=None: ran.append(group))
    with held_elsewhere(tmp_path / "a"):
        with pytest.raises(TalkingHeadsError, match="process"):
            work(tmp_path / "a", Member(True))
        with pytest.raises(TalkingHeadsError, match="another run"):
            work(tmp_path / "a", group=Member(False, other=True))
        work(tmp_path / "a", Member(False))
    work(tmp_path / "a", Member(True))
    work(tmp_path / "a")
    assert len(ran) == 3


JOBS = {"AToM": lambda out: train_atom("none", out), "MToV": lambda out: train_mtov("rgb", "none", out),
        "avatar": lambda out: train_avatar("none", out), "import AToM": lambda out: import_atom("none", out),
        "import MToV": lambda out: import_mtov("none", "none", "none", out),
        "import autoencoder": lambda out: import_autoencoder("none", out, role="rgb"),
        "capture": lambda out: capture("none", out), "subject": lambda out: export_dataset(out, 1.0, 0),
        "motion of the subject": build_from_subject, "motion of videos": lambda out: build_from_videos("none", out),
        "film": lambda out: VideoWriter(out, 16, 16).__enter__()}


@pytest.mark.parametrize("job", JOBS)
def test_every_long_job_is_refused_at_once(tmp_path, job):
    with held_elsewhere(tmp_path / "out"), pytest.raises(TalkingHeadsError, match="Only one run"):
        JOBS[job](tmp_path / "out")
    assert not list(tmp_path.iterdir())
