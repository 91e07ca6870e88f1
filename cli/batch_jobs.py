"""`talking-heads batch`: many videos from one manifest, here or on a ComfyUI server (docs/batch.md)."""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..media_core.claims import claim
from ..media_core.errors import Cancelled, TalkingHeadsError
from ..media_core.remaining import duration, left
from . import avatar_jobs, video_jobs
from .batch_manifest import Job, read_manifest
from .batch_state import Report
from .devices import add_device
from .executor import SERVER, Executor, Outcome, add_workers, chosen_executor
from .progress_line import INTERRUPTED, OK, PrefixedLine, ProgressLine, stoppable

FAILED = 1


def add_options(batch: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = batch.add_argument
    add("manifest", metavar="MANIFEST.jsonl",
        help='one job a line, such as {"audio": "a.wav", "avatar": "me.safetensors", "output": "a.mp4"}; "portrait" (image) or '
             '"video" in place of "avatar"; other settings: the options of `talking-heads avatar` or `video`, with _ for -')
    add("--output-dir", metavar="DIR", help="where relative outputs go (default: BASE/output)")
    add("--input-dir", metavar="DIR", help="where relative names of files to read start (default: the manifest's folder)")
    add("--retries", type=int, default=0, metavar="N", help="further attempts at a video that fails (default: 0)")
    add("--again", action="store_true", help="make all videos again, also those that are finished")
    add("--check", action="store_true", help="check all lines, and make nothing")
    add("--report", metavar="FILE", help="how each line ended, as JSON lines; a later run reads there what is finished (default: "
                                         "MANIFEST.report.jsonl in the output folder)")
    add("--server", metavar="URL", help="let a running ComfyUI with this node pack make the videos, such as "
                                        "http://127.0.0.1:8188")
    add_workers(add)
    add_device(add)


def run_batch(options: argparse.Namespace) -> int:
    """Runs the command: exit code. 1: a video failed."""
    if options.retries < 0:
        raise TalkingHeadsError("--retries must be a whole number of 0 or more", f"{options.retries}", "Choose another one")
    outputs = Path(options.output_dir or os.path.join(options.base_dir, "output")).resolve()
    jobs = read_manifest(options.manifest, input_dir=options.input_dir, output_dir=outputs, device=options.device,
                         local=options.server is None)
    executor = _executor(options, jobs)
    if options.check:
        print(f"{len(jobs)} lines, all of them can run")
        return OK
    from .jobs import writable

    for folder in {job.output.parent for job in jobs}:
        writable(folder)
    path = Path(options.report) if options.report else outputs / f"{Path(options.manifest).stem}.report.jsonl"
    writable(path.resolve().parent)
    with claim(path):
        report = Report(path, jobs)
        return _Batch(report, executor, options.retries).run(report.resume(options.again))


def _executor(options: argparse.Namespace, jobs: list[Job]) -> Executor:
    """What does the work.

    Raises:
        TalkingHeadsError: a server that does not answer, or cannot do these jobs.
    """
    if options.server is None:
        return chosen_executor(options.workers)
    if options.workers is not None:
        raise TalkingHeadsError("--workers are of this machine or of Ray", "--server as well", "Leave one of them out")
    from .batch_server import OnServer

    return OnServer(options.server, Path(options.manifest).name, jobs)


class _Batch:
    """The jobs of one call, with a progress line over all of them."""

    def __init__(self, report: Report, executor: Executor, retries: int):
        self._report, self._executor, self._retries = report, executor, retries
        self._line, self._stopped, self._began = ProgressLine(), False, time.perf_counter()
        self._jobs: list[Job] = []
        self._ended = 0

    def run(self, jobs: list[Job]) -> int:
        """Does the jobs, those with the same models together: exit code."""
        kept = len(self._report.jobs) - len(jobs)
        if kept:
            print(f"{kept} of {len(self._report.jobs)} videos are finished already", file=sys.stderr)
        self._jobs = grouped(jobs)
        interrupted = False
        try:
            with stoppable(self._stop):
                for outcome in self._outcomes():
                    self._note(self._jobs[outcome.number], outcome)
        except Cancelled:
            interrupted = True
        finally:
            self._line.close()
            self._report.finish()
        return self._told(interrupted)

    def _outcomes(self) -> Iterator[Outcome]:
        from .batch_work import WORKER, unit_of

        return self._executor.run(WORKER, [unit_of(job) for job in self._jobs], watch=self._watch, again=self._again,
                                  retries=self._retries, ordered=False)

    def _stop(self) -> None:
        self._stopped = True

    def _watch(self, number: int, done: int, total: int, info: Mapping[str, Any]) -> None:
        if self._stopped:
            raise Cancelled("stopped by Ctrl-C")
        job = self._jobs[number]
        self._report.key(job)  # of the files as they are when the work begins
        show = avatar_jobs.show if job.command == "avatar" else video_jobs.show
        line = PrefixedLine(self._line, f"{self._ended + 1}/{len(self._jobs)} {job.id}", self._left())
        if SERVER in info:
            line.show("on the server")
        elif info:
            show(line, done, total, info)

    def _left(self) -> str:
        """How much longer, from the videos so far."""
        spent = time.perf_counter() - self._began
        return left(spent / self._ended * (len(self._jobs) - self._ended)) if self._ended else ""

    def _again(self, number: int, error: Exception) -> None:
        self._say(f"{self._jobs[number].id}: trying again: {error}")

    def _note(self, job: Job, outcome: Outcome) -> None:
        self._ended += 1
        error = outcome.error
        if error is None and not job.output.is_file():
            error = TalkingHeadsError("All machines must share the output folder", f"{outcome.where} wrote {job.output}, which "
                                      "is not here", "Choose a shared folder with --output-dir")
        entry: dict[str, Any] = {"status": "ok" if error is None else "failed", "seconds": round(outcome.seconds, 2),
                                 "attempts": outcome.attempts}
        if outcome.where:
            entry["where"] = outcome.where
        if error is not None:
            entry["reason"] = _reason(error)
            self._say(f"{job.id}: {entry['reason']}")
        elif outcome.result and outcome.result.get("note"):
            entry["note"] = outcome.result["note"]
        self._report.add(job, entry)
        if error is None:
            self._line.close()
            print(job.output, flush=True)

    def _say(self, text: str) -> None:
        self._line.close()
        print(text, file=sys.stderr, flush=True)

    def _told(self, interrupted: bool) -> int:
        statuses = [entry["status"] for entry in self._report.entries.values()]
        ok, failed = statuses.count("ok"), statuses.count("failed")
        if interrupted:
            print("Interrupted. The same command continues with the videos that are missing.", file=sys.stderr)
        print(f"{ok} of {len(self._report.jobs)} videos are finished" + (f", {failed} failed" if failed else "")
              + f", in {duration(time.perf_counter() - self._began)}; report: {self._report.path}", file=sys.stderr)
        return INTERRUPTED if interrupted else FAILED if failed else OK


def grouped(jobs: list[Job]) -> list[Job]:
    """Jobs with the same models behind each other, so that each model is loaded once; else in their order."""
    first: dict[tuple, int] = {}
    for job in jobs:
        first.setdefault(job.models, len(first))
    return sorted(jobs, key=lambda job: first[job.models])


def _reason(error: Exception) -> str:
    from .main import plain

    return plain(error)
