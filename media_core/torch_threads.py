"""How many threads torch and OpenCV compute with."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes in the calling thread alone: for small networks beside other threads that work.

    Torch's own threads wait for one another by spinning: where other threads or programs keep the cores busy, small networks take
    many times as long with two of them as with one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Torch and OpenCV compute in the calling thread alone, for the same reason: where several threads have work of their own."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with one_torch_thread():
            yield
    finally:
        cv2.setNumThreads(before)
