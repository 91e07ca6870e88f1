"""Freed memory goes back to the system."""
import platform
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.memory import give_back


def held() -> float:
    """MB of memory this process has."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_freed_memory_goes_back():
    arrays = [np.ones(8000) for _ in range(800)]  # 64 kB each: too small for a mapping of its own
    last = arrays.pop()  # lies above all others
    del arrays
    before = held()
    give_back()
    assert held() < before - 30 and last[0] == 1


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    give_back()
