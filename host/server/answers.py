"""Reading and writing the JSON of requests: bounded on the way in, free of NaN on the way out."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ...media_core.errors import FileFormatError
from ...media_core.json_files import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def dumped(value: Any) -> str:
    """JSON that every browser reads: what is not finite becomes null, what has no JSON form its text."""
    try:
        return json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.json_response(value, status=status, dumps=dumped)


def refusal(kind: str, message: str, details: str, status: int = 400) -> web.Response:
    """What POST /prompt answers when nothing can be run."""
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return answer({"error": error, "node_errors": {}}, status)


async def body_of(request: web.Request) -> Any:
    """The JSON value a request carries.

    Raises:
        web.HTTPBadRequest: it carries none, or one beyond the bounds of `media_core.json_files`.
    """
    try:
        return parse_json(await request.read(), "The request", do="Send JSON")
    except FileFormatError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


async def object_of(request: web.Request, *, empty: bool = False) -> dict[str, Any]:
    """The JSON object a request carries; with `empty`, {} for no body at all.

    Raises:
        web.HTTPBadRequest: another value, or none.
    """
    if empty and not await request.read():
        return {}
    value = await body_of(request)
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="The request must carry a JSON object")
    return value


def whole_number(text: str | None, default: int | None, least: int = 0) -> int | None:
    """A query parameter as a number.

    Raises:
        web.HTTPBadRequest: it is none, or below `least`.
    """
    if text is None:
        return default
    if not text.lstrip("-").isdigit() or len(text) > 15 or int(text) < least:
        raise web.HTTPBadRequest(text=f"{text[:40]!r} is no whole number from {least} on")
    return int(text)


def strings(value: Any) -> Sequence[str]:
    """The strings of a list that a request carries; none where it is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
