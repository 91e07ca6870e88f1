"""A worker for the executors' tests: does what its unit says."""
from __future__ import annotations

import os
import time
from pathlib import Path

from talking_heads.media_core.errors import TalkingHeadsError


class Toy:
    """Units: {"square": n}; and before that "die": a file (ends the process unless it exists), "fail": a file (raises likewise),
    "raise": "ours" or "other", "wait": s, "made": a folder that gets a file for each worker that is made."""

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
        until = time.monotonic() + unit.get("wait", 0)
        while time.monotonic() < until:
            time.sleep(0.02)
            report(1, 2, {"phase": "toy"})
        return {"square": unit["square"] ** 2, "units": self.units, "process": os.getpid(), "forgotten": self.forgotten}

    def forget(self):
        self.forgotten += 1


def _first(name: str) -> bool:
    """Whether nobody has asked for this file before."""
    try:
        os.close(os.open(Path(name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
