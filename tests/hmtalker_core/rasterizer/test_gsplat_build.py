"""Help for gsplat's compile, with torch's own builder functions and a ninja that only says how it was called."""
from __future__ import annotations

import stat
import sys

import pytest
from talking_heads.hmtalker_core.rasterizer import gsplat_build
from talking_heads.hmtalker_core.rasterizer.gsplat_build import PER_COMPILER, compilers, helped_build, ninja_beside_python
from torch.utils import cpp_extension


@pytest.mark.parametrize("asked, cores, free, wanted", [
    (10, 16, None, 10), (10, 4, None, 4), (None, 8, None, 8), (10, 16, 4 * PER_COMPILER + 1, 4), (2, 16, 10 * PER_COMPILER, 2),
    (10, 16, 1000, 1), (None, None, None, 1), (0, 4, None, 1)])
def test_as_many_compilers_as_fit(asked, cores, free, wanted):
    assert compilers(asked, cores, free) == wanted


@pytest.fixture
def ninja(monkeypatch, tmp_path):
    """A ninja beside Python that writes down its arguments; none on PATH."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands in for ninja")
    place = tmp_path / "ninja"
    place.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n')
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(gsplat_build.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    real = gsplat_build.shutil.which
    monkeypatch.setattr(gsplat_build.shutil, "which", lambda name, path=None: real(name, path=path) if path else None)
    return tmp_path


def test_ninja_beside_python_builds(ninja, monkeypatch):
    monkeypatch.setenv("MAX_JOBS", "10")  # as gsplat sets it
    monkeypatch.setattr(gsplat_build, "free_memory", lambda device: 2 * PER_COMPILER)
    monkeypatch.setattr(gsplat_build.os, "cpu_count", lambda: 64)
    kept = cpp_extension.subprocess, cpp_extension._get_num_workers
    assert ninja_beside_python() == str(ninja / "ninja")
    with helped_build():
        assert cpp_extension.is_ninja_available()
        cpp_extension._run_ninja_build(str(ninja), verbose=False, error_prefix="failed")
        assert cpp_extension.subprocess.CalledProcessError is kept[0].CalledProcessError
    assert (ninja / "calls").read_text().splitlines() == ["--version", "-v -j 2"]
    assert (cpp_extension.subprocess, cpp_extension._get_num_workers) == kept


def test_everything_is_put_back_when_the_build_fails(ninja):
    kept = cpp_extension.subprocess, cpp_extension._get_num_workers
    (ninja / "ninja").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(RuntimeError, match="failed"), helped_build():
        cpp_extension._run_ninja_build(str(ninja), verbose=False, error_prefix="failed")
    assert (cpp_extension.subprocess, cpp_extension._get_num_workers) == kept
