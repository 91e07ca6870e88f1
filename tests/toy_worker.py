"""A worker for the executors' tests: does what its unit says."""
from __future__ import annotations

import os
import time
from pathlib import Path

from talking_heads.media_core.errors import TalkingHeadsError


class Toy:
    """Units: {"square": n}; and before that "die": a file (ends the process unless it exists), "fail": a file (raises likewise),
    "raise": "ours" or "other", "wait": s, "meet": [folder, n]: waits until n workers are at such a unit."""

    def __init__(self):
        self.units, self.forgotten = 0, 0

    def __call__(self, unit, report):
        self.units += 1
        report(1, 2, {"phase": "toy", "unsendable": object()})
        if "die" in unit and _first(unit["die"]):
            os._exit(9)
        if "always die" in unit:
            os._exit(9)
        if "fail" in unit and _first(unit["fail"]):
            raise OSError("the disk is full")
        if unit.get("raise") == "ours":
            raise TalkingHeadsError("The speech must be there", "none", "Record some")
        if unit.get("raise") == "other":
            raise KeyError("what")
        if "meet" in unit:
            _meet(Path(unit["meet"][0]), unit["meet"][1])
        until = time.monotonic() + unit.get("wait", 0)
        while time.monotonic() < until:
            time.sleep(0.02)
            report(1, 2, {"phase": "toy"})
        return {"square": unit["square"] ** 2, "units": self.units, "process": os.getpid(), "forgotten": self.forgotten}

    def forget(self):
        self.forgotten += 1


class Stuck(Toy):
    """Never made: neither here nor anywhere."""

    def __init__(self):
        super().__init__()
        time.sleep(600)


def _meet(folder: Path, count: int) -> None:
    """Comes back when so many processes have come here."""
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < count and time.monotonic() < until:
        time.sleep(0.02)


def _first(name: str) -> bool:
    """Whether nobody has asked for this file before."""
    try:
        os.close(os.open(Path(name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
