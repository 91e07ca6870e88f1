"""Memory: what is free where a training computes, and what the C library does with what is freed."""
from __future__ import annotations

import os
from pathlib import Path

import torch

BLOCK = 31 << 20  # bytes; glibc learns from blocks up to 32 MB
GB = 10 ** 9
_MEMINFO = Path("/proc/meminfo")


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next tensor instead of handing it back to the system and asking again.

    Its limits follow the largest block ever freed (mallopt(3), M_MMAP_THRESHOLD). Without a large one, a network whose tensors
    have a few megabytes spends a tenth of its time on fresh pages; with it the process keeps at most 62 MB more. Other C
    libraries notice nothing.
    """
    torch.empty(BLOCK, dtype=torch.uint8)  # never touched, freed at once


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on `device`, those that torch holds in reserve for itself included; None: nobody says."""
    if device.type == "cpu":
        return _free_of_computer()
    module = getattr(torch, device.type, None)
    asked = getattr(module, "mem_get_info", None)
    if asked is None:  # Apple's GPU shares the computer's memory
        return _free_of_computer() if device.type == "mps" else None
    reserved, used = (getattr(module, name)(device) for name in ("memory_reserved", "memory_allocated"))
    return int(asked(device)[0]) + int(reserved) - int(used)


def _free_of_computer() -> int | None:
    if _MEMINFO.is_file():
        lines = (line.split() for line in _MEMINFO.read_text().splitlines())
        return next((int(words[1]) * 1024 for words in lines if words[:1] == ["MemAvailable:"]), None)
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
