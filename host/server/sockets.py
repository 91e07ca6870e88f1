"""WebSockets of the open pages: each gets its own bounded line of messages, so that a slow page never holds up the work."""
from __future__ import annotations

import asyncio
import io
import logging
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from ...media_core.errors import FileFormatError
from ...media_core.json_files import parse_json
from .answers import dumped

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4  # binary messages: their first four bytes, big-endian
_JPEG, _PNG = 1, 2  # a plain preview's next four
_LINE = 256  # messages that wait for a page; beyond, previews and progress are left out
_LONGEST = 1 << 20  # bytes that a page may send at once
_OMITTED = ("progress", "progress_state", "logs")


class Client:
    """One page."""

    def __init__(self, socket: web.WebSocketResponse):
        self.socket, self.features = socket, dict[str, Any]()
        self.line: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.logs = False  # wants the log's lines

    def put(self, message: str | bytes, may_miss: bool) -> None:
        if not may_miss or self.line.qsize() < _LINE:
            self.line.put_nowait(message)

    async def write(self) -> None:
        """Sends what is in the line until the page leaves."""
        while (message := await self.line.get()) is not None:
            try:
                await (self.socket.send_bytes(message) if isinstance(message, bytes) else self.socket.send_str(message))
            except ConnectionError as error:
                logging.getLogger("talking_heads").debug("a page left: %s", error)
                return


class Sockets:
    """All pages. `send` may be called from any thread. hello: the first message to a page. features: what the server can."""

    def __init__(self, hello: Callable[[], dict[str, Any]], features: Mapping[str, Any]):
        self._hello, self._features = hello, features
        self._loop: asyncio.AbstractEventLoop | None = None
        self.clients: dict[str, Client] = {}
        self.at: Callable[[str], str | None] = lambda client_id: None  # the node that runs for a page that comes back

    def open(self) -> None:
        """Called in the server's own loop."""
        self._loop = asyncio.get_running_loop()

    def send(self, event: str | int, data: Any, to: str | None = None) -> None:
        """A message to one page, or to all. event: a name with JSON data, or a number with bytes."""
        if self._loop is None or self._loop.is_closed():
            return
        message = struct.pack(">I", event) + data if isinstance(event, int) else dumped({"type": event, "data": data})
        self._loop.call_soon_threadsafe(self._spread, message, to, event in (PREVIEW, PREVIEW_WITH_METADATA, *_OMITTED))

    def _spread(self, message: str | bytes, to: str | None, may_miss: bool) -> None:
        for sid, client in self.clients.items():
            if to is None or sid == to:
                client.put(message, may_miss)

    def send_log(self, entry: Mapping[str, str]) -> None:
        for sid, client in list(self.clients.items()):
            if client.logs:
                self.send("logs", {"entries": [entry], "size": {"cols": 120, "rows": 40}}, sid)

    def send_preview(self, image: Image, kind: str, size: int | None, about: Mapping[str, Any], to: str | None) -> None:
        """An image of a running node, in the form each page understands. size: longest side in px; None: as it is."""
        wanted = [sid for sid in list(self.clients) if to is None or sid == to]
        if not wanted:
            return
        packed, png = _encoded(image, kind, size), kind == "PNG"
        named = dumped({**about, "image_type": "image/png" if png else "image/jpeg"}).encode()
        for sid in wanted:
            client = self.clients.get(sid)
            if client is None:
                continue
            if client.features.get("supports_preview_metadata") is True:
                self.send(PREVIEW_WITH_METADATA, struct.pack(">I", len(named)) + named + packed, sid)
            else:
                self.send(PREVIEW, struct.pack(">I", _PNG if png else _JPEG) + packed, sid)

    def send_text(self, node_id: str, text: str, to: str | None) -> None:
        """A line that the page shows on a node."""
        node = node_id.encode()
        self.send(TEXT, struct.pack(">I", len(node)) + node + text.encode(), to)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """GET /ws."""
        socket = web.WebSocketResponse(max_msg_size=_LONGEST, heartbeat=30)
        await socket.prepare(request)
        sid = request.query.get("clientId") or uuid.uuid4().hex
        client = self.clients[sid] = Client(socket)
        writer = asyncio.create_task(client.write())
        client.put(dumped({"type": "status", "data": {"status": self._hello(), "sid": sid}}), False)
        node = self.at(sid)
        if node is not None:
            client.put(dumped({"type": "executing", "data": {"node": node}}), False)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._heard(client, message.data)
        finally:
            if self.clients.get(sid) is client:  # the same page may be back already
                del self.clients[sid]
            client.line.put_nowait(None)
            await writer
        return socket

    def _heard(self, client: Client, text: str) -> None:
        """What a page says: its features, first of all."""
        try:
            said = parse_json(text, "A message")
        except FileFormatError as error:
            logging.getLogger("talking_heads").warning("A page sent something that is no JSON: %s", error)
            return
        if isinstance(said, dict) and said.get("type") == "feature_flags" and isinstance(said.get("data"), dict):
            client.features = said["data"]
            client.put(dumped({"type": "feature_flags", "data": self._features}), False)

    async def close(self) -> None:
        for client in list(self.clients.values()):
            await client.socket.close(code=1001, message=b"the server ends")


def _encoded(image: Image, kind: str, size: int | None) -> bytes:
    from PIL import ImageOps

    if size is not None:
        image = ImageOps.contain(image, (size, size))
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, format="PNG", compress_level=1)
    else:
        image.convert("RGB").save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()
