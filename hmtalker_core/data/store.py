"""What was decoded, in bounded memory: the least recently used goes first, and one thread decodes ahead of use."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows its memory."""

    @property
    def nbytes(self) -> int: ...


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Sized)


class DecodedStore(Generic[Key, Value]):
    """Values by key, each decoded once while there is room. What a key gives does not depend on what was decoded ahead.

    Args:
        decode: makes the value of a key; may be called in a thread, by one at a time of the store's own.
        limit: bytes that values may take; the last one stays whatever its size.
    """

    def __init__(self, decode: Callable[[Key], Value], limit: int):
        self._decode, self._limit = decode, limit
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._coming: dict[Key, Future[Value]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value:
        """The value, decoded now if it was not before.

        Raises:
            What `decode` raises for this key, now or ahead.
        """
        value = self._values.get(key)
        if value is None:
            coming = self._coming.pop(key, None)
            value = self._values[key] = self._decode(key) if coming is None else coming.result()
            self.nbytes += value.nbytes
            while self.nbytes > self._limit and len(self._values) > 1:
                self.nbytes -= self._values.popitem(last=False)[1].nbytes
        self._values.move_to_end(key)
        return value

    def ahead(self, keys: Iterable[Key]) -> None:
        """Lets the thread decode what is wanted next; what was asked for ahead before and is no longer wanted is dropped."""
        wanted = list(dict.fromkeys(keys))
        for key in [key for key in self._coming if key not in wanted]:
            self._coming.pop(key).cancel()
        for key in wanted:
            if key not in self._values and key not in self._coming:
                if self._thread is None:
                    self._thread = ThreadPoolExecutor(1, thread_name_prefix="frames")
                self._coming[key] = self._thread.submit(self._decode, key)
