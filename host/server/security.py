"""Who may ask: only pages of this server, by its own name; and what files are given out as.

Without a password the server trusts whoever reaches its port. A web page elsewhere reaches it too, through the user's browser:
such requests name a foreign origin, or a foreign host name that points to this machine, and are refused.
"""
from __future__ import annotations

import ipaddress
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from ...media_core.errors import TalkingHeadsError
from ...media_core.paths import contained

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
           "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
           "connect-src 'self' data: blob:; frame-src 'self'; object-src 'self'")
_INLINE = ("image/", "video/", "audio/")  # what a browser shows without running it
_KEPT = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json",
          ".svg": "image/svg+xml", ".webp": "image/webp", ".wasm": "application/wasm", ".md": "text/markdown",
          ".flac": "audio/flac", ".mkv": "video/x-matroska"}  # mimetypes asks the system, which may not know or know wrongly


def is_local(name: str | None) -> bool:
    """Whether a host name or address is this machine's own."""
    if name is None:
        return False
    if name.lower() == "localhost" or name.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def guard(listen: str) -> Middleware:
    """The check of every request, and headers of every answer. `listen`: the address the server listens on."""
    only_local = is_local(listen)

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _foreign(request, only_local):
            return web.Response(status=403, text="This server answers its own pages only")
        try:
            response = await handler(request)
        except TalkingHeadsError as error:  # of `contained`, mostly
            response = web.Response(status=400, text=str(error))
        if not response.prepared:
            _mark(request, response)
        return response

    return checked


def _foreign(request: web.Request, only_local: bool) -> bool:
    """Whether another site's page sent a request."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    host = urlsplit(f"//{request.headers.get('Host', '')}")
    if only_local and not is_local(host.hostname):
        return True  # a foreign name that points here (DNS rebinding)
    origin = request.headers.get("Origin")
    if origin is None or not is_local(host.hostname):
        return False
    return urlsplit(origin).netloc.lower() != host.netloc.lower()


def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.path.startswith("/assets/") and response.status == 200:
        response.headers.setdefault("Cache-Control", _KEPT)  # the page's parts carry their digest in their name
    elif request.path.endswith((".js", ".css", ".json", ".html", "/")):
        response.headers.setdefault("Cache-Control", "no-store")


def content_type(name: str) -> str:
    """By the ending, the same on every system."""
    ending = Path(name).suffix.lower()
    return _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def user_file(path: Path, *, inline: bool = True) -> web.FileResponse:
    """A file of the user's. Only pictures, videos and sound are shown in the page; what could run as a script is a download."""
    kind = content_type(path.name)
    shown = inline and kind.startswith(_INLINE) and kind != "image/svg+xml"
    if not shown and kind not in ("text/plain", "application/json"):
        kind = "application/octet-stream"
    name = path.name.encode("ascii", "replace").decode().replace("\\", "_").replace('"', "_")
    return web.FileResponse(path, headers={
        "Content-Type": kind, "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name}"'})


def own_file(folder: Path, name: str) -> web.FileResponse:
    """A file that belongs to the page or to a pack.

    Raises:
        web.HTTPNotFound: there is none.
        TalkingHeadsError: the name leads out of `folder`.
    """
    path = contained(folder, name, links_may_leave=True)  # some installers link packages together
    if not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={"Content-Type": content_type(path.name)})
