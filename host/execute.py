"""Runs a validated prompt: order, cache, lazy inputs, progress, previews, stop button, error report (docs/comfyui.md).

Events are ComfyUI's, given to `on_event(name, data)`: execution_start, execution_cached, executing, progress_state, progress,
progress_text, preview, executed, execution_success | execution_error | execution_interrupted; and `finished` with the node, which
ComfyUI tells with progress_state.
"""
from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .cache import Cache, Entry
from .nodecall import Call, Prompt, collect, map_node, merge
from .schedule import Schedule
from .shim.context import (
    ExecutionBlocker,
    InterruptProcessingException,
    get_executing_context,
    interrupt_current_processing,
    set_progress_hook,
    throw_exception_if_processing_interrupted,
)
from .shim.io_schema import ComfyNode, real_override
from .shim.server import PromptServer

if TYPE_CHECKING:
    from .shim.context import Preview

OnEvent = Callable[[str, dict[str, Any]], None]


@dataclass
class RunResult:
    """How a run ended."""

    status: str = "success"  # success | error | interrupted
    prompt_id: str = ""
    outputs: dict[str, dict] = field(default_factory=dict)  # node id -> what the page would show
    executed: list[str] = field(default_factory=list)  # nodes that ran, in order of finishing
    cached: list[str] = field(default_factory=list)  # nodes whose result existed before the run
    seconds: dict[str, float] = field(default_factory=dict)  # node id -> s from its start to its end
    error: dict[str, Any] | None = None  # ComfyUI's execution_error or execution_interrupted message
    exception: BaseException | None = None  # what the node raised
    node_errors: dict[str, dict] = field(default_factory=dict)  # of outputs that were left out


class NodeFailed(Exception):
    """A node's exception with the node it came from."""

    def __init__(self, node_id: str, cause: BaseException, call: Call | None):
        super().__init__(str(cause))
        self.node_id, self.cause, self.call = node_id, cause, call


class DependencyCycleError(Exception):
    """Nodes wait for each other."""


def full_type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shown_value(value: Any) -> Any:
    """An input as the error report shows it."""
    return value if value is None or isinstance(value, (int, float, bool, str)) else str(value)


class Executor:
    """Runs prompts one after another and remembers results between them."""

    def __init__(self, classes: Mapping[str, type[ComfyNode]], on_event: OnEvent | None = None):
        self.classes, self.cache = classes, Cache()
        self.on_event: OnEvent = on_event or (lambda name, data: None)

    def run(self, prompt: Prompt, targets: Sequence[str], prompt_id: str,
            extra_data: Mapping[str, Any] | None = None) -> RunResult:
        """Executes the output nodes `targets` and what they need. Returns also after an error or a stop: see RunResult.status."""
        return asyncio.run(_Run(self, prompt, prompt_id, extra_data or {}).all(targets))


