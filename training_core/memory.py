"""Memory of the C library, where it costs time."""
from __future__ import annotations

import torch

BLOCK = 31 << 20  # bytes; glibc learns from blocks up to 32 MB


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next tensor instead of handing it back to the system and asking again.

    Its limits follow the largest block ever freed (mallopt(3), M_MMAP_THRESHOLD). Without a large one, a network whose tensors
    have a few megabytes spends a tenth of its time on fresh pages; with it the process keeps at most 62 MB more. Other C
    libraries notice nothing.
    """
    torch.empty(BLOCK, dtype=torch.uint8)  # never touched, freed at once
