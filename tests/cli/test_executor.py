"""The executors: the same outcomes from this process and from any number of Ray's, whatever happens to them."""
from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from ray_workers import WORKERS, processes
from talking_heads.cli import ray_pool
from talking_heads.cli.executor import InProcess, chosen_executor
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, main
from talking_heads.cli.ray_executor import OnRay
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError

TOY = "toy_worker:Toy"


def run(does, units, *, retries=0, ordered=True, watch=lambda *_: None, again=lambda *_: None):
    return list(does.run(TOY, units, watch=watch, again=again, retries=retries, ordered=ordered))


def squares(outcomes):
    return [outcome.result["square"] for outcome in outcomes]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_outcomes_come_in_order_from_any_number_of_workers(ray, workers, tmp_path):
    meet = [str(tmp_path / "here"), workers]
    units = [{"square": number, "wait": 0.2 * (number % 3 == 0), "meet": meet} for number in range(12)]
    does = chosen_executor(str(workers))
    assert isinstance(does, InProcess if workers == 1 else OnRay)
    outcomes = run(does, units)
    assert [outcome.number for outcome in outcomes] == list(range(12)) and squares(outcomes) == [n * n for n in range(12)]
    processes = {outcome.result["process"] for outcome in outcomes}
    assert len(processes) == workers, "one process each, which keeps its worker from unit to unit"
    assert (os.getpid() in processes) == (workers == 1)
    assert sum(outcome.result["units"] == 1 for outcome in outcomes) == workers


def test_what_is_ready_need_not_wait(ray):
    outcomes = run(OnRay("2"), [{"square": 0, "wait": 3}, *({"square": number} for number in range(1, 5))], ordered=False)
    assert outcomes[-1].number == 0 and sorted(squares(outcomes)) == [0, 1, 4, 9, 16]


def test_in_order_no_more_than_two_each_are_ahead(ray):
    begun = []
    stream = OnRay("2").run(TOY, [{"square": 0, "wait": 2}, *({"square": number} for number in range(1, 20))],
                            watch=lambda number, done, total, info: begun.append(number) if not info else None,
                            again=lambda *_: None)
    assert next(stream).number == 0 and max(begun) <= 3
    assert squares(stream) == [number ** 2 for number in range(1, 20)]


def test_a_killed_workers_unit_is_done_by_another(ray, tmp_path):
    told = []
    units = [{"square": number, **({"die": str(tmp_path / "died")} if number == 2 else {})} for number in range(6)]
    outcomes = run(OnRay("2"), units, again=lambda number, error: told.append((number, error)))
    assert squares(outcomes) == [n * n for n in range(6)] and all(outcome.attempts == 1 for outcome in outcomes)
    ((number, error),) = told
    assert number == 2 and "A worker must live" in str(error) and "fewer --workers" in str(error)


def test_a_unit_that_always_kills_its_worker_fails_and_the_others_do_not(ray):
    outcomes = run(OnRay("2"), [{"square": 1}, {"square": 2, "always die": 1}, {"square": 3}])
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, TalkingHeadsError) and "4 times" in str(outcomes[1].error)


@pytest.mark.parametrize("workers", [1, 2])
def test_retries_and_errors(ray, workers, tmp_path):
    units = [{"square": 1, "fail": str(tmp_path / "a")}, {"square": 2, "raise": "ours"}, {"square": 3, "raise": "other"}]
    told = []
    outcomes = run(chosen_executor(str(workers)), units, retries=1, again=lambda number, error: told.append((number, str(error))))
    assert [outcome.attempts for outcome in outcomes] == [2, 2, 2]
    assert outcomes[0].result["square"] == 1 and outcomes[0].result["forgotten"] > 0, "its memory was given back in between"
    ours = outcomes[1].error
    assert type(ours) is TalkingHeadsError
    assert (ours.must, ours.came, ours.do) == ("The speech must be there", "none", "Record some")
    assert "what" in str(outcomes[2].error) and (workers == 1 or "KeyError" in str(outcomes[2].error))
    assert sorted(number for number, _ in told) == [0, 1, 2] and any("the disk is full" in text for _, text in told)


def test_a_machine_where_workers_cannot_start_ends_the_run(ray):
    with pytest.raises(TalkingHeadsError, match="must have this version of Talking Heads.*nowhere"):
        list(OnRay("2").run("nowhere:Toy", [{"square": 1}] * 9, watch=lambda *_: None, again=lambda *_: None))


def test_workers_that_never_start_end_the_run(ray, monkeypatch):
    monkeypatch.setattr(ray_pool, "_START", 3.0)
    with pytest.raises(TalkingHeadsError, match="must start within 3 s. Got: none of 2 has. Look at `ray status`"):
        list(OnRay("2").run("toy_worker:Stuck", [{"square": 1}] * 3, watch=lambda *_: None, again=lambda *_: None))
    gone(ray)


def test_the_others_go_on_without_a_worker_that_does_not_start(ray, monkeypatch, caplog, tmp_path):
    """There is no room for a fifth, and it is not waited for."""
    monkeypatch.setattr(ray_pool, "_START", 6.0)
    units = [{"square": number, "wait": 9 * (number == 0)} for number in range(6)]
    assert squares(run(OnRay(str(WORKERS + 1)), units)) == [n * n for n in range(6)]
    assert "1 of 5 workers have not started within 6 s" in caplog.text


