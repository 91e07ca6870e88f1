"""A video on the node that makes it: with sound, and already while it is made.

While frames are encoded, a copy that can be played grows in ComfyUI's temp folder; the page hears of it by the event
`talking_heads.video` and reads what is new of it through /view. When the video is there, or the run has been stopped, the copy is
removed, and the node's `player` in the history names the video itself.
"""
from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

from . import bridge, temporary_videos

EVENT = "talking_heads.video"
GROWING, ENDED = "growing", "ended"
_GRACE = 2.0  # s that the copy is left for a page that reads it


class LiveVideo:
    """For the time in which a node writes a video: `with LiveVideo(...) as live`, and `copy=live.copy` for the writer.

    Args:
        node_type: the node's id, such as "HMTalker_RenderAvatarVideo".
        format: of `temporary_videos.FORMATS`; what no browser plays (mov) gets no copy.
        seconds: how long the video will be.
    """

    def __init__(self, node_type: str, format: str, seconds: float):
        from ..media_core.live_copy import LiveCopy

        context = get_executing_context()
        self._node, self._node_type, self._seconds = None if context is None else context.node_id, node_type, seconds
        self._path = temporary_videos.new_path(f".{format}", "talking_heads_live_")
        self.copy = LiveCopy(self._path, self._growing)

    def __enter__(self) -> LiveVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.copy.close()
        self._send({"state": ENDED})
        if getattr(getattr(PromptServer, "instance", None), "client_id", None) is None:
            self._remove()
            return
        later = threading.Timer(_GRACE, self._remove)  # a page may just be asking for what is new
        later.daemon = True
        later.start()

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as failure:  # a page reads it (Windows): ComfyUI empties the folder when it starts
            bridge.log.debug("%s stays in the temp folder: %s", self._path.name, failure)

    def _growing(self, mime: str, seconds: float) -> None:
        self._send({"state": GROWING, "filename": self._path.name, "subfolder": "", "type": "temp", "mime": mime,
                    "seconds": round(seconds, 2), "total": round(self._seconds, 2)})

    def _send(self, told: dict[str, Any]) -> None:
        server = getattr(PromptServer, "instance", None)
        if self._node is not None and server is not None:
            server.send_sync(EVENT, {"node": self._node, "node_type": self._node_type, **told}, server.client_id)


def shown(path: Path) -> dict[str, list]:
    """The `ui` of a node that has made a video in ComfyUI's temp folder."""
    return {"player": [{"filename": path.name, "subfolder": "", "type": "temp"}]}
