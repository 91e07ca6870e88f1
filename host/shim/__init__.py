"""Stands in for the parts of ComfyUI that a V3 pack imports. `install` puts them into sys.modules under ComfyUI's names.

Every rule here comes from docs/comfyui.md or from how ComfyUI 0.33 was seen to behave; what is missing raises AttributeError or
ModuleNotFoundError; nothing is silently ignored. The folder itself is never on sys.path.
"""
from __future__ import annotations

import importlib
import sys
from types import ModuleType

_NAMES = {  # ComfyUI's module -> ours
    "folder_paths": "folder_paths",
    "server": "server",
    "comfy": None,
    "comfy.utils": "utils",
    "comfy.model_management": "model_management",
    "comfy.model_patcher": "model_patcher",
    "comfy.cli_args": "cli_args",
    "comfy_api": None,
    "comfy_api.latest": "api",
    "comfy_execution": None,
    "comfy_execution.graph_utils": "context",
    "comfy_execution.utils": "context",
}


def install(base_dir: str, *, input_dir: str | None = None, output_dir: str | None = None, temp_dir: str | None = None) -> None:
    """Makes `import comfy...`, `comfy_api.latest`, `folder_paths`, `server` mean this shim, with its folders below `base_dir`.

    May be called again for other folders.

    Raises:
        RuntimeError: when the real ComfyUI is already imported: the two cannot share a process.
    """
    for name, part in _NAMES.items():
        ours = _package(name) if part is None else importlib.import_module(f".{part}", __name__)
        found = sys.modules.setdefault(name, ours)
        if found is not ours:
            place = getattr(found, "__file__", "elsewhere")
            raise RuntimeError(f"'{name}' is already imported from {place}; the host needs a process of its own.")
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, ours)
    from . import folder_paths

    folder_paths.set_base(base_dir, input_dir=input_dir, output_dir=output_dir, temp_dir=temp_dir)


def _package(name: str) -> ModuleType:
    """An empty package of ours, made once."""
    found = sys.modules.get(name)
    if found is not None and getattr(found, "__talking_heads_shim__", False):
        return found
    package = ModuleType(name, "Shim package.")
    package.__dict__.update(__path__=[], __talking_heads_shim__=True)
    return package
