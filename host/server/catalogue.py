"""What there is: nodes, scripts, templates, blueprints, labels and help of the packs; models; the machine."""
from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from ...media_core.json_files import read_json_object
from ..load import Pack
from ..shim import folder_paths, model_management
from ..shim.server import PromptServer
from .answers import answer
from .context import COMFYUI_VERSION, Answer, Context

_TEMPLATES = ("example_workflows", "example", "examples", "workflow", "workflows")  # the first that a pack has
_PAGES = "comfyui-frontend-package"
_LABELS = ("main", "nodeDefs", "commands", "settings")


def template_folder(pack: Pack) -> Path | None:
    return next((Path(pack.root, name) for name in _TEMPLATES if Path(pack.root, name).is_dir()), None)


def scripts(context: Context) -> list[str]:
    """Every module the page has to import, as a path."""
    folders = [("", context.pages / "extensions", context.pages)]
    folders += [(f"/extensions/{quote(pack.name)}", Path(pack.web_directory), Path(pack.web_directory))
                for pack in context.host.packs if pack.web_directory]
    return [f"{prefix}/{path.relative_to(base).as_posix()}"
            for prefix, folder, base in folders for path in sorted(folder.rglob("*.js"))]


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees in one; the second's leaves win."""
    both = dict(first)
    for key, value in second.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return both


def labels(packs: list[Pack]) -> dict[str, Any]:
    """Every pack's texts by language."""
    found: dict[str, Any] = {}
    for pack in packs:
        for folder in sorted(Path(pack.root, "locales").glob("*/")):
            texts: dict[str, Any] = {}
            for name in _LABELS:
                said = read_json_object(folder / f"{name}.json", absent={})
                texts = {**said, **texts} if name == "main" else {**texts, **({name: said} if said else {})}
            if texts:
                found[folder.name] = merged(found.get(folder.name, {}), texts)
    return found


def blueprints(packs: list[Pack]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Subgraphs by id: file and description."""
    found = {}
    for pack in packs:
        for path in sorted(Path(pack.root, "subgraphs").glob("*.json")):
            named = hashlib.sha256(f"{pack.name}/subgraphs/{path.name}".encode()).hexdigest()
            found[named] = path, {"source": "custom_node", "name": path.stem, "info": {"node_pack": f"custom_nodes.{pack.name}"}}
    return found


def _version(package: str) -> str:
    """Empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine() -> dict[str, Any]:
    """GET /system_stats."""
    import torch

    device, cpu = model_management.get_torch_device(), torch.device("cpu")
    free, total = model_management.get_free_memory(cpu), model_management.total_memory(cpu)
    pages = _version(_PAGES)
    system = {
        "os": sys.platform, "ram_total": total, "ram_free": free, "comfyui_version": COMFYUI_VERSION,
        "required_frontend_version": pages, "comfy_package_versions": [{"name": _PAGES, "installed": pages, "required": pages}],
        "installed_templates_version": "", "required_templates_version": "",
        "python_version": sys.version, "pytorch_version": torch.__version__, "embedded_python": False,
        "deploy_environment": "talking-heads-serve", "argv": sys.argv}
    free, total = model_management.get_free_memory(device), model_management.total_memory(device)
    name = device.type if device.type == "cpu" else f"{device} {getattr(torch, device.type).get_device_name(device)}"
    entry = {"name": name, "type": device.type, "index": device.index, "vram_total": total, "vram_free": free,
             "torch_vram_total": total, "torch_vram_free": free}
    return {"system": system, "devices": [entry]}


def _model_files(kind: str) -> list[dict[str, Any]]:
    """Of the page's model library; times in s."""
    found = []
    folders, endings = folder_paths.folder_names_and_paths[kind]
    for index, folder in enumerate(folders):
        for place, below, names in os.walk(folder, followlinks=True):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                path = Path(place, name)
                if not name.startswith(".") and path.is_file() and (not endings or path.suffix.lower() in endings):
                    about = path.stat()
                    found.append({"name": path.relative_to(folder).as_posix(), "pathIndex": index, "modified": about.st_mtime,
                                  "created": about.st_ctime, "size": about.st_size})
    return found


def _kind(request: web.Request) -> str:
    if request.match_info["folder"] not in folder_paths.folder_names_and_paths:
        raise web.HTTPNotFound
    return request.match_info["folder"]


async def _stats(request: web.Request) -> web.Response:
    return answer(machine())


async def _model_kinds(request: web.Request) -> web.Response:
    return answer([kind for kind in folder_paths.folder_names_and_paths if kind != "custom_nodes"])


async def _models(request: web.Request) -> web.Response:
    return answer(folder_paths.get_filename_list(_kind(request)))


async def _model_folders(request: web.Request) -> web.Response:
    return answer([{"name": kind, "folders": list(folders), "extensions": sorted(endings)}
                   for kind, (folders, endings) in folder_paths.folder_names_and_paths.items() if kind != "custom_nodes"])


async def _model_list(request: web.Request) -> web.Response:
    return answer(await asyncio.to_thread(_model_files, _kind(request)))


async def _embeddings(request: web.Request) -> web.Response:
    return answer([])


async def _folder_paths(request: web.Request) -> web.Response:
    return answer({kind: list(folders) for kind, (folders, _) in folder_paths.folder_names_and_paths.items()})


async def _replacements(request: web.Request) -> web.Response:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in PromptServer.instance.node_replace_manager.found:
        found.setdefault(item.old_node_id, []).append(item.as_dict())
    return answer(found)


def catalogue_routes(context: Context) -> dict[tuple[str, str], Answer]:
    host, known = context.host, blueprints(context.host.packs)

    async def all_nodes(request: web.Request) -> web.Response:
        return answer(host.object_info())

    async def one_node(request: web.Request) -> web.Response:
        name = request.match_info["node"]
        return answer(host.object_info([name]) if name in host.classes else {})

    async def extensions(request: web.Request) -> web.Response:
        return answer(scripts(context))

    async def features(request: web.Request) -> web.Response:
        return answer(context.features)

    async def templates(request: web.Request) -> web.Response:
        found = {pack.name: template_folder(pack) for pack in host.packs}
        return answer({name: [path.stem for path in sorted(folder.glob("*.json"))]
                       for name, folder in found.items() if folder})

    async def i18n(request: web.Request) -> web.Response:
        return answer(labels(host.packs))

    async def subgraphs(request: web.Request) -> web.Response:
        return answer({named: about for named, (_, about) in known.items()})

    async def subgraph(request: web.Request) -> web.Response:
        path, about = known.get(request.match_info["id"], (None, {}))
        return answer({**about, "data": path.read_text("utf8")} if path is not None else None)

    return {("GET", "/object_info"): all_nodes, ("GET", "/object_info/{node}"): one_node, ("GET", "/extensions"): extensions,
            ("GET", "/features"): features, ("GET", "/workflow_templates"): templates, ("GET", "/i18n"): i18n,
            ("GET", "/global_subgraphs"): subgraphs, ("GET", "/global_subgraphs/{id}"): subgraph,
            ("GET", "/system_stats"): _stats,
            ("GET", "/models"): _model_kinds, ("GET", "/models/{folder}"): _models, ("GET", "/embeddings"): _embeddings,
            ("GET", "/experiment/models"): _model_folders, ("GET", "/experiment/models/{folder}"): _model_list,
            ("GET", "/internal/folder_paths"): _folder_paths, ("GET", "/node_replacements"): _replacements}
