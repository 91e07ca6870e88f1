"""Files of the page and of the packs, by the beginning of their path; help for nodes that have no page."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiohttp import web

from ...media_core.paths import contained
from .answers import answer
from .catalogue import template_folder
from .context import Answer, Context
from .security import own_file

_HELP = re.compile(r"docs/([^/]+)/[^/]+\.md")  # of a node, in a language


def help_text(info: dict[str, Any]) -> str:
    """A help page from a node's own descriptions."""
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    rows = [f"| {name} | {(entry[1] if len(entry) > 1 else {}).get('tooltip', '')} |" for name, entry in inputs.items()]
    return "\n".join([f"# {info['display_name']}", "", info["description"], "", "| input | meaning |", "|---|---|", *rows, ""])


def file_routes(context: Context) -> dict[str, Answer]:
    """The last routes to be looked at."""
    packs = {pack.name: pack for pack in context.host.packs}

    async def extension(request: web.Request) -> web.StreamResponse:
        pack, name = packs.get(request.match_info["pack"]), request.match_info["path"]
        if pack is None or not pack.web_directory:
            return own_file(context.pages, request.path.lstrip("/"))  # the page's own: /extensions/core/...
        wanted = _HELP.fullmatch(name)
        if wanted and not contained(pack.web_directory, name).is_file():
            name = f"docs/{wanted[1]}.md"  # no page in this language
        return own_file(Path(pack.web_directory), name)

    async def template(request: web.Request) -> web.StreamResponse:
        pack = packs.get(request.match_info["pack"])
        folder = template_folder(pack) if pack is not None else None
        if folder is None:
            raise web.HTTPNotFound
        return own_file(folder, request.match_info["path"])

    async def core_templates(request: web.Request) -> web.Response:
        """ComfyUI's own templates need models and nodes that are not here."""
        return answer({} if request.match_info["list"] == "index_logo" else [])

    async def core_help(request: web.Request) -> web.Response:
        name = request.match_info["node"]
        if name not in context.host.classes:
            raise web.HTTPNotFound
        return web.Response(text=help_text(context.host.object_info([name])[name]), content_type="text/markdown")

    async def page(request: web.Request) -> web.StreamResponse:
        name = request.match_info["path"]
        return own_file(context.pages, name) if name else web.FileResponse(context.pages / "index.html")

    return {"/extensions/{pack}/{path:.+}": extension, "/api/workflow_templates/{pack}/{path:.+}": template,
            "/templates/{list:index[^/]*}.json": core_templates, "/docs/{node}/{language}.md": core_help, "/{path:.*}": page}
