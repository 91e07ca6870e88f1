"""`comfy_api.latest`: extension base class, progress API, and the shelves Input, InputImpl, Types."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import io, ui
from .cli_args import args
from .context import get_executing_context, progress_hook
from .server import PromptServer
from .video import VideoCodec, VideoComponents, VideoContainer, VideoFromComponents, VideoFromFile, VideoInput

if TYPE_CHECKING:
    from .context import Preview

IO, UI = io, ui
__all__ = ["ComfyAPI", "ComfyAPISync", "ComfyExtension", "IO", "Input", "InputImpl", "Types", "UI", "io", "ui"]


class ComfyExtension:
    """What a pack's comfy_entrypoint returns."""

    async def on_load(self) -> None:
        """Called once before the nodes are asked for."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError


class _TorchTypes(type):
    """Resolves Input.Image to torch.Tensor only when somebody asks, so that importing this costs no torch."""

    def __getattr__(cls, name: str) -> Any:
        if name in ("Image", "Mask"):
            import torch

            return torch.Tensor
        raise AttributeError(name)


class Input(metaclass=_TorchTypes):
    """Types of values as they arrive in execute: Image and Mask are torch.Tensor."""

    Audio = dict
    Latent = dict
    Video = VideoInput


class InputImpl:
    """Ready-made VIDEO values."""

    VideoFromFile = VideoFromFile
    VideoFromComponents = VideoFromComponents


class Types:
    """Plain types around VIDEO."""

    VideoCodec = VideoCodec
    VideoContainer = VideoContainer
    VideoComponents = VideoComponents


def _as_preview(image: Any, whole: bool) -> Preview | None:
    """A PIL image or an IMAGE tensor [B,H,W,C] or [H,W,C] as the ("JPEG", PIL image, longest side) the hook takes."""
    if image is None:
        return None
    if not hasattr(image, "save"):
        import numpy as np
        from PIL import Image

        pixels = image[0] if image.ndim == 4 else image
        image = Image.fromarray((pixels.cpu().numpy() * 255).astype(np.uint8))
    return getattr(image, "format", None) or "JPEG", image, None if whole else args.preview_size


def _set_progress(value: float, max_value: float, node_id: str | None, preview_image: Any, ignore_size_limit: bool) -> None:
    running = get_executing_context()
    node_id = node_id or (running.node_id if running else None)
    if node_id is None:
        raise ValueError("node_id must be provided if not in executing context")
    hook = progress_hook()
    if hook is not None:
        hook(value, max_value, _as_preview(preview_image, ignore_size_limit), node_id, False)


class ComfyAPI:
    """The asynchronous API. Unlike ProgressBar, set_progress does not notice the stop button (ComfyUI 0.33)."""

    class _Execution:
        async def set_progress(self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None,
                               ignore_size_limit: bool = False) -> None:
            _set_progress(value, max_value, node_id, preview_image, ignore_size_limit)

    class _NodeReplacement:
        async def register(self, node_replace: io.NodeReplace) -> None:
            PromptServer.instance.node_replace_manager.register(node_replace)

    def __init__(self) -> None:
        self.execution, self.node_replacement = self._Execution(), self._NodeReplacement()


class ComfyAPISync:
    """The same API for nodes that are not async."""

    class _Execution:
        def set_progress(self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None,
                         ignore_size_limit: bool = False) -> None:
            _set_progress(value, max_value, node_id, preview_image, ignore_size_limit)

    class _NodeReplacement:
        def register(self, node_replace: io.NodeReplace) -> None:
            PromptServer.instance.node_replace_manager.register(node_replace)

    def __init__(self) -> None:
        self.execution, self.node_replacement = self._Execution(), self._NodeReplacement()
