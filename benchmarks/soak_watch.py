"""What a long job must not use up: memory, open files, temporary files; looked at again and again while it runs. Linux."""
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WARM = 0.05  # of the work, before the first look that counts
OURS = "talking_heads_*"  # folders of ours among the system's temporary files


@dataclass(frozen=True)
class Look:
    """One look at a process."""

    done: int       # frames, or prompts
    seconds: float  # since the beginning
    memory: float   # MiB, resident
    handles: int    # open files


@dataclass
class Watch:
    """Looks at a process while it works.

    Args:
        total: frames (or prompts) to come.
        looks: how many, evenly spread.
        process: its number.
    """

    total: int
    looks: int = 20
    process: int = field(default_factory=os.getpid)
    began: float = field(default_factory=time.monotonic)
    seen: list[Look] = field(default_factory=list)

    def at(self, done: int) -> None:
        """To be called as often as one likes."""
        due = WARM * self.total + len(self.seen) * (1 - WARM) * self.total / self.looks
        if done >= min(due, self.total) and (not self.seen or done > self.seen[-1].done):
            self.seen.append(Look(done, time.monotonic() - self.began, resident(self.process), handles(self.process)))

    def report(self, tell: Callable[[int, int], None] | None = None) -> Callable[..., None]:
        """A report of frames, as long jobs take one; only what counts frames of all is listened to."""
        def report(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
            if total == self.total and "frame" in info and "window" not in info:
                self.at(done)
            if tell is not None:
                tell(done, total)

        return report

    def figures(self) -> dict[str, Any]:
        """As JSON holds it; `growth`: memory at the end over that after warming up."""
        first, last = self.seen[0], self.seen[-1]
        return {"looks": [asdict(look) for look in self.seen], "growth": last.memory / first.memory,
                "largest": max(look.memory for look in self.seen) / first.memory,
                "handles": last.handles - first.handles, "peak": resident(self.process, "VmHWM")}


def resident(process: int, what: str = "VmRSS") -> float:
    """Memory of a process, MiB."""
    return int(Path(f"/proc/{process}/status").read_text().split(f"{what}:")[1].split()[0]) / 1024


def handles(process: int) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{process}/fd"))


def temporary_files(*folders: Path, process: int | None = None) -> list[str]:
    """Names of files that are there only while something is written: hidden ones of these folders, and the folders that a process
    (this one) has made among the system's temporary files, which its number marks."""
    mark = f"-{os.getpid() if process is None else process}-"
    hidden = [path.name for folder in folders for path in folder.rglob(".*") if path.is_file()]
    return hidden + [path.name for path in Path(tempfile.gettempdir()).glob(OURS) if mark in path.name]


def drift(path: Path, fps: float, starts: tuple[int, int], frames: int) -> dict[str, Any]:
    """How far two stretches of a video, on equal motion, differ: of the mean colour of all their pixels the largest channel's
    difference, and of single frames' mean colours the largest one; of 255.

    Args:
        starts: first frames of both.
        frames: their length.
    """
    first, last = (means(path, fps, start, frames) for start in starts)
    return {"colour": float(np.abs(first.mean(0) - last.mean(0)).max()), "frame": float(np.abs(first - last).max()),
            "frames": frames, "starts": list(starts)}


def means(path: Path, fps: float, start: int, frames: int) -> np.ndarray:  # [frames, 3] of 255
    """The mean colour of each frame of a stretch."""
    from itertools import islice

    from talking_heads.media_core.video import read_frames

    found = np.array([frame.mean((0, 1)) for frame in islice(read_frames(path, fps, start), frames)])
    if len(found) != frames:
        raise ValueError(f"{path.name} has {len(found)} frames from frame {start} on, not {frames}")
    return found
