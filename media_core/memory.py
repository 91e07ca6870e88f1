"""Memory that was freed goes back to the system.

glibc keeps up to twice the largest array that was ever freed, 64 MB at most, and whatever lies below something still in use: when
a long video has been measured, that is 50 MB of which nobody has anything.
"""
from __future__ import annotations

import sys


def give_back() -> None:
    """Returns freed memory to the system where the C library is asked to (Linux with glibc); elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
