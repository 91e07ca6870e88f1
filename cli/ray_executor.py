"""Units of work on Ray: several workers at once, each in a process of its own (docs/scale.md#how-it-works)."""
from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from ..media_core.errors import TalkingHeadsError
from .executor import Again, Outcome, Unit, Watch
from .ray_pool import Pool

_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_raylet_start_wait_time_s": "120"}  # read when Ray is imported
_STORE = 100 << 20  # bytes of Ray's object store: only JSON goes through it


class OnRay:
    """Several workers at once, each in a process of its own, on this machine or on a Ray cluster (docs/scale.md#how-it-works).

    Args:
        where: a number of workers here; "auto": this machine's cluster, or all of its processors; or a cluster's address.
    Raises:
        TalkingHeadsError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, where: str):
        self._where = where

    def run(self, worker: str, units: Sequence[Unit], *, watch: Watch, again: Again, retries: int = 0,
            ordered: bool = True) -> Generator[Outcome, None, None]:
        """See `Executor`. A unit whose worker dies is given to another one, whatever `retries` says."""
        with _connected(self._where) as count:
            yield from Pool(worker, units, min(count, len(units)), watch, again, retries).outcomes(ordered)


@contextmanager
def _connected(where: str) -> Iterator[int]:
    """Ray, for the time of the block; the number of workers."""
    os.environ.update({name: value for name, value in _RAY.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        raise TalkingHeadsError("Several workers need Ray", "it is not installed",
                                'Install it with pip install "talking-heads[cluster]", or leave --workers out') from error
    mine = not ray.is_initialized()
    if mine:
        _start(ray, where)
    try:
        there = ray.cluster_resources()
        yield int(where) if where.isdecimal() else max(1, int(there.get("GPU", 0) or there.get("CPU", 1)))
    finally:
        if mine:
            ray.shutdown()


def _start(ray: ModuleType, where: str) -> None:
    """Joins a cluster, or makes one of this machine alone; TalkingHeadsError: there is no such cluster."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if where.isdecimal():
            ray.init(address="local", num_cpus=int(where), include_dashboard=False, object_store_memory=_STORE, **quiet)
        else:
            ray.init(address=None if where == "auto" else where, **quiet)
    except Exception as error:  # Ray raises plain ones too
        raise TalkingHeadsError("Ray must start here, or be there", f"--workers {where}: {str(error).splitlines()[0]}",
                                "Check the address, and that the cluster's token is here (ray get-auth-token, with "
                                "RAY_AUTH_MODE=token on all machines); ray status tells whether a cluster is there") from error
