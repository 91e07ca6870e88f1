"""Where windows come from while MToV learns: any source with the four members below, read ahead by threads where that helps."""
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from .dataset import Sample
from .video_batch import StoredBatch, VideoBatch

Key = tuple[int, int]  # (step, index) of a window


class WindowSource(Protocol):
    """What a training asks of `dataset.VideoWindows`."""

    def sample(self, step: int, index: int) -> Sample: ...

    def stored(self, sample: Sample) -> StoredBatch: ...

    def spread(self, count: int) -> tuple[Sample, ...]: ...

    def windows(self, samples: Sequence[Sample]) -> VideoBatch: ...


class Reader:
    """Windows of a source by their keys.

    Args:
        source: where they come from; with threads, it is asked from several at once.
        threads: that read windows before they are wanted; 0: none.
    """

    def __init__(self, source: WindowSource, threads: int = 0):
        self.source = source
        self._pool = ThreadPoolExecutor(threads, "windows") if threads else None
        self._coming: dict[Key, Future[StoredBatch]] = {}

    def windows(self, keys: Sequence[Key], soon: Sequence[Key] = ()) -> StoredBatch:
        """The windows `keys`, on the CPU; the threads go on with `soon`."""
        if self._pool is None:
            return StoredBatch.of([self._read(*key) for key in keys])
        for key in (*keys, *soon):
            if key not in self._coming:
                self._coming[key] = self._pool.submit(self._read, *key)
        made = StoredBatch.of([self._coming[key].result() for key in keys])
        for key in dict.fromkeys(keys):
            del self._coming[key]
        return made

    def _read(self, step: int, index: int) -> StoredBatch:
        return self.source.stored(self.source.sample(step, index))

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
