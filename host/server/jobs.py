"""/api/jobs: the queue and the history as one list, which the page's side panel reads."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from .answers import answer, object_of, whole_number
from .context import Answer, Context
from .prompts import job_id
from .queue import Job, JobQueue

STATES = ("pending", "in_progress", "completed", "failed", "cancelled")
_SHOWN = ("images", "video", "audio", "3d", "text")  # keys of a node's outputs that the page can draw
_TEXT_FILES = (".txt", ".md", ".json")
_LONGEST_TEXT = 1024  # of a text in place of a picture


def _pruned(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _workflow_id(extra: Mapping[str, Any]) -> str | None:
    info = extra.get("extra_pnginfo")
    workflow = info.get("workflow") if isinstance(info, Mapping) else None
    return workflow.get("id") if isinstance(workflow, Mapping) else None


def _queued(job: Job, status: str) -> dict[str, Any]:
    return _pruned(id=job.id, status=status, priority=job.number, create_time=job.extra.get("create_time"), outputs_count=0,
                   previewable_outputs_count=0, workflow_id=_workflow_id(job.extra))


def _outputs(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(node id, kind, item) of everything that nodes gave the page."""
    for node_id, shown in outputs.items():
        for kind, items in shown.items():
            if kind != "animated" and isinstance(items, (list, tuple)):
                yield from ((node_id, kind, item) for item in items)


def _is_text(kind: str, item: Mapping[str, Any]) -> bool:
    return kind == "text" or str(item.get("filename", "")).lower().endswith(_TEXT_FILES)


def _can_show(kind: str, item: Mapping[str, Any]) -> bool:
    return kind in _SHOWN or str(item.get("format", "")).startswith(("video/", "audio/")) or _is_text(kind, item)


def _preview(outputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The picture of a job: a saved file, else a passing one, else a text file, else a text."""
    best: tuple[int, dict[str, Any]] | None = None
    for node_id, kind, item in _outputs(outputs):
        if isinstance(item, Mapping) and _can_show(kind, item):
            rank = 2 if _is_text(kind, item) else 0 if item.get("type") == "output" else 1
            found = {**item, "nodeId": node_id, "mediaType": item.get("mediaType", kind)}
        elif isinstance(item, str) and kind == "text":
            rank, found = 3, {"content": item[:_LONGEST_TEXT], "nodeId": node_id, "mediaType": kind}
            found |= {"truncated": True} if len(item) > _LONGEST_TEXT else {}
        else:
            continue
        if best is None or rank < best[0]:
            best = rank, found
    return best[1] if best else None


def _past(prompt_id: str, entry: Mapping[str, Any], whole: bool = False) -> dict[str, Any]:
    """A job of the history. whole: with its outputs and workflow."""
    number, _, prompt, extra, _ = entry["prompt"]
    messages = dict(entry["status"]["messages"])
    stopped, failed = "execution_interrupted" in messages, not entry["status"]["completed"]
    ends = ("execution_success", "execution_interrupted", "execution_error")
    end = next((messages[name] for name in ends if name in messages), {})
    files = [(kind, item) for _, kind, item in _outputs(entry["outputs"]) if isinstance(item, Mapping)]
    told = _pruned(
        id=prompt_id, status="cancelled" if stopped else "failed" if failed else "completed", priority=number,
        create_time=extra.get("create_time"), execution_start_time=messages.get("execution_start", {}).get("timestamp"),
        execution_end_time=end.get("timestamp"), execution_error=messages.get("execution_error") if failed else None,
        outputs_count=len(files), previewable_outputs_count=sum(_can_show(kind, item) for kind, item in files),
        preview_output=_preview(entry["outputs"]), workflow_id=_workflow_id(extra))
    if whole:
        told |= {"outputs": entry["outputs"], "execution_status": entry["status"],
                 "workflow": {"prompt": prompt, "extra_data": extra}}
    return told


def all_jobs(queue: JobQueue) -> list[dict[str, Any]]:
    running, waiting = queue.lines()
    return [*(_queued(job, "in_progress") for job in running), *(_queued(job, "pending") for job in waiting),
            *(_past(prompt_id, entry) for prompt_id, entry in queue.history().items())]


def _one(queue: JobQueue, prompt_id: str) -> dict[str, Any] | None:
    entry = queue.history(prompt_id).get(prompt_id)
    if entry is not None:
        return _past(prompt_id, entry, whole=True)
    return next((job for job in all_jobs(queue) if job["id"] == prompt_id), None)


def _duration(job: Mapping[str, Any]) -> float:
    return job.get("execution_end_time", 0) - job.get("execution_start_time", 0) if "execution_end_time" in job else 0


def _listed(queue: JobQueue, query: Mapping[str, str]) -> web.Response:
    """GET /api/jobs."""
    states = [part.strip().lower() for part in query.get("status", "").split(",") if part.strip()] or list(STATES)
    unknown = [state for state in states if state not in STATES]
    sort, order = query.get("sort_by", "created_at").lower(), query.get("sort_order", "desc").lower()
    if unknown:
        return answer({"error": f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(STATES)}"}, 400)
    if sort not in ("created_at", "execution_duration"):
        return answer({"error": "sort_by must be 'created_at' or 'execution_duration'"}, 400)
    if order not in ("asc", "desc"):
        return answer({"error": "sort_order must be 'asc' or 'desc'"}, 400)
    limit, offset = whole_number(query.get("limit"), None, 1), max(whole_number(query.get("offset"), 0, -10 ** 9) or 0, 0)
    workflow = query.get("workflow_id")
    jobs = [job for job in all_jobs(queue) if job["status"] in states and workflow in (None, "", job.get("workflow_id"))]
    jobs.sort(key=_duration if sort == "execution_duration" else lambda job: job.get("create_time", 0), reverse=order == "desc")
    page = jobs[offset:] if limit is None else jobs[offset:offset + limit]
    return answer({"jobs": page, "pagination": {"offset": offset, "limit": limit, "total": len(jobs),
                                                "has_more": offset + len(page) < len(jobs)}})


def job_routes(context: Context) -> dict[tuple[str, str], Answer]:
    queue = context.queue

    def cancel(prompt_id: str) -> bool:
        return queue.interrupt(prompt_id) or queue.delete(prompt_id)

    async def listed(request: web.Request) -> web.Response:
        return _listed(queue, request.query)

    async def one(request: web.Request) -> web.Response:
        job = _one(queue, request.match_info["job_id"])
        return answer({"error": "Job not found"}, 404) if job is None else answer(job)

    async def cancel_one(request: web.Request) -> web.Response:
        return answer({"cancelled": cancel(request.match_info["job_id"])})

    async def cancel_several(request: web.Request) -> web.Response:
        ids = (await object_of(request)).get("job_ids")
        if not isinstance(ids, list):
            return answer({"error": "job_ids must be a list"}, 400)
        bad = [item if isinstance(item, str) else repr(item) for item in ids if job_id(item) is None]
        if bad:
            return answer({"error": "job_ids contains invalid id(s)", "invalid_ids": bad}, 400)
        return answer({"cancelled": sum(cancel(item) for item in ids) > 0})

    return {("GET", "/api/jobs"): listed, ("GET", "/api/jobs/{job_id}"): one, ("POST", "/api/jobs/cancel"): cancel_several,
            ("POST", "/api/jobs/{job_id}/cancel"): cancel_one}
