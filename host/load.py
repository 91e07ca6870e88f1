"""Loads a pack as ComfyUI does, and the core nodes its workflows need (docs/comfyui.md#loading)."""
from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..media_core.errors import ShortName

if TYPE_CHECKING:
    from .shim.io_schema import ComfyNode


class PackError(ShortName, Exception):
    """A pack cannot be loaded; the message says which rule it broke."""


@dataclass(frozen=True)
class Pack:
    """A loaded pack."""

    name: str  # the folder's name, as in custom_nodes/<name>
    module: ModuleType
    nodes: dict[str, type[ComfyNode]]  # node id -> class
    web_directory: str | None  # absolute
    seconds: float  # how long importing it took
    root: str  # its folder, absolute


def load_pack(root: str, name: str | None = None) -> Pack:
    """Imports `root`/__init__.py under a name made of its path (dots as _x_), and asks its entry point for nodes.

    Args:
        name: stands in for the folder's name in python_module, as if it lay in custom_nodes/<name>.

    Raises:
        PackError: no entry point, NODE_CLASS_MAPPINGS beside one, a wrong return type. Errors of the pack itself pass through.
    """
    root = os.path.abspath(root)
    name = name or os.path.basename(root)
    started = time.perf_counter()
    module = _import(root)
    if getattr(module, "NODE_CLASS_MAPPINGS", None) is not None:
        raise PackError(f"{root} has NODE_CLASS_MAPPINGS: ComfyUI would then never call comfy_entrypoint. Remove it.")
    entry = getattr(module, "comfy_entrypoint", None)
    if not callable(entry):
        raise PackError(f"{root} has no callable comfy_entrypoint.")
    nodes = asyncio.run(_nodes(entry, root))
    for node in nodes.values():
        node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{name}"
    web = getattr(module, "WEB_DIRECTORY", None)
    return Pack(name, module, nodes, os.path.abspath(os.path.join(root, web)) if web else None, time.perf_counter() - started,
                root)


def _import(root: str) -> ModuleType:
    module_name = root.replace(".", "_x_")
    start = os.path.join(root, "__init__.py")
    spec = importlib.util.spec_from_file_location(module_name, start, submodule_search_locations=[root])
    if spec is None or spec.loader is None:
        raise PackError(f"{root} is not a Python package.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


async def _nodes(entry: Callable[[], Any], root: str) -> dict[str, type[ComfyNode]]:
    from .shim.api import ComfyExtension

    extension = entry()
    if inspect.isawaitable(extension):
        extension = await extension
    if not isinstance(extension, ComfyExtension):
        raise PackError(f"comfy_entrypoint in {root} did not return a ComfyExtension.")
    await extension.on_load()
    found = await extension.get_node_list()
    if not isinstance(found, list):
        raise PackError(f"comfy_entrypoint in {root} did not return a list of nodes.")
    return {node.GET_SCHEMA().node_id: node for node in found}


def core_nodes() -> dict[str, type[ComfyNode]]:
    """The few nodes of ComfyUI itself that the pack's workflows use."""
    from .shim import core_any, core_audio, core_image, core_video

    classes = {}
    places = {core_audio: "comfy_extras.nodes_audio", core_video: "comfy_extras.nodes_video", core_image: "nodes",
              core_any: "comfy_extras.nodes_preview_any"}
    for module, place in places.items():
        for node in module.NODES:
            node.RELATIVE_PYTHON_MODULE = place
            classes[node.GET_SCHEMA().node_id] = node
    return classes
