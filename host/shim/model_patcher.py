"""`comfy.model_patcher`: a network with the device it runs on and the one it rests on."""
from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class ModelPatcher:
    """Holds a network; patches and partial loading are ComfyUI's and not here."""

    def __init__(self, model: torch.nn.Module, load_device: torch.device, offload_device: torch.device, size: int = 0,
                 weight_inplace_update: bool = False):
        self.model, self.load_device, self.offload_device, self.size = model, load_device, offload_device, size
        self.model_options: dict[str, Any] = {"transformer_options": {}}

    def model_size(self) -> int:
        """Bytes of all parameters and buffers."""
        if not self.size:
            self.size = sum(item.nelement() * item.element_size() for item in self.model.state_dict().values())
        return self.size

    def clone(self) -> ModelPatcher:
        """A second patcher on the same network."""
        twin = copy.copy(self)
        twin.model_options = copy.deepcopy(self.model_options)
        return twin

    def current_loaded_device(self) -> torch.device:
        return next((item.device for item in self.model.parameters()), self.offload_device)

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, torch.Tensor]:
        return {key: value for key, value in self.model.state_dict().items() if key.startswith(filter_prefix or "")}


CoreModelPatcher = ModelPatcher
