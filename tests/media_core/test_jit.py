"""Kernels are compiled once, where the disk allows; threads raise what their work raises."""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import numba
import pytest
from numba.core.caching import CompileResultCacheImpl, IndexDataCacheFile
from talking_heads.hmtalker_core.rasterizer import jit as raster_jit
from talking_heads.media_core import jit


def test_the_tag_tells_names_and_sources_apart(tmp_path):
    here = jit.cache_tag("talking_heads.x")
    assert here == jit.cache_tag("talking_heads.x") != jit.cache_tag("/custom_nodes/pack.x")
    shared = tmp_path / "shared.py"
    seen = {here}
    for text in ("WIDTH = 16", "WIDTH = 8"):
        shared.write_text(text, encoding="utf-8")
        jit.cache_tag.cache_clear()
        seen.add(jit.cache_tag("talking_heads.x", (shared,)))
    jit.cache_tag.cache_clear()
    assert len(seen) == 3 and here == jit.cache_tag("talking_heads.x")


def test_the_rasterisers_kernels_know_the_files_they_share(monkeypatch, tmp_path):
    """A changed constant gives a kernel another name on disk."""
    assert all(path.is_file() for path in raster_jit.SHARED)
    names = []
    for text in ("WIDTH = 16", "WIDTH = 8"):
        (tmp_path / "constants.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(raster_jit, "SHARED", (tmp_path / "constants.py",))
        jit.cache_tag.cache_clear()
        kernel = raster_jit.compiled(fresh("halved"))
        names.append(getattr(kernel, "py_func", kernel).__qualname__)
    jit.cache_tag.cache_clear()
    assert names[0] != names[1]


LOAD_AS_COMFYUI_DOES = """
import importlib.util, sys
name, root = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location(name, root + "/__init__.py", submodule_search_locations=[root])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
kernels = importlib.import_module(name + ".hmtalker_core.rasterizer.kernels")
import numpy as np
out = np.zeros((2, 1))
kernels.add_slots(np.array([1, 1], np.int32), np.ones((2, 1)), out)
assert out.tolist() == [[0.0], [2.0]]
print(sum(kernels.add_slots.stats.cache_hits.values()))
"""


def test_kernels_on_disk_do_not_mix_import_names(tmp_path, root):
    """As a ComfyUI custom node and as `talking_heads`, over one cache folder: the third run finds the kernel of the first."""
    hits = []
    for name in ("/custom_nodes/talking-heads", "talking_heads", "/custom_nodes/talking-heads"):
        done = subprocess.run([sys.executable, "-c", LOAD_AS_COMFYUI_DOES, name, str(root)], capture_output=True, text=True,
                              env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, timeout=120)
        assert done.returncode == 0, done.stderr
        hits.append(int(done.stdout))
    assert hits == [0, 0, 1]


def test_read_only_installation(monkeypatch, caplog):
    """Nowhere to keep kernels: one warning, and they work."""
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    jit.say_uncached.cache_clear()
    with caplog.at_level(logging.WARNING, logger=jit.log.name):
        kernels_made = [jit.compiled(add) for _ in range(2)]
    assert [kernel(2, 3) for kernel in kernels_made] == [5, 5]
    assert len(caplog.records) == 1 and "cannot be kept on disk" in caplog.text


def test_what_was_compiled_before_is_known(monkeypatch, tmp_path):
    """In this process, or by another that kept it on disk; without a disk it is compiled in every process."""
    monkeypatch.setattr(jit, "cache_tag", lambda module, built_from=(): "0123456789ab")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    from numba.core import config
    config.reload_config()
    try:
        first = jit.compiled(fresh("halved"))
        assert not jit.is_compiled(first)
        first(3)
        assert jit.is_compiled(first)
        assert jit.is_compiled(jit.compiled(fresh("halved"))) and not jit.is_compiled(jit.compiled(fresh("halved_twice")))
        monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
        assert not jit.is_compiled(jit.compiled(fresh("halved")))
    finally:
        monkeypatch.undo()
        config.reload_config()
    assert jit.is_compiled(add), "numba switched off: nothing will be compiled"


def fresh(name):
    """A function never decorated before."""
    def function(a):
        return a / 2
    function.__name__ = name
    return function


def test_other_errors_of_the_compiler_are_not_hidden(monkeypatch):
    def broken(**options):
        raise RuntimeError("no LLVM")
    monkeypatch.setattr(jit, "njit", broken)
    with pytest.raises(RuntimeError, match="no LLVM"):
        jit.compiled(add)


@pytest.mark.parametrize("workers", [1, 3])
def test_run_all(workers):
    seen, threads = set(), set()

    def job(a, b):
        seen.add((a, b))
        threads.add(threading.get_ident())
    raster_jit.run_all(job, ((a, b) for a in range(5) for b in range(4)), workers)
    assert len(seen) == 20
    assert (threads == {threading.get_ident()}) == (workers == 1)


def test_an_exception_comes_through():
    def job(a):
        if a == 3:
            raise ZeroDivisionError("third")
    with pytest.raises(ZeroDivisionError, match="third"):
        raster_jit.run_all(job, ((a,) for a in range(6)), 2)


def test_a_forked_process_gets_its_own_threads():
    pool = raster_jit.thread_pool(os.getpid(), 2)
    assert raster_jit.thread_pool(os.getpid(), 2) is pool
    assert raster_jit.thread_pool(os.getpid() + 1, 2) is not pool




@pytest.mark.parametrize("method, error", [("save", OSError(28, "No space left on device")),
                                           ("load", PermissionError(13, "Denied")), ("load", EOFError("Ran out of input"))])
def test_a_folder_that_fails_later(monkeypatch, tmp_path, caplog, method, error):
    """A disk that is full, kernels that somebody else keeps, a file cut short: one warning, and they work."""
    def failing(*_):
        raise error
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # nothing was kept by an earlier run
    monkeypatch.setattr(IndexDataCacheFile, method, failing)
    jit.say_uncached.cache_clear()
    with caplog.at_level(logging.WARNING, logger=jit.log.name):
        kernel = jit.compiled(add)
        assert kernel(2, 3) == 5 and kernel(2.0, 3.0) == 5.0
    assert "compiled again" in caplog.text


def add(a, b):
    return a + b
