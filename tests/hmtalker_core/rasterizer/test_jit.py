"""Kernels are compiled once, where the disk allows; threads raise what their work raises."""
from __future__ import annotations

import logging
import os
import threading

import pytest
from numba.core.caching import CompileResultCacheImpl
from talking_heads.hmtalker_core.rasterizer import cpu_project, cpu_sh, jit, kernels


@pytest.mark.parametrize("module", [kernels, cpu_project, cpu_sh])
def test_kernels_know_the_files_they_depend_on(module):
    """numba does not notice a change of constants.py, jit.py, lanes.py or rows.py: the kernels' files have to change as well."""
    expected = jit.fingerprint()
    assert module.DEPENDS_ON == expected, f'write DEPENDS_ON = "{expected}" into {module.__name__}'


def test_read_only_installation(monkeypatch, caplog):
    """Nowhere to keep kernels: one warning, and they work."""
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    jit.say_uncached.cache_clear()
    with caplog.at_level(logging.WARNING, logger=jit.log.name):
        kernels_made = [jit.compiled(add) for _ in range(2)]
    assert [kernel(2, 3) for kernel in kernels_made] == [5, 5]
    assert len(caplog.records) == 1 and "cannot be kept on disk" in caplog.text


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
    jit.run_all(job, ((a, b) for a in range(5) for b in range(4)), workers)
    assert len(seen) == 20
    assert (threads == {threading.get_ident()}) == (workers == 1)


def test_an_exception_comes_through():
    def job(a):
        if a == 3:
            raise ZeroDivisionError("third")
    with pytest.raises(ZeroDivisionError, match="third"):
        jit.run_all(job, ((a,) for a in range(6)), 2)


def test_a_forked_process_gets_its_own_threads():
    pool = jit.thread_pool(os.getpid(), 2)
    assert jit.thread_pool(os.getpid(), 2) is pool
    assert jit.thread_pool(os.getpid() + 1, 2) is not pool


def add(a, b):
    return a + b