def test_ctrl_c_while_workers_start(ray):
    def pressed(number, done, total, info):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(OnRay("2").run("toy_worker:Stuck", [{"square": 1}], watch=pressed, again=lambda *_: None))
    gone(ray)


def gone(ray) -> None:
    """Waits until Ray has taken every worker back and its process has ended: which of the two comes first is not said."""
    until = time.monotonic() + 20
    while (ray.available_resources().get("CPU") != WORKERS or processes()) and time.monotonic() < until:
        time.sleep(0.2)
    assert ray.available_resources().get("CPU") == WORKERS and processes() == []


def test_progress_is_told(ray):
    seen = []
    run(OnRay("2"), [{"square": 1, "wait": 2.5}], watch=lambda *told: seen.append(told))
    assert seen[0] == (0, 0, 0, {}) and (0, 1, 2, {"phase": "toy"}) in seen


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_cancelling_ends_the_workers(ray, tmp_path):
    def pressed(number, done, total, info):
        if len(processes()) == 2 and len(list(tmp_path.glob("here/*"))) == 2:
            raise Cancelled("stopped")

    long = {"square": 1, "wait": 60, "meet": [str(tmp_path / "here"), 2]}
    with pytest.raises(Cancelled):
        run(OnRay("2"), [long, long, {"square": 3}], watch=pressed)
    gone(ray)


@pytest.mark.parametrize("workers", ["0", "-1", "many", "1001", "1.5"])
def test_no_such_workers(workers):
    with pytest.raises(TalkingHeadsError, match="ray://"):
        chosen_executor(workers)


def test_without_ray_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TalkingHeadsError, match=r"talking-heads\[cluster\]"):
        run(OnRay("2"), [{"square": 1}])


@pytest.fixture
def manifest(tiny_avatar, tmp_path) -> Path:
    """Twenty lines of 0.2 s."""
    (tmp_path / "me.safetensors").write_bytes(tiny_avatar.read_bytes())
    lines = []
    for number in range(20):
        noise = 0.1 * np.random.default_rng(number).standard_normal((1, 3200))
        save_wav(tmp_path / f"{number}.wav", Sound(noise.astype(np.float32), 16000))
        lines.append({"audio": f"{number}.wav", "avatar": "me.safetensors", "output": f"{number}.mp4", "blinks": "generated",
                      "seed": number})
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "jobs.jsonl"


def batch(manifest: Path, out: str, *options: str) -> int:
    return main(["batch", str(manifest), "--output-dir", str(manifest.parent / out), "--device", "cpu", *options])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_twenty_lines_on_two_workers_equal_the_local_ones_though_one_is_killed(ray, manifest, capsys):
    place = manifest.parent
    assert batch(manifest, "here") == OK, capsys.readouterr().err
    killed = []

    def kill() -> None:
        until = time.monotonic() + 120
        while len(list((place / "there").glob("[0-9]*.mp4"))) < 5 and time.monotonic() < until:
            time.sleep(0.05)
        for one in processes()[:1]:
            killed.append(one)
            os.kill(one, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert batch(manifest, "there", "--workers", "2") == OK, capsys.readouterr().err
    killer.join()
    assert killed and len(list((place / "there").glob("[0-9]*.mp4"))) == 20
    for number in range(20):
        assert (place / "here" / f"{number}.mp4").read_bytes() == (place / "there" / f"{number}.mp4").read_bytes(), number
    rows = [json.loads(line) for line in (place / "there" / "jobs.report.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == list(range(1, 21)) and all(row["status"] == "ok" and row["where"] for row in rows)
    assert "trying again: A worker must live" in capsys.readouterr().err


def test_a_machine_without_a_file_names_itself_and_the_file(ray, manifest, capsys):
    """The file goes after the manifest was checked, as on a machine that never had it."""
    from talking_heads.cli import batch_work

    def vanish(job):
        (manifest.parent / "3.wav").unlink(missing_ok=True)
        return unit_of(job)

    unit_of, batch_work.unit_of = batch_work.unit_of, vanish
    try:
        lines = manifest.read_text().splitlines()[2:5]
        manifest.write_text("\n".join(lines))
        assert batch(manifest, "out", "--workers", "2") == FAILED
    finally:
        batch_work.unit_of = unit_of
    told = capsys.readouterr().err
    assert "Every machine must have the files that it works on. Got:" in told and f"has no {manifest.parent / '3.wav'}" in told
    assert len(list((manifest.parent / "out").glob("[0-9]*.mp4"))) == 2


@pytest.mark.slow
def test_ctrl_c_with_workers(ray, manifest, capsys):
    def press() -> None:
        until, report = time.monotonic() + 120, manifest.parent / "out" / "jobs.report.jsonl"
        while (not report.exists() or report.read_text().count('"ok"') < 2) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    code = batch(manifest, "out", "--workers", "2")
    presser.join()
    assert code == INTERRUPTED
    files = {path.name for path in (manifest.parent / "out").iterdir()}
    assert not [name for name in files if ".part" in name or name.endswith(".lock")]
    rows = [json.loads(line) for line in (manifest.parent / "out" / "jobs.report.jsonl").read_text().splitlines()]
    assert 2 <= [row["status"] for row in rows].count("ok") < 20
