"""The last lines of the log, as the page's terminal shows them."""
from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from .answers import answer, object_of
from .context import Answer, Context

_KEPT = 300  # lines
_SIZE = {"cols": 120, "rows": 40}


class RecentLog(logging.Handler):
    """Keeps lines and passes them on."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[dict[str, str]] = deque(maxlen=_KEPT)
        self.heard: Callable[[dict[str, str]], None] = lambda line: None

    def emit(self, record: logging.LogRecord) -> None:
        line = {"t": datetime.fromtimestamp(record.created).isoformat(), "m": self.format(record) + "\n"}
        self.lines.append(line)
        self.heard(line)


def log_routes(context: Context) -> dict[tuple[str, str], Answer]:
    async def text(request: web.Request) -> web.Response:
        return answer("".join(f"{line['t']} - {line['m']}" for line in context.log.lines))

    async def raw(request: web.Request) -> web.Response:
        return answer({"entries": list(context.log.lines), "size": _SIZE})

    async def subscribe(request: web.Request) -> web.Response:
        said = await object_of(request)
        client = context.sockets.clients.get(str(said.get("clientId")))
        if client is not None:
            client.logs = said.get("enabled") is True
        return web.Response()

    return {("GET", "/internal/logs"): text, ("GET", "/internal/logs/raw"): raw, ("PATCH", "/internal/logs/subscribe"): subscribe}
