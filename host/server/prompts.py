"""Prompts: accept, list, cancel; the history."""
from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from ..graph import describe
from ..validate import validate_prompt
from .answers import answer, body_of, object_of, refusal, strings, whole_number
from .context import Answer, Context
from .queue import Job, spared

_MOST_NODES = 10_000
log = logging.getLogger("talking_heads")


def job_id(value: Any) -> str | None:
    """A client's own id of a prompt, which must be a UUID as it is usually written; None for anything else."""
    try:
        return value if isinstance(value, str) and str(uuid.UUID(value)) == value else None
    except ValueError:
        return None


def prompt_fault(prompt: Any) -> str | None:
    """Why something is no prompt at all; what is wrong with its nodes, validation tells better."""
    if not isinstance(prompt, dict):
        return "prompt must be an object: node ids and nodes"
    if len(prompt) > _MOST_NODES:
        return f"prompt has {len(prompt)} nodes; the most are {_MOST_NODES}"
    for node_id, node in prompt.items():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            return f"node {node_id[:40]!r} must be an object with class_type and inputs"
    return None


class _Prompts:
    """POST /prompt."""

    def __init__(self, context: Context):
        self.context, self.count = context, 0

    def info(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": self.context.queue.remaining()}}

    async def accept(self, request: web.Request) -> web.Response:
        said = await object_of(request)
        number = self._number(said)
        if "prompt" not in said:
            return refusal("no_prompt", "No prompt provided", "No prompt provided")
        fault = prompt_fault(said["prompt"])
        if fault is not None:
            return refusal("invalid_prompt", "The request holds no prompt", fault)
        given = said.get("prompt_id")
        prompt_id = str(uuid.uuid4()) if given is None else job_id(given)
        if prompt_id is None:
            return refusal("invalid_prompt_id", "prompt_id must be a valid UUID",
                           "Send a UUID in lower case with hyphens, or leave prompt_id out")
        return await self._queue(said, number, prompt_id, request)

    def _number(self, said: Mapping[str, Any]) -> float:
        """The prompt's place in the queue: as given, else before or behind all others."""
        given = said.get("number")
        if isinstance(given, (int, float)):
            return float(given)
        number = -self.count if said.get("front") else self.count
        self.count += 1
        return number

    async def _queue(self, said: Mapping[str, Any], number: float, prompt_id: str, request: web.Request) -> web.Response:
        prompt = {node_id: {**node, "inputs": node.get("inputs", {})} for node_id, node in said["prompt"].items()}
        prompt = self.context.host.current(prompt)
        only = said.get("partial_execution_targets")
        checked = await validate_prompt(prompt, self.context.host.classes, prompt_id,
                                        only=None if only is None else list(strings(only)))
        if not checked.valid:
            log.warning("invalid prompt: %s", describe(checked))
            return answer({"error": checked.error, "node_errors": checked.node_errors}, 400)
        extra = spared(said["extra_data"]) if isinstance(said.get("extra_data"), dict) else {}
        if isinstance(said.get("client_id"), str):
            extra["client_id"] = said["client_id"]
        if "Comfy-Usage-Source" in request.headers:
            extra.setdefault("comfy_usage_source", request.headers["Comfy-Usage-Source"])
        extra["create_time"] = int(time.time() * 1000)
        job = Job(number=number, id=prompt_id, prompt=prompt, extra=extra, targets=checked.outputs)
        if not self.context.queue.put(job):
            return refusal("queue_full", "Too many prompts wait", "Wait for some to end, or clear the queue", 429)
        return answer({"prompt_id": prompt_id, "number": number, "node_errors": checked.node_errors})


async def _removed(request: web.Request, every: Callable[[], object], one: Callable[[str], object]) -> web.Response:
    """What a request to clear, or to delete prompts by their ids, asks for."""
    said = await object_of(request)
    if said.get("clear"):
        every()
    for prompt_id in strings(said.get("delete")):
        one(prompt_id)
    return web.Response()


def prompt_routes(context: Context) -> dict[tuple[str, str], Answer]:
    queue, prompts = context.queue, _Prompts(context)

    async def info(request: web.Request) -> web.Response:
        return answer(prompts.info())

    async def lines(request: web.Request) -> web.Response:
        running, waiting = queue.lines()
        return answer({"queue_running": [job.row() for job in running], "queue_pending": [job.row() for job in waiting]})

    async def change(request: web.Request) -> web.Response:
        return await _removed(request, queue.clear, queue.delete)

    async def interrupt(request: web.Request) -> web.Response:
        said = await body_of(request) if await request.read() else None
        prompt_id = said.get("prompt_id") if isinstance(said, dict) else None
        queue.interrupt(prompt_id if isinstance(prompt_id, str) and prompt_id else None)
        return web.Response()

    async def free(request: web.Request) -> web.Response:
        said = await object_of(request)
        queue.free(bool(said.get("unload_models")), bool(said.get("free_memory")))
        return web.Response()

    async def history(request: web.Request) -> web.Response:
        most, offset = (whole_number(request.query.get(name), None, -10 ** 6) for name in ("max_items", "offset"))
        return answer(queue.history(most=most, offset=-1 if offset is None else offset))

    async def entry(request: web.Request) -> web.Response:
        return answer(queue.history(request.match_info["prompt_id"]))

    async def forget(request: web.Request) -> web.Response:
        return await _removed(request, queue.forget, queue.forget)

    return {("GET", "/prompt"): info, ("POST", "/prompt"): prompts.accept, ("GET", "/queue"): lines, ("POST", "/queue"): change,
            ("POST", "/interrupt"): interrupt, ("POST", "/free"): free, ("GET", "/history"): history,
            ("GET", "/history/{prompt_id}"): entry, ("POST", "/history"): forget}
