"""`comfy.utils`: the progress bar that also notices the stop button, and the loader of weights."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .context import progress_hook

if TYPE_CHECKING:
    import torch

    from .context import Preview

_PAUSE = 0.1  # s: plain updates closer together than this are not sent
_STEP = 0.5  # percent: nor smaller ones (both ComfyUI 0.33)


class ProgressBar:
    """Progress of the running node. Each update that is sent also raises InterruptProcessingException after a stop."""

    def __init__(self, total: float, node_id: str | None = None):
        self.total, self.current, self.node_id = total, 0, node_id
        self.hook = progress_hook()
        self._sent_at, self._sent = 0.0, -1

    def update_absolute(self, value: float, total: float | None = None, preview: Preview | None = None) -> None:
        """Sets the value. preview: ("JPEG", PIL image, longest side) or None. First, last, previewed updates are always sent."""
        self.total = self.total if total is None else total
        self.current = value = min(value, self.total)
        if self.hook is None:
            return
        now = time.perf_counter()
        grown = 100 * (value - max(0, self._sent)) / self.total if self.total > 0 else 100
        due = now - self._sent_at >= _PAUSE and grown >= _STEP
        if preview is not None or self._sent < 0 or value >= self.total or due:
            self.hook(value, self.total, preview, self.node_id)
            self._sent_at, self._sent = now, value

    def update(self, value: float) -> None:
        self.update_absolute(self.current + value)


def load_torch_file(ckpt: str, safe_load: bool = False, device: torch.device | str | None = None,
                    return_metadata: bool = False) -> Any:
    """Tensors of a .safetensors file, or of a pickle read with weights_only. Returns {name: tensor}, or (that, metadata)."""
    import torch

    device = torch.device("cpu") if device is None else device
    metadata = None
    if ckpt.lower().endswith((".safetensors", ".sft")):
        from safetensors import safe_open

        with safe_open(ckpt, framework="pt", device=str(device)) as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            metadata = file.metadata() if return_metadata else None
    else:
        tensors = torch.load(ckpt, map_location=device, weights_only=True)
        tensors = tensors.get("state_dict", tensors)
    return (tensors, metadata) if return_metadata else tensors
