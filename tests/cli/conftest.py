"""Ray, for the tests of several workers; the page's files, for those of servers."""
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


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("<html>the page</html>")
    return tmp_path / "pages"
