"""Gives one format's reader damaged files, one after the other, in this process, and writes down what came of each.

    python tests/fuzz/attack.py FORMAT SEED START STOP FOLDER RESULTS

FOLDER holds the whole files (seeds.py). Input i is a function of (format, seed, i): any of them can be looked at again alone:
    python tests/fuzz/attack.py FORMAT SEED I I+1 FOLDER - --show
"""
from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.mutate import mutated

LIMIT = 5.0          # s for one input
ROOM = 4 << 30       # bytes of address space that reading may take beyond what the process has


class Slow(BaseException):
    """One input took too long."""


class Target:
    """A format's files in a folder of their own, and the function that reads them."""

    def __init__(self, name: str, whole: Path, work: Path):
        from fuzz.formats import FORMATS

        self.name, self.work = name, work
        shutil.copytree(whole, work, dirs_exist_ok=True)
        self.read: Callable[[], Any] = FORMATS[name].reader(work)
        self.files = {path: (work / path).read_bytes() for path in FORMATS[name].targets(work)}
        self.read()  # the whole files are read: else nothing below means anything

    def attack(self, seed: int, number: int, limit: float = LIMIT) -> tuple[str, float, str]:
        """("ok" | "clear" | "foreign" | "slow", seconds, what was raised) of one input."""
        random = Random(f"{self.name} {seed} {number}")
        path = random.choice(sorted(self.files))
        content = mutated(self.files[path], path, random)
        (self.work / path).write_bytes(content)
        begin = time.perf_counter()
        try:
            outcome, told = self._read(limit)
        finally:
            spent = time.perf_counter() - begin
            (self.work / path).write_bytes(self.files[path])
        return outcome, spent, told and f"{told} [{path}]"

    def _read(self, limit: float) -> tuple[str, str]:
        from talking_heads.host.workflow import WorkflowError
        from talking_heads.media_core.errors import Cancelled, TalkingHeadsError

        try:
            if limit:
                signal.setitimer(signal.ITIMER_REAL, limit)
            self.read()
            return "ok", ""
        except (TalkingHeadsError, WorkflowError, Cancelled):
            return "clear", ""
        except Slow:
            return "slow", "no answer in time"
        except Exception as error:  # what the fuzzer looks for
            return "foreign", f"{type(error).__name__}: {str(error)[:160]!r} at {_place(error)}"
        finally:
            if limit:
                signal.setitimer(signal.ITIMER_REAL, 0)


def _place(error: BaseException) -> str:
    """The last line of ours on the way to an error."""
    root = str(Path(__file__).resolve().parents[2])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(root) and "fuzz" not in f.filename
              and ".venv" not in f.filename]
    return f"{os.path.relpath(frames[-1].filename, root)}:{frames[-1].lineno}" if frames else "?"


def peak_mb() -> int:
    """Most memory that this process has held; getrusage would tell the parent's where that was larger."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10


def _too_long(*_: Any) -> None:
    raise Slow


def _quiet() -> None:
    """Codecs and libraries talk about every damaged file."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import torch

    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("format", str), ("seed", int), ("start", int), ("stop", int), ("folder", Path), ("results", str)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--show", action="store_true", help="print each outcome, with its traceback")
    args = parser.parse_args()
    _quiet()
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory(prefix="fuzz_") as place:
        target = Target(args.format, args.folder, Path(place) / "work")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
        base = peak_mb()
        results = sys.stdout if args.results == "-" else open(args.results, "a", encoding="utf8")
        for number in range(args.start, args.stop):
            if args.show:
                target._read = lambda limit: (target.read(), ("ok", ""))[1]
            outcome, spent, told = target.attack(args.seed, number)
            line = {"i": number, "o": outcome, "s": round(spent, 3), "m": peak_mb(), "b": base, "e": told}
            results.write(json.dumps(line) + "\n")
            results.flush()


if __name__ == "__main__":
    main()
