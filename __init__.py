"""Talking Heads: a ComfyUI node pack and, at the same time, the Python package `talking_heads`.

ComfyUI imports this file and awaits `comfy_entrypoint`. Everything else is imported inside it, so that the cores
(`talking_heads.media_core`, `talking_heads.hmtalker_core`) stay usable where there is no ComfyUI.
"""
from __future__ import annotations

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """The extension ComfyUI registers (see nodes/extension.py)."""
    from .nodes.extension import TalkingHeadsExtension

    return TalkingHeadsExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
