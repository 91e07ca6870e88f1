"""Ray, for the tests of several workers."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ray_workers import WORKERS


@pytest.fixture(scope="module")
def ray():
    """Ray, started once for a module: starting takes seconds."""
    from talking_heads.cli import ray_executor

    with pytest.MonkeyPatch.context() as patched:
        for name, value in ray_executor._RAY.items():
            patched.setenv(name, value)
        ray = pytest.importorskip("ray", reason="ray is not installed: nothing was run in several workers")
        patched.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]), prepend=os.pathsep)  # for toy_worker
        ray_executor._start(ray, str(WORKERS))
    yield ray
    ray.shutdown()
