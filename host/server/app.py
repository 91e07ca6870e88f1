"""The server: routes, start, end. Start reading here."""
from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from ...media_core.errors import TalkingHeadsError
from .catalogue import catalogue_routes
from .context import Context, frontend_folder, server_features
from .jobs import job_routes
from .logs import RecentLog, log_routes
from .media import media_routes
from .prompts import prompt_routes
from .queue import JobQueue
from .running import Runner
from .security import guard
from .sockets import Sockets
from .static import file_routes
from .userdata import user_routes, welcome

if TYPE_CHECKING:
    from ..graph import Host

UPLOAD_LIMIT = 100  # MB, as ComfyUI's --max-upload-size
SOCKETS: web.AppKey[Sockets] = web.AppKey("sockets", Sockets)
log = logging.getLogger("talking_heads")


def find_pages(folder: str | None = None) -> Path:
    """The page's files: `folder`, or the installed package's.

    Raises:
        TalkingHeadsError: there are none.
    """
    pages = Path(folder) if folder else frontend_folder()
    if pages is None or not (pages / "index.html").is_file():
        came = f"no index.html in {pages}" if pages else "comfyui-frontend-package is not installed"
        raise TalkingHeadsError("The server needs ComfyUI's page", came, "Install it: pip install comfyui-frontend-package")
    return pages


def make_app(host: Host, *, user: Path, pages: Path, listen: str = "127.0.0.1",
             upload_limit: int = UPLOAD_LIMIT) -> web.Application:
    """The application around a host; `host` must not be used by anything else.

    Args:
        user: folder of settings and saved workflows; made if needed.
        pages: the frontend's `static` folder. listen: the address it will listen on. upload_limit: MB.
    """
    welcome(user)
    features = server_features(upload_limit << 20)
    recent = RecentLog()
    queue: JobQueue
    sockets = Sockets(lambda: {"exec_info": {"queue_remaining": queue.remaining()}}, features)
    runner = Runner(host, sockets)
    queue = JobQueue(runner.run, after=runner.after, free=runner.free,
                     changed=lambda: sockets.send("status", {"status": {"exec_info": {"queue_remaining": queue.remaining()}}}))
    recent.heard = sockets.send_log
    context = Context(host=host, queue=queue, sockets=sockets, log=recent, pages=pages, user=user, features=features)
    app = web.Application(client_max_size=upload_limit << 20, middlewares=[guard(listen)])
    app[SOCKETS] = sockets
    _add_routes(app, context)
    app.cleanup_ctx.append(_life(context))
    app.on_shutdown.append(lambda app: sockets.close())
    return app


def _add_routes(app: web.Application, context: Context) -> None:
    """Every route, and its twin below /api."""
    answers = {**prompt_routes(context), **job_routes(context), **media_routes(context), **user_routes(context),
               **catalogue_routes(context), **log_routes(context)}
    for (method, path), handler in sorted(answers.items(), key=lambda item: "{" in item[0][1]):  # fixed paths first
        app.router.add_route(method, path, handler)
        if not path.startswith("/api/"):
            app.router.add_route(method, f"/api{path}", handler)
    app.router.add_get("/ws", context.sockets.serve)
    app.router.add_get("/api/ws", context.sockets.serve)
    for path, handler in file_routes(context).items():
        app.router.add_get(path, handler)


def _life(context: Context) -> Callable[[web.Application], AsyncIterator[None]]:
    """The worker and the log, from the first request to the last."""
    async def life(app: web.Application) -> AsyncIterator[None]:
        context.sockets.open()
        logging.getLogger().addHandler(context.log)
        context.queue.start()
        yield
        if not await asyncio.to_thread(context.queue.close):
            log.warning("The running prompt did not stop in time; it ends with this process.")
        logging.getLogger().removeHandler(context.log)

    return life


async def serve(app: web.Application, listen: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM. port: 0 for any. ready: told the page's address.

    Raises:
        TalkingHeadsError: nobody can listen there.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen, port).start()
        except (OSError, OverflowError) as error:
            raise TalkingHeadsError("The server needs a port that nobody uses", f"{listen}:{port} ({error})",
                                    "Choose another --port, or end the other server") from error
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the loop instead
                loop.add_signal_handler(number, ended.set)
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listen, f"[{listen}]" if ":" in listen else listen)
        ready(f"http://{host}:{runner.addresses[0][1]}")
        await ended.wait()
    finally:
        await runner.cleanup()
