"""What the routes share."""
from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from ..graph import Host
    from .logs import RecentLog
    from .queue import JobQueue
    from .sockets import Sockets

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
COMFYUI_VERSION = "0.33.0"  # whose protocol is spoken


@dataclass(frozen=True)
class Context:
    """One server."""

    host: Host
    queue: JobQueue
    sockets: Sockets
    log: RecentLog
    pages: Path  # the frontend's `static` folder
    user: Path  # settings and saved workflows
    features: dict[str, object] = field(default_factory=dict)


def server_features(upload_limit: int) -> dict[str, object]:
    """What pages are told this server can. upload_limit: bytes."""
    return {"supports_preview_metadata": True, "supports_model_type_tags": True, "max_upload_size": upload_limit,
            "extension": {"manager": {"supports_v4": True}}, "node_replacements": True, "assets": False}


def frontend_folder() -> Path | None:
    """The `static` folder of the installed comfyui-frontend-package, None without one."""
    import importlib.util

    found = importlib.util.find_spec("comfyui_frontend_package")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        pages = Path(place, "static")
        if os.path.isfile(pages / "index.html"):
            return pages
    return None
