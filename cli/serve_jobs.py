"""`talking-heads serve`: ComfyUI's own page on this machine, without ComfyUI."""
from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import sys
from pathlib import Path

from ..host.graph import REPOSITORY, Host
from ..media_core.errors import TalkingHeadsError
from ..media_core.temporary import temporary_folder

OK = 0
PACK = "ComfyUI-TalkingHeads"  # what the template browser calls this pack
_TEMPORARY = "talking_heads_"


def add_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--port", type=int, default=8188, metavar="N", help="where the page is (default: 8188; 0: any free one)")
    serve.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS",
                       help="address to listen on (default: 127.0.0.1, this machine alone; there is no password)")
    serve.add_argument("--input-dir", metavar="DIR", help="uploads and what Load nodes offer (default: BASE/input)")
    serve.add_argument("--output-dir", metavar="DIR", help="where results go (default: BASE/output)")
    serve.add_argument("--pack", dest="packs", action="append", default=[], metavar="DIR",
                       help="load another V3 node pack as well")
    serve.add_argument("--max-upload-size", type=int, default=100, metavar="MB", help="of one file (default: 100)")
    serve.add_argument("--frontend", metavar="DIR", help="the page's files (default: those of comfyui-frontend-package)")


def serve_page(options: argparse.Namespace) -> int:
    """Serves until Ctrl+C."""
    _check(options)
    from ..host.server.app import find_pages, make_app, serve

    pages = find_pages(options.frontend)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with temporary_folder(_TEMPORARY) as temp:
        host = Host(options.base_dir, (REPOSITORY, *options.packs), input_dir=options.input_dir, output_dir=options.output_dir,
                    temp_dir=temp, names={REPOSITORY: PACK})
        user = Path(options.base_dir).resolve() / "user" / "default"
        app = make_app(host, user=user, pages=pages, listen=options.listen, upload_limit=options.max_upload_size)
        try:
            asyncio.run(serve(app, options.listen, options.port, _ready))
        finally:
            host.executor.cache.clear()  # it holds videos of the temp folder open, which Windows then cannot delete
    return OK


def _check(options: argparse.Namespace) -> None:
    """
    Raises:
        TalkingHeadsError: a library is missing, or a number is out of its range.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise TalkingHeadsError("The server needs aiohttp", "it is not installed", "Install it: pip install aiohttp")
    bounds = (("--port", options.port, 0, 65535), ("--max-upload-size", options.max_upload_size, 1, 1 << 20))
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise TalkingHeadsError(f"{name} must lie between {least} and {most}", str(value), "Choose another number")
    from ..host.server.security import is_local

    if not is_local(options.listen):
        print(f"Anyone who can reach {options.listen} can run workflows and read their files: there is no password.",
              file=sys.stderr)


def _ready(address: str) -> None:
    print(f"ComfyUI's page with Talking Heads: {address}  (Ctrl+C ends it)", flush=True)
