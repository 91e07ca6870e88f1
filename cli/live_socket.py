"""Frames to whoever connects by WebSocket (RFC 6455), in a thread of their own; from the standard library alone.

A client gets one text message, the header as JSON, then a binary message for each frame: its number (4 bytes, little-endian),
then its pixels. A client that is slower than the frames misses some. What clients send is ignored, but for ping and close.
"""
from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..media_core.errors import TalkingHeadsError

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of the protocol
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_LONGEST = 1 << 16  # bytes of a request, and of a message that a client may send
_PATIENCE = 10.0  # s in which a client must have asked
_WAITING = 3  # frames that wait for a client, at most
_LOCAL = ("localhost", "127.0.0.1", "::1")


class FrameServer:
    """Listens from the beginning until `close`.

    Args:
        port: 0 for any that is free; `port` then says which.
        host: address to listen on. header: what a client is told first.
    Attributes:
        dropped: frames that a client missed.
    Raises:
        TalkingHeadsError: nobody can listen there.
    """

    def __init__(self, port: int, host: str, header: Mapping[str, Any]):
        self.dropped, self._header, self._queues = 0, json.dumps(dict(header)).encode(), set[asyncio.Queue[bytes]]()
        self._loop, self._clients = asyncio.new_event_loop(), set[asyncio.Task[None]]()
        self._thread = threading.Thread(target=self._loop.run_forever, name="frames", daemon=True)
        try:
            self._server = self._loop.run_until_complete(asyncio.start_server(self._client, host, port, limit=_LONGEST))
        except (OSError, OverflowError) as error:
            self._loop.close()
            raise TalkingHeadsError("The WebSocket needs a port that nobody uses", f"{host}:{port} ({error})",
                                    "Choose another --websocket PORT") from error
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread.start()

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._queues)

    def send(self, number: int, pixels: bytes) -> None:
        """Gives a frame to all who listen."""
        self._loop.call_soon_threadsafe(self._spread, message(_BINARY, struct.pack("<I", number & 0xFFFFFFFF) + pixels))

    def close(self) -> None:
        """Says goodbye to everybody and ends the thread."""
        asyncio.run_coroutine_threadsafe(self._goodbye(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _spread(self, data: bytes) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
                self.dropped += 1
            queue.put_nowait(data)

    async def _goodbye(self) -> None:
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its request to the end."""
        own = asyncio.current_task()
        assert own is not None  # a coroutine runs in one
        self._clients.add(own)
        queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            answer = handshake(request)
            writer.write(answer)
            if answer.startswith(b"HTTP/1.1 101"):
                writer.write(message(_TEXT, self._header))
                self._queues.add(queue)
                await _first_done(self._listen(reader, writer), self._show(queue, writer))
                writer.write(message(_CLOSE, struct.pack(">H", 1000)))
        except (asyncio.CancelledError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.write(message(_CLOSE, struct.pack(">H", 1001)))  # it is gone, or must go
        finally:
            self._queues.discard(queue)
            self._clients.discard(own)
            writer.close()

    async def _show(self, queue: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await queue.get())
            await writer.drain()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads until the client closes, or sends what no client may."""
        while True:
            kind, length = await reader.readexactly(2)
            size = length & 127
            if size > 125:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            if not length & 128 or size > _LONGEST:
                return
            mask, data = await reader.readexactly(4), await reader.readexactly(size)
            if kind & 15 == _CLOSE:
                return
            if kind & 15 == _PING:
                writer.write(message(_PONG, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[:125]))))


async def _first_done(*work: Any) -> None:
    """Waits for the first of several coroutines and ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def message(kind: int, data: bytes) -> bytes:
    """A whole message as a server sends it."""
    size = len(data)
    length = bytes([size]) if size < 126 else struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
    return bytes([128 | kind]) + length + data


def handshake(request: bytes) -> bytes:
    """The answer to a request. Pages of other sites are refused: a browser sends the page's address along as its origin."""
    first, *lines = request.decode("latin-1").split("\r\n")
    told = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    key, origin = told.get("sec-websocket-key"), told.get("origin")
    if not first.startswith("GET ") or told.get("upgrade", "").lower() != "websocket" or not key:
        return b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    if origin is not None and urlsplit(origin).hostname not in _LOCAL and urlsplit(origin).netloc != told.get("host"):
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    accept = base64.b64encode(hashlib.sha1(key.encode("latin-1") + _MAGIC).digest())
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
            + b"\r\n\r\n")
