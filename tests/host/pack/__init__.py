"""A small pack for testing the host: every rule of the executor has a node that shows it. Loads in a real ComfyUI too."""
from __future__ import annotations

from .toys import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
