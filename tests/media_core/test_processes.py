"""Jobs in several processes: all are done, errors come back as they are, and a process that dies says so."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.processes import in_processes


def write(job: Path, report) -> None:
    report(1, 1, {})
    job.write_text(str(os.getpid()))


def refuse(job: Path, report) -> None:
    raise TalkingHeadsError("A job must hold", job.name, "Mend it")


def die(job: Path, report) -> None:
    os._exit(3)


def test_every_job_is_done_elsewhere(tmp_path):
    jobs, told = [tmp_path / f"{i}" for i in range(3)], []
    in_processes(write, jobs, 2, told.append)
    assert {path.read_text() for path in jobs}.isdisjoint({str(os.getpid())}) and list(told[-1]) == [1, 1, 1]


def test_errors_come_back(tmp_path):
    with pytest.raises(TalkingHeadsError, match="A job must hold. Got: a"):
        in_processes(refuse, [tmp_path / "a"], 1, lambda done: None)
    with pytest.raises(TalkingHeadsError, match="ended from outside"):
        in_processes(die, [tmp_path / "a"], 1, lambda done: None)

    def stop(done) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        in_processes(write, [tmp_path / "a"], 1, stop)
