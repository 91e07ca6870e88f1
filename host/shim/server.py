"""`server`: a PromptServer that remembers what it receives. Routes are collected, not served."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .io_schema import NodeReplace


class Routes:
    """aiohttp's decorators, collecting."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, Callable]] = []  # (method, path, handler)

    def _add(self, method: str, path: str) -> Callable:
        def adopt(handler: Callable) -> Callable:
            self.found.append((method, path, handler))
            return handler
        return adopt

    def get(self, path: str, **_: Any) -> Callable:
        return self._add("GET", path)

    def post(self, path: str, **_: Any) -> Callable:
        return self._add("POST", path)


class NodeReplacements:
    """What `ComfyAPI.node_replacement.register` fills."""

    def __init__(self) -> None:
        self.found: list[NodeReplace] = []

    def register(self, replacement: NodeReplace) -> None:
        self.found.append(replacement)


class PromptServer:
    """The one server object packs reach for."""

    instance: PromptServer

    def __init__(self) -> None:
        self.routes = Routes()
        self.node_replace_manager = NodeReplacements()
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.on_message: Callable[[str, Any], None] | None = None  # set by the host

    def send_progress_text(self, text: bytes | bytearray | str, node_id: str, sid: str | None = None) -> None:
        """Text that the page shows on a node."""
        told = text if isinstance(text, str) else text.decode("utf8")
        self.send_sync("progress_text", {"node": node_id, "text": told}, sid)

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        if self.on_message is not None:
            self.on_message(event, data)


PromptServer.instance = PromptServer()
