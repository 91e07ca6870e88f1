"""One line of a manifest, done: a function of its JSON and nothing else."""
from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.errors import TalkingHeadsError
from . import avatar_jobs, video_jobs
from .batch_manifest import Job, parsed
from .executor import Result, Unit
from .loaded import Models

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

WORKER = ".cli.batch_work:LineWorker"


def unit_of(job: Job) -> Unit:
    """A job as it is sent to a worker."""
    return {"command": job.command, "arguments": list(job.arguments), "reads": [str(path) for path in job.reads],
            "output": str(job.output), "given": dict(job.given)}


class LineWorker:
    """Makes videos; models stay loaded from one to the next."""

    def __init__(self) -> None:
        self._models = Models()

    def __call__(self, unit: Unit, report: Report) -> Result:
        check_here(unit["reads"])
        options = parsed(unit["command"], unit["arguments"])
        out = Path(unit["output"])
        out.parent.mkdir(parents=True, exist_ok=True)
        if unit["command"] == "avatar":
            avatar_jobs.made(options, out, self._models, report)
            return {"note": ""}
        return {"note": video_jobs.made(options, out, self._models, report)[1]}

    def forget(self) -> None:
        """Gives the memory of the models back."""
        self._models.clear()


def check_here(paths: list[str]) -> None:
    """Raises:
        TalkingHeadsError: this machine lacks one of them.
    """
    absent = [path for path in paths if not Path(path).exists()]
    if absent:
        raise TalkingHeadsError("Every machine must have the files that it works on", f"{platform.node()} has no {absent[0]}",
                                "Keep them in a folder that all machines share, under the same name")
