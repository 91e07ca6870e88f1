"""The four networks together: loading, saving, and running them exactly.

They run in fp32 with autocast off: bf16 moves points by 0.7 px of the crop, fp16 by 0.1.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import FileFormatError
from ...files import load_tensors, save_tensors
from ...tensor_schema import all_finite
from .attention import AttentionMesh
from .blazeface import BlazeFace
from .folded import FoldedDetector, FoldedMesh
from .folded_person import FoldedPerson
from .person_net import PersonNet
from .recorded import Recorded

KIND, VERSION = "face_mesh", 1
SHIPPED = Path(__file__).resolve().parents[3] / "weights" / "face_mesh.safetensors"


class MeshNets(nn.Module):
    """Detector, attention mesh and the two person masks."""

    def __init__(self) -> None:
        super().__init__()
        self.detector, self.mesh = BlazeFace(), AttentionMesh()
        self.person, self.person_wide = PersonNet(), PersonNet()

    @property
    def device(self) -> torch.device:
        return self.mesh.flag.weight.device

    @cached_property
    def quick_mesh(self) -> Recorded[tuple[Tensor, Tensor]]:
        """The mesh as it is used; made when it is first wanted, on the device where the networks then are."""
        return Recorded(FoldedMesh(self.mesh).eval())

    @cached_property
    def quick_detector(self) -> FoldedDetector:
        return FoldedDetector(self.detector)

    @cached_property
    def quick_person(self) -> Recorded[Tensor]:
        return Recorded(FoldedPerson(self.person).eval())

    @cached_property
    def quick_person_wide(self) -> Recorded[Tensor]:
        return Recorded(FoldedPerson(self.person_wide).eval())


def shipped_nets(device: torch.device | str = "cpu") -> MeshNets:
    """The pack's own networks. On the CPU they are read once, and nobody may change them; a GPU's memory is not held on to."""
    return _on_cpu() if torch.device(device).type == "cpu" else load_mesh_nets(device=device)


@lru_cache(maxsize=1)
def _on_cpu() -> MeshNets:
    return load_mesh_nets()


def load_mesh_nets(path: str | os.PathLike = SHIPPED, device: torch.device | str = "cpu") -> MeshNets:
    """Reads weights, ready to be used.

    Raises:
        FileFormatError: absent, truncated, of another kind, newer, or other weights inside.
    """
    name, again = Path(path).name, "Install the pack again"
    tensors, _ = load_tensors(path, kind=KIND, version=VERSION)
    all_finite(tensors, name, again)
    with torch.device("meta"):  # nothing is drawn at random that is replaced at once
        nets = MeshNets()
    try:
        nets.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    except RuntimeError as error:
        raise FileFormatError("The face mesh weights must fit this version", f"{name} does not ({error})", again) from error
    for weight in nets.parameters():
        if weight.ndim == 4:  # a quarter faster on the CPU
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return nets.eval().requires_grad_(False).to(device)


def save_mesh_nets(nets: MeshNets, path: str | os.PathLike, config: Mapping[str, Any]) -> Path:
    """Writes the weights in half precision, which is what the originals hold."""
    return save_tensors(path, {key: value.half() for key, value in nets.state_dict().items()}, kind=KIND, version=VERSION,
                        config=config)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Without gradients, in full fp32: neither autocast nor TF32, whatever is switched on around it."""
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        if device.type == "cpu":  # which has no TF32; the switch is the whole process's, and videos are cut out in threads
            yield
            return
        before = torch.backends.cudnn.allow_tf32
        try:
            torch.backends.cudnn.allow_tf32 = False
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before


def as_input(images: np.ndarray, device: torch.device) -> Tensor:  # uint8 [B, H, W, 3] -> float32 [B, 3, H, W], 0..255
    """Images as the networks take them; their memory stays as it is (channels last)."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
