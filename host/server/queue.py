"""Prompts that wait, the one that runs, and what became of the others: one worker thread, as a graph uses a whole machine."""
from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..nodecall import Prompt
from ..shim.context import interrupt_current_processing

MOST_HISTORY = 10_000  # entries; older ones are forgotten
MOST_WAITING = 10_000  # prompts


@dataclass
class Job:
    """One prompt."""

    number: float  # lower ones run first
    id: str
    prompt: Prompt
    extra: dict[str, Any]  # "client_id", "extra_pnginfo", "create_time" [ms]
    targets: list[str]  # output nodes
    stopped: bool = False  # somebody pressed stop, perhaps before the first node

    def row(self) -> list[Any]:
        """As /queue and /history tell it."""
        return [self.number, self.id, self.prompt, self.extra, self.targets]


@dataclass
class Finished:
    """What a job led to."""

    success: bool
    outputs: dict[str, Any] = field(default_factory=dict)  # node id -> what the page shows
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def entry(self, job: Job) -> dict[str, Any]:
        """Of the history."""
        meta = {node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node} for node in self.outputs}
        status = {"status_str": "success" if self.success else "error", "completed": self.success, "messages": self.messages}
        return {"prompt": job.row(), "outputs": self.outputs, "status": status, "meta": meta}


class JobQueue:
    """The worker starts with `start` and ends with `close`.

    Args:
        run: executes a job, in the worker thread; never raises.
        after: told of a job once it stands in the history. changed: told that the length has changed.
        free: gives memory back: (models too, results too). Called between two jobs.
    """

    def __init__(self, run: Callable[[Job], Finished], *, after: Callable[[Job], None], changed: Callable[[], None],
                 free: Callable[[bool, bool], None]):
        self._run, self._after, self._changed, self._free = run, after, changed, free
        self._wake = threading.Condition(threading.RLock())
        self._waiting: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._running: Job | None = None
        self._history: dict[str, dict[str, Any]] = {}
        self._to_free: list[bool] = [False, False]
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="prompts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, patience: float = 20.0) -> bool:
        """Stops the running prompt and the worker. False: it did not end within `patience` s."""
        with self._wake:
            self._closing = True
            self._waiting.clear()
            self._wake.notify()
        self.interrupt()
        if self._thread.is_alive():
            self._thread.join(patience)
        return not self._thread.is_alive()

    # ---------------------------------------------------------------------------------------------------------- the queue
    def put(self, job: Job) -> bool:
        """False: too many wait already."""
        with self._wake:
            if len(self._waiting) >= MOST_WAITING:
                return False
            heapq.heappush(self._waiting, (job.number, next(self._order), job))
            self._wake.notify()
        self._changed()
        return True

    def lines(self) -> tuple[list[Job], list[Job]]:
        """(running, waiting in their order)."""
        with self._wake:
            return [self._running] if self._running else [], [entry[2] for entry in sorted(self._waiting, key=lambda e: e[:2])]

    def remaining(self) -> int:
        with self._wake:
            return len(self._waiting) + (self._running is not None)

    def clear(self) -> None:
        with self._wake:
            self._waiting.clear()
        self._changed()

    def delete(self, prompt_id: str) -> bool:
        """Takes back a prompt that waits."""
        with self._wake:
            kept = [entry for entry in self._waiting if entry[2].id != prompt_id]
            found = len(kept) < len(self._waiting)
            self._waiting = kept
            heapq.heapify(self._waiting)
        if found:
            self._changed()
        return found

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Stops the running prompt, if it is this one; a stop can never hit the one after it."""
        with self._wake:
            if self._running is None or (prompt_id is not None and self._running.id != prompt_id):
                return False
            self._running.stopped = True
            interrupt_current_processing(True)
            return True

    def free(self, models: bool, results: bool) -> None:
        """Asks for memory back, as soon as nothing runs."""
        with self._wake:
            self._to_free = [self._to_free[0] or models, self._to_free[1] or results]
            self._wake.notify()

    # -------------------------------------------------------------------------------------------------------- the history
    def history(self, prompt_id: str | None = None, most: int | None = None, offset: int = -1) -> dict[str, Any]:
        """Entries from old to new; the newest `most` where no offset is given."""
        with self._wake:
            if prompt_id is not None:
                return {prompt_id: self._history[prompt_id]} if prompt_id in self._history else {}
            entries = list(self._history.items())
        start = offset if offset >= 0 else (max(len(entries) - most, 0) if most is not None else 0)
        return dict(entries[start:] if most is None else entries[start:start + most])

    def forget(self, prompt_id: str | None = None) -> None:
        """One entry of the history, or all."""
        with self._wake:
            if prompt_id is None:
                self._history.clear()
            else:
                self._history.pop(prompt_id, None)

    # --------------------------------------------------------------------------------------------------------- the worker
    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._waiting or self._closing or any(self._to_free)):
                    self._wake.wait()
                if self._closing:
                    return
                freed, self._to_free = self._to_free, [False, False]
                job = self._running = heapq.heappop(self._waiting)[2] if self._waiting else None
            if any(freed):
                self._free(freed[0], freed[1])
            if job is not None:
                self._changed()
                self._finish(job, self._run(job))

    def _finish(self, job: Job, finished: Finished) -> None:
        with self._wake:
            self._running = None
            self._history[job.id] = finished.entry(job)
            while len(self._history) > MOST_HISTORY:
                del self._history[next(iter(self._history))]
        self._changed()
        self._after(job)


def spared(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a client says beside its prompt, without its keys to paid services: nothing here uses them."""
    return {key: value for key, value in extra.items() if key not in ("auth_token_comfy_org", "api_key_comfy_org")}
