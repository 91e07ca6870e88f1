"""`comfy.model_management`: which device, which precision, and the stop button.

Without ComfyUI's memory juggling: a model is moved where it is needed, and stays there until `unload_all_models`.
"""
from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .context import (  # noqa: F401
    InterruptProcessingException,
    interrupt_current_processing,
    processing_interrupted,
    throw_exception_if_processing_interrupted,
)

if TYPE_CHECKING:
    import torch

    from .model_patcher import ModelPatcher


def get_torch_device() -> torch.device:
    """The accelerator torch reports, else the CPU."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True) if hasattr(torch, "accelerator") else None
    if found is None:
        return torch.device("cpu")
    return torch.device(found.type, torch.accelerator.current_device_index())


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


def unet_offload_device() -> torch.device:
    return _cpu()


def text_encoder_device() -> torch.device:
    return get_torch_device()


def text_encoder_offload_device() -> torch.device:
    return _cpu()


def vae_device() -> torch.device:
    return get_torch_device()


def vae_offload_device() -> torch.device:
    return _cpu()


def intermediate_device() -> torch.device:
    """Where IMAGE and AUDIO tensors live between nodes."""
    return _cpu()


def intermediate_dtype() -> torch.dtype:
    import torch

    return torch.float32


def is_device_cpu(device: torch.device | None) -> bool:
    return getattr(device, "type", None) == "cpu"


def should_use_fp16(device: torch.device | None = None, **_: Any) -> bool:
    return not is_device_cpu(device or get_torch_device())


def should_use_bf16(device: torch.device | None = None, **_: Any) -> bool:
    return not is_device_cpu(device or get_torch_device())


def unet_dtype(device: torch.device | None = None, model_params: int = 0,
               supported_dtypes: Sequence[torch.dtype] | None = None, **_: Any) -> torch.dtype:
    """float32 on the CPU, else the first supported half precision."""
    import torch

    supported = list(supported_dtypes or (torch.float16, torch.bfloat16, torch.float32))
    if not is_device_cpu(device or get_torch_device()):
        for kind in (torch.float16, torch.bfloat16):
            if kind in supported:
                return kind
    return torch.float32


_loaded: weakref.WeakSet[ModelPatcher] = weakref.WeakSet()


def load_models_gpu(models: Sequence[ModelPatcher], memory_required: int = 0, **_: Any) -> None:
    """Moves each patcher's model to its load device."""
    for patcher in models:
        patcher.model.to(patcher.load_device)
        _loaded.add(patcher)


def load_model_gpu(model: ModelPatcher) -> None:
    load_models_gpu([model])


def soft_empty_cache(force: bool = False) -> None:
    """Gives the accelerator's unused memory back."""
    kind = get_torch_device().type
    if kind == "cpu":
        return
    import torch

    empty = getattr(getattr(torch, kind, None), "empty_cache", None)
    if empty is not None:
        empty()


def unload_all_models() -> None:
    """Moves every model back to where it rests."""
    for patcher in list(_loaded):
        patcher.model.to(patcher.offload_device)
    _loaded.clear()


def get_free_memory(dev: torch.device | None = None, torch_free_too: bool = False) -> int | tuple[int, int]:
    """Bytes free on a device; of the machine's memory what the system could hand out."""
    dev = dev or get_torch_device()
    if is_device_cpu(dev):
        free = _free_ram()
    else:
        import torch

        free = getattr(torch, dev.type).mem_get_info(dev)[0]  # each accelerator's own module answers
    return (free, free) if torch_free_too else free


def _free_ram() -> int:
    """Linux's own estimate, else the free pages, else (Windows) no limit known."""
    import os

    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo", encoding="ascii") as file:
            figures = dict(line.split(":") for line in file)
        return int(figures["MemAvailable"].split()[0]) * 1024
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 1 << 62


def total_memory(dev: torch.device | None = None) -> int:
    """Bytes of a device, of the machine's memory what is free where the system does not say more. Ours: ComfyUI has another."""
    dev = dev or get_torch_device()
    if not is_device_cpu(dev):
        import torch

        return getattr(torch, dev.type).mem_get_info(dev)[1]
    import os

    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _free_ram()