class _Run:
    """One run's state."""

    def __init__(self, executor: Executor, prompt: Prompt, prompt_id: str, extra_data: Mapping[str, Any]):
        self.classes, self.cache, self.on_event = executor.classes, executor.cache, executor.on_event
        self.prompt, self.extra_data = prompt, extra_data
        self.result = RunResult(prompt_id=prompt_id)
        self.tasks: dict[str, tuple[Call, list[Any]]] = {}  # async nodes under way
        self.started: dict[str, float] = {}
        self.schedule = Schedule(prompt, self.classes, lambda node_id: self.cache.get(node_id) is not None)

    def send(self, event: str, **data: Any) -> None:
        self.on_event(event, {**data, "prompt_id": self.result.prompt_id})

    async def all(self, targets: Sequence[str]) -> RunResult:
        import torch

        interrupt_current_processing(False)
        set_progress_hook(self._progress)
        PromptServer.instance.on_message = self._message
        self.send("execution_start")
        try:
            with torch.inference_mode():
                await self.cache.open(self.prompt, self.classes, self.result.prompt_id)
                self.result.cached = [node_id for node_id in self.prompt if self.cache.get(node_id) is not None]
                self.send("execution_cached", nodes=self.result.cached)
                for node_id in targets:
                    self.schedule.add(node_id)
                await self._dissolve()
            self._resend_intermediate()
            self.send("execution_success")
        except NodeFailed as failed:
            self._fail(failed)
        finally:
            for _, results in self.tasks.values():
                for task in results:
                    if isinstance(task, asyncio.Task):
                        task.cancel()
            set_progress_hook(None)
            PromptServer.instance.on_message = None
        return self.result

    async def _dissolve(self) -> None:
        """Runs ready nodes until none is left."""
        while self.schedule:
            node_id = self.schedule.pick(set(self.tasks))
            if node_id is not None:
                await self._attempt(node_id)
                continue
            waiting = [task for _, results in self.tasks.values() for task in results if isinstance(task, asyncio.Task)]
            if not self.tasks:
                raise NodeFailed(self.schedule.first(), DependencyCycleError("Dependency cycle detected"), None)
            if waiting:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await self._gather_finished()

    async def _gather_finished(self) -> None:
        for node_id, (call, results) in list(self.tasks.items()):
            if all(not isinstance(item, asyncio.Task) or item.done() for item in results):
                del self.tasks[node_id]
                try:
                    self._finish(node_id, [item.result() if isinstance(item, asyncio.Task) else item for item in results])
                except Exception as error:
                    raise NodeFailed(node_id, error, call) from error

    async def _attempt(self, node_id: str) -> None:
        """Runs a ready node, or finds that it needs a lazy input first, or starts it in the background."""
        entry = self.cache.get(node_id)
        if entry is not None:
            self._show_cached(node_id, entry)
            self.schedule.done(node_id)
            return
        call: Call | None = None
        try:
            self.started.setdefault(node_id, time.perf_counter())
            self.send("executing", node=node_id, display_node=node_id)
            node = self.prompt[node_id]
            node_class = self.classes[node["class_type"]]
            call = collect(node_class, node_id, node["inputs"], self._items, self.prompt, self.extra_data)
            if await self._wants_more(node_id, node_class, call):
                return
            results = await map_node(node_class, "execute", call, (self.result.prompt_id, node_id), interruptible=True,
                                     on_block=lambda block: self._blocked(node_id, block))
            if any(isinstance(item, asyncio.Task) and not item.done() for item in results):
                self.tasks[node_id] = (call, results)
            else:
                self._finish(node_id, [item.result() if isinstance(item, asyncio.Task) else item for item in results])
        except Exception as error:  # reported with its node, never swallowed
            raise NodeFailed(node_id, error, call) from error

    def _items(self, source: str, socket: int) -> list | None:
        entry = self.cache.get(source)
        return entry.outputs[socket] if entry is not None and socket < len(entry.outputs) else None

    async def _wants_more(self, node_id: str, node_class: type[ComfyNode], call: Call) -> bool:
        """Asks check_lazy_status; makes the inputs it names needed."""
        if real_override(node_class, "check_lazy_status") is None:
            return False
        answers = await map_node(node_class, "check_lazy_status", call, (self.result.prompt_id, node_id), with_keys=True,
                                 interruptible=True)
        answers = [await item if isinstance(item, asyncio.Task) else item for item in answers]
        named = {name for answer in answers if isinstance(answer, list) for name in answer if isinstance(name, str)}
        wanted = sorted(name for name in named if name not in call.values or name in call.missing)
        for name in wanted:
            self.schedule.need(node_id, name)
        return bool(wanted)

    def _blocked(self, node_id: str, block: ExecutionBlocker) -> ExecutionBlocker:
        """Reports a block once, where it is met first; downstream of that it is silent. The run still succeeds."""
        if block.message is not None:
            report = self._report(node_id, f"Execution Blocked: {block.message}", "ExecutionBlocked", [], {})
            self.send("execution_error", **report)
        return ExecutionBlocker(None)

    def _finish(self, node_id: str, returned: list[Any]) -> None:
        schema = self.classes[self.prompt[node_id]["class_type"]].FINALIZE_SCHEMA()
        outputs, ui = merge(schema, returned)
        for _, _, socket in self.schedule.waits_for(node_id):
            outputs[socket]  # a linked output that was not returned fails here, as in ComfyUI: IndexError
        if ui:
            self.result.outputs[node_id] = ui
            self.send("executed", node=node_id, display_node=node_id, output=ui)
        self.cache.put(node_id, Entry(outputs, ui))
        self.result.executed.append(node_id)
        self.result.seconds[node_id] = time.perf_counter() - self.started[node_id]
        self.send("finished", node=node_id)
        self.schedule.done(node_id)

    def _show_cached(self, node_id: str, entry: Entry) -> None:
        if entry.ui:
            self.result.outputs[node_id] = entry.ui
        self.send("executed", node=node_id, display_node=node_id, output=entry.ui or None)

    def _resend_intermediate(self) -> None:
        """Previews of cached nodes that are no outputs (has_intermediate_output)."""
        for node_id, node in self.prompt.items():
            entry = self.cache.get(node_id)
            schema = self.classes[node["class_type"]].FINALIZE_SCHEMA()
            if schema.has_intermediate_output and entry is not None and node_id not in self.result.executed:
                self._show_cached(node_id, entry)

    def _message(self, event: str, data: Any) -> None:
        """Passes on what a node sends to the page."""
        self.on_event(event, {**(data if isinstance(data, Mapping) else {"data": data}), "prompt_id": self.result.prompt_id})

    def _progress(self, value: float, maximum: float, preview: Preview | None, node_id: str | None,
                  from_bar: bool = True) -> None:
        """Takes progress of ProgressBar: first the stop button, then the preview, then the numbers. ComfyAPI's does not stop."""
        if from_bar:
            throw_exception_if_processing_interrupted()
        running = get_executing_context()
        node_id = node_id or (running.node_id if running else None)
        if preview is not None:
            kind, image, size = preview
            self.send("preview", node=node_id, format=kind, image=image, size=size)
        self.send("progress_state", nodes={node_id: {"value": value, "max": maximum, "state": "running", "node_id": node_id}})
        if from_bar:
            self.send("progress", value=value, max=maximum, node=node_id)

    def _report(self, node_id: str, message: str, kind: str, trace: list[str], inputs: dict) -> dict[str, Any]:
        return {"node_id": node_id, "node_type": self.prompt[node_id]["class_type"], "executed": list(self.result.executed),
                "exception_message": message, "exception_type": kind, "traceback": trace, "current_inputs": inputs,
                "current_outputs": list(self.result.cached)}

    def _fail(self, failed: NodeFailed) -> None:
        """Ends the run with ComfyUI's message."""
        cause = failed.cause
        self.result.exception = cause
        if isinstance(cause, InterruptProcessingException):
            self.result.status = "interrupted"
            self.result.error = {"node_id": failed.node_id, "node_type": self.prompt[failed.node_id]["class_type"],
                                 "executed": list(self.result.executed)}
            self.send("execution_interrupted", **self.result.error)
            return
        values = failed.call.values if failed.call else {}
        inputs = {name: [shown_value(item) for item in items] for name, items in values.items()}
        self.result.status = "error"
        self.result.error = self._report(failed.node_id, f"{cause}\n", full_type_name(type(cause)),
                                         traceback.format_tb(cause.__traceback__), inputs)
        self.send("execution_error", **self.result.error)


