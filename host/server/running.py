"""Runs one job on the host and tells its pages, in ComfyUI's messages, what happens."""
from __future__ import annotations

import gc
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..execute import full_type_name
from ..shim import model_management
from ..shim.server import PromptServer
from .queue import Finished, Job

if TYPE_CHECKING:
    from ..graph import Host
    from .sockets import Sockets

_STATUS = ("execution_start", "execution_cached", "execution_success", "execution_error", "execution_interrupted")
_TO_ALL = ("progress", "progress_state", "execution_interrupted")  # also where the client did not give its name
log = logging.getLogger("talking_heads")


class Runner:
    """Executes jobs one after another; `Host.executor` must send its events here."""

    def __init__(self, host: Host, sockets: Sockets):
        self.host, self.sockets = host, sockets
        self.node: str | None = None  # runs now
        self._job: Job | None = None
        self._messages: list[tuple[str, dict[str, Any]]] = []
        self._progress: dict[str, dict[str, Any]] = {}
        host.executor.on_event = self._event
        sockets.at = self._node_of

    def _node_of(self, client_id: str) -> str | None:
        return self.node if self._job is not None and self._job.extra.get("client_id") == client_id else None

    def run(self, job: Job) -> Finished:
        """In the worker thread. Returns also when the executor itself fails."""
        self._job, self._messages, self._progress = job, [], {}
        PromptServer.instance.client_id = job.extra.get("client_id")
        begun = time.perf_counter()
        try:
            result = self.host.executor.run(job.prompt, job.targets, job.id, job.extra)
            finished = Finished(result.status == "success", dict(result.outputs), self._messages)
        except Exception as error:  # the worker must outlive whatever a job does
            log.error("A prompt ended in an error of the host itself", exc_info=error)
            finished = Finished(False, {}, self._messages)
            self._broke(error)
        finally:
            self.node = PromptServer.instance.client_id = None
            _trim()  # every job has threads of its own, and what they have freed would stay with each
        log.info("Prompt executed in %.2f seconds", time.perf_counter() - begun)
        return finished

    def after(self, job: Job) -> None:
        """Tells the page that the job is in the history."""
        self._job = None
        self._tell("executing", {"node": None, "prompt_id": job.id}, job)

    def _broke(self, error: Exception) -> None:
        """An error outside of every node: a page that waits for an end must see one."""
        assert self._job is not None
        node_id, node = next(iter(self._job.prompt.items()))
        self._event("execution_error", {
            "prompt_id": self._job.id, "node_id": node_id, "node_type": node["class_type"], "executed": [],
            "exception_message": f"{error}\n", "exception_type": full_type_name(type(error)),
            "traceback": traceback.format_tb(error.__traceback__), "current_inputs": {}, "current_outputs": []})

    # --------------------------------------------------------------------------------------------------------- the events
    def _event(self, name: str, data: Mapping[str, Any]) -> None:
        job = self._job
        if job is None:
            return
        told = dict(data)
        if name == "execution_start" and job.stopped:  # a run begins by forgetting earlier stops, even one meant for it
            self.host.interrupt()
        if name == "preview":
            about = {**_named(told["node"]), "prompt_id": job.id}
            self.sockets.send_preview(told["image"], told["format"], told["size"], about, job.extra.get("client_id"))
            return
        if name == "progress_text":
            self.sockets.send_text(str(told["node"]), told["text"], job.extra.get("client_id"))
            return
        if name in _STATUS:
            told["timestamp"] = int(time.time() * 1000)
            self._messages.append((name, told))
        if name == "executing":
            self.node = told["node"]
        if name not in ("progress_state", "finished"):
            self._tell(name, told, job)
        changed = {"progress_state": told.get("nodes"), "finished": {told.get("node"): None},
                   "executing": {told.get("node"): {"value": 0.0, "max": 1.0}}}.get(name)
        if changed:
            self._tell("progress_state", {"prompt_id": job.id, "nodes": self._states(changed)}, job)

    def _states(self, changed: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
        """Progress of every node of the run so far; None: the node has finished."""
        for node_id, state in changed.items():
            known = self._progress.setdefault(node_id, {"value": 0.0, "max": 1.0, "state": "running", **_named(node_id)})
            known |= {"value": known["max"], "state": "finished"} if state is None else {
                "value": state["value"], "max": state["max"], "state": "running"}
            assert self._job is not None
            known["prompt_id"] = self._job.id
        return {node_id: dict(state) for node_id, state in self._progress.items()}

    def _tell(self, name: str, data: Mapping[str, Any], job: Job) -> None:
        to = job.extra.get("client_id")
        if to is not None or name in _TO_ALL:
            self.sockets.send(name, data, to)

    # --------------------------------------------------------------------------------------------------------- the memory
    def free(self, models: bool, results: bool) -> None:
        """Gives memory back: networks leave the accelerator, results of earlier prompts are forgotten."""
        if models:
            model_management.unload_all_models()
        if results or models:
            self.host.executor.cache.clear()  # loaded avatars and networks are results too
        gc.collect()
        model_management.soft_empty_cache(True)
        _trim()


def _named(node_id: str | None) -> dict[str, Any]:
    """The names a node has in messages. Subgraphs are flattened by the page: all of them are the same."""
    return {"node_id": node_id, "display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}


def _trim() -> None:
    """Asks the C library for what Python and torch have freed: glibc keeps it otherwise."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes
    import ctypes.util

    library = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6")
    trim: Callable[[int], int] | None = getattr(library, "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
