"""The videos or clips of a motion dataset, prepared by several processes or on Ray (docs/scale.md#many-jobs)."""
from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media_core.errors import TalkingHeadsError
from .executor import Executor, Result, Unit, chosen_executor, is_address

if TYPE_CHECKING:
    from ..media_core.processes import Elsewhere
    from ..media_core.progress import Report  # imports NumPy

log = logging.getLogger(__name__)
WORKER = ".cli.dataset_work:DatasetWorker"
_MOST = 1000  # processes


class DatasetWorker:
    """Prepares videos, or makes clips of the synthetic subject."""

    def __call__(self, unit: Unit, report: Report) -> Result:
        from .batch_work import check_here

        check_here([unit["folder"], *unit["reads"]])
        _DOES[unit["does"]](unit["job"], report)
        return {}

    def forget(self) -> None:
        """Keeps nothing."""


def workers_asked(text: str) -> str:
    """--workers of `dataset motion`.

    Raises:
        ArgumentTypeError: neither a number, "auto" nor an address.
    """
    if not (text == "auto" or is_address(text) or text.isdecimal() and 0 < int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"a number of 1 to {_MOST}, auto, or a Ray cluster's address, not {text!r}")
    return text


def on_ray(does: str, folder: str, address: str) -> Elsewhere:
    """Does a dataset's jobs on a Ray cluster.

    Args:
        does: "videos" or "clips". folder: of the dataset, which all machines share.
    """
    executor = chosen_executor(address)
    return lambda jobs, told: _all_done(executor, does, str(Path(folder).resolve()), jobs, told)


def in_local_processes(does: str, workers: int) -> Elsewhere:
    """Does a dataset's jobs in so many processes of this machine."""
    from ..media_core.processes import in_processes

    return lambda jobs, told: in_processes(_DOES[does], jobs, workers, told)


def _all_done(executor: Executor, does: str, folder: str, jobs: Sequence[Unit], told: Callable[[Sequence[int]], object]) -> None:
    done = [0] * len(jobs)

    def watch(number: int, at: int, total: int, info: Mapping[str, Any]) -> None:
        done[number] = max(done[number], at)
        told(done)

    units = [{"does": does, "job": job, "folder": folder, "reads": [job["film"]["path"]] if does == "videos" else
              [path for path, _ in job["plan"]["portraits"]]} for job in jobs]
    with closing(executor.run(WORKER, units, watch=watch, again=_again, ordered=False)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            shard = Path(jobs[outcome.number]["shard"])
            if jobs[outcome.number]["encoder"] is not None and not shard.is_file():
                raise TalkingHeadsError("All machines must share the dataset's folder",
                                        f"{outcome.where} wrote {shard}, which is not here", "Choose a shared folder")


def _again(number: int, error: Exception) -> None:
    """A lost worker's job is done by another, which goes on where the files end."""
    log.warning("a job is done again: %s", error)


def _video(job: Unit, report: Report) -> None:
    from ..moditalker_core.data.from_videos import prepare_unit

    prepare_unit(job, report)


def _clip(job: Unit, report: Report) -> None:
    """With the voices of programs that this machine has."""
    from ..host.speech_programs import add_speech_programs
    from ..moditalker_core.data.from_subject import clip_unit

    add_speech_programs()
    clip_unit(job, report)


_DOES = {"videos": _video, "clips": _clip}
