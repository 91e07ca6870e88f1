"""What every long command has in common: its result told, Ctrl-C heard, other processes silent."""
from __future__ import annotations

import io
import os
import signal

import pytest
from talking_heads.cli import progress_line
from talking_heads.cli.progress_line import INTERRUPTED, OK, ProgressLine, run_job


def job(steps: int, stop_at: int | None = None):
    def work(report):
        for step in range(steps):
            if step == stop_at:
                signal.raise_signal(signal.SIGINT)
            report(step + 1, steps, {"loss": 0.5})
        return steps
    return work


def show(line, done, total, info):
    line.show(f"Step {done}", done, total)


def tell(result):
    print(f"made {result}")


def test_the_result_is_told_when_the_job_is_done(capsys):
    assert run_job(job(2), show, tell) == OK
    out, err = capsys.readouterr()
    assert out == "made 2\n" and err == "Step 1\nStep 2\n"


@pytest.mark.parametrize("goes_on", [True, False])
def test_ctrl_c_ends_the_job_within_one_step(goes_on, capsys):
    before = signal.getsignal(signal.SIGINT)
    assert run_job(job(3, stop_at=1), show, tell, goes_on=goes_on) == INTERRUPTED
    out, err = capsys.readouterr()
    assert out == "" and "Step 2" not in err and "Interrupted." in err and ("continues where it stopped" in err) == goes_on
    assert signal.getsignal(signal.SIGINT) is before


def test_processes_beside_the_main_one_are_silent_and_stop_too(capsys):
    assert run_job(job(2), show, tell, silent=True) == OK and capsys.readouterr() == ("", "")
    assert run_job(job(3, stop_at=1), show, tell, silent=True) == INTERRUPTED
    out, err = capsys.readouterr()
    assert out == "" and "Step" not in err and "Interrupted." not in err


def test_errors_pass_and_ctrl_c_is_as_before(capsys):
    def work(report):
        raise ValueError("no")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="no"):
        run_job(work, show, tell)
    assert signal.getsignal(signal.SIGINT) is before and capsys.readouterr().out == ""


def test_what_a_node_says_of_its_work_stands_behind_its_progress():
    """Of the first picture, say, that the rasteriser is being compiled; with the next node it is gone."""
    import logging

    from talking_heads.cli.jobs import GraphJob, _listening
    from talking_heads.media_core.captions import NOTE

    shown = []
    graph = object.__new__(GraphJob)
    graph.line = type("Line", (), {"show": lambda self, *what: shown.append(what)})()
    graph._titles, graph._stopped, graph._note = {"3": "Render", "4": "Save"}, False, ""
    progress = {"nodes": {"3": {"value": 0, "max": 9}}}
    log = logging.getLogger("talking_heads")
    before = log.level, list(log.handlers)
    with _listening(graph._heard):
        graph._event("executing", {"node": "3"})
        log.info("0/9  Compiling", extra={NOTE: "Compiling"})
        log.info("something else")
        graph._event("progress_state", progress)
        graph._event("executing", {"node": "4"})
        graph._event("progress_state", progress)
    assert shown == [("Render",), ("Render", 0, 9, "Compiling"), ("Save",), ("Render", 0, 9, "")]
    assert (log.level, list(log.handlers)) == before


class Terminal(io.StringIO):
    """A terminal that may know its size."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 7


@pytest.mark.parametrize("columns, width", [(80, 79), (200, 100), (0, 100), (None, 100)])
def test_a_line_never_wraps(columns, width, monkeypatch):
    """A wrapped line could not be drawn over: each redrawing would add one."""
    def size(fd: int) -> os.terminal_size:
        if columns is None:
            raise OSError("no terminal")
        return os.terminal_size((columns, 24))

    monkeypatch.setattr(progress_line.os, "get_terminal_size", size)
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("Training", 1, 2, "long " * 50)
    line.close()
    assert [len(part) for part in terminal.getvalue().split("\r")] == [0, width, width, 0]
