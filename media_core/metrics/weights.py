"""Weights the user owns, for the measures that need a network: which files, where they lie, and how they are read.

`models/talking_heads/metrics/` holds one safetensors file per network, with the tensors under their published names.
`talking-heads import metric` makes them from the published files. Nothing is downloaded, and no pickle is read here.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import FileFormatError, TalkingHeadsError
from ..files import save_tensors
from ..schema import listed
from .i3d import I3D
from .identity import ArcFace, depths_of
from .inception import Inception
from .lpips import LPIPS, load_lpips
from .syncnet import SyncNet

FOLDER = "models/talking_heads/metrics"  # as users know it
VERSION = 1
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Source:
    """A network that users may own."""

    metrics: str  # what is measured with it
    official: tuple[str, ...]  # the published files it is imported from
    of: str  # whose they are

    def needs(self, kind: str) -> str:
        """What to do where its file is absent."""
        files = " ".join(self.official)
        return f"needs {FOLDER}/{kind}.safetensors: talking-heads import metric {kind} {files} (from {self.of})"


SOURCES = {
    "lpips": Source("LPIPS", ("alexnet-owt-7be5be79.pth", "alex.pth"), "torchvision and richzhang/PerceptualSimilarity"),
    "syncnet": Source("Sync-C, Sync-D", ("syncnet_v2.model",), "joonson/syncnet_python"),
    "inception": Source("FID", ("pt_inception-2015-12-05-6726825d.pth",), "mseitzer/pytorch-fid"),
    "i3d": Source("FVD", ("i3d_pretrained_400.pt",), "the FVD code of VideoGPT"),
    "arcface": Source("identity similarity", ("backbone.pth",), "insightface, arcface_torch")}
_LEFT_BEHIND = ("fc.", "AuxLogits.")  # of Inception: its classes
_COUNTER = ".num_batches_tracked"  # of every normalisation; older files have none


@dataclass(frozen=True)
class Weights:
    """Where the user's files are, and the device to compute on."""

    files: Mapping[str, Path]  # of SOURCES
    device: torch.device = torch.device("cpu")

    @classmethod
    def found(cls, folders: Iterable[str | os.PathLike], device: torch.device | None = None) -> Weights:
        """What lies in `metrics/` below any of the model folders, the first one first."""
        files: dict[str, Path] = {}
        for folder in folders:
            for kind in SOURCES:
                path = Path(folder) / "metrics" / f"{kind}.safetensors"
                if path.is_file():
                    files.setdefault(kind, path)
        return cls(files, device or torch.device("cpu"))

    def has(self, kind: str) -> bool:
        """Whether the user owns that network."""
        return kind in self.files

    def lpips(self) -> LPIPS:
        """Raises:
            FileFormatError: the file is not LPIPS'.
        """
        return load_lpips(self.files["lpips"]).to(self.device)

    def syncnet(self) -> SyncNet:
        """Raises:
            FileFormatError: as `loaded`.
        """
        return loaded(lambda state: SyncNet(), self.files["syncnet"]).to(self.device)

    def inception(self) -> Inception:
        """Raises:
            FileFormatError: as `loaded`.
        """
        return loaded(lambda state: Inception(), self.files["inception"]).to(self.device)

    def i3d(self) -> I3D:
        """Raises:
            FileFormatError: as `loaded`.
        """
        return loaded(lambda state: I3D(), self.files["i3d"]).to(self.device)

    def arcface(self) -> ArcFace:
        """Raises:
            FileFormatError: as `loaded`.
        """
        return loaded(lambda state: ArcFace(depths_of(state)), self.files["arcface"]).to(self.device)


def loaded(make: Callable[[Mapping[str, Tensor]], Network], path: Path) -> Network:
    """The network of a file, frozen, every tensor accounted for.

    Args:
        make: a network for tensors of these names.
    Raises:
        FileFormatError: no safetensors file, or tensors are missing, unknown, of another shape or not finite.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileFormatError("The weights of a metric must be a safetensors file", f"{path.name} ({error})",
                              "Import the official file again: talking-heads import metric") from error
    return filled(make, state, path.name)


def filled(make: Callable[[Mapping[str, Tensor]], Network], state: Mapping[str, Tensor], name: str) -> Network:
    """The same from tensors; `name`: of their file, for messages."""
    state = {key: value for key, value in state.items() if not key.startswith(_LEFT_BEHIND) or not _is_inception(state)}
    with torch.device("meta"):
        network = make(state)
    wanted = {key: value.shape for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}
    given = {key: value for key, value in state.items() if not key.endswith(_COUNTER)}
    odd = [f"lacks {key}" for key in wanted.keys() - given.keys()] + [f"also holds {key}" for key in given.keys() - wanted.keys()]
    odd += [f"holds {key} {list(given[key].shape)}, not {list(shape)}" for key, shape in wanted.items()
            if key in given and given[key].shape != shape]
    odd += [f"holds NaN, inf or whole numbers in {key}" for key, value in given.items()
            if not value.is_floating_point() or not bool(torch.isfinite(value).all())]
    if odd:
        raise FileFormatError(f"The file must hold the weights of {type(network).__name__}", f"{name} {listed(sorted(odd))}",
                              "Import the official file (docs/metrics.md#weight-files)")
    counters = {key: torch.zeros((), dtype=torch.long) for key in network.state_dict() if key.endswith(_COUNTER)}
    network.load_state_dict({key: value.float() for key, value in given.items()} | counters, assign=True)
    return network.eval().requires_grad_(False)


def _is_inception(state: Mapping[str, Tensor]) -> bool:
    return any(key.startswith("Mixed_5b.branch1x1") for key in state)


def save_weights(kind: str, states: Iterable[Mapping[str, Tensor]], out: str | os.PathLike, licence: str = "") -> Path:
    """Writes the published tensors of a network as the file that `Weights` finds, and reads it back to be sure.

    Args:
        kind: of SOURCES. states: of the published files.
    Raises:
        FileFormatError: another network's tensors. TalkingHeadsError: an unknown kind, or the file cannot be written.
    """
    if kind not in SOURCES:
        raise TalkingHeadsError(f"The kind of metric weights must be one of {', '.join(SOURCES)}", f"'{kind}'",
                                "Choose one of those")
    tensors = {name: value for state in states for name, value in state.items()}
    if kind == "lpips":  # of AlexNet only its features
        tensors = {name: value for name, value in tensors.items() if not name.startswith("classifier.")}
    elif kind == "inception":
        tensors = {name: value for name, value in tensors.items() if not name.startswith(_LEFT_BEHIND)}
    if kind != "lpips":
        filled(lambda state: _made(kind, state), tensors, " and ".join(SOURCES[kind].official))
    path = save_tensors(out, tensors, kind=kind, version=VERSION, config={"licence": licence, "of": SOURCES[kind].of})
    if kind == "lpips":
        load_lpips(path)
    return path


def _made(kind: str, state: Mapping[str, Tensor]) -> nn.Module:
    if kind == "arcface":
        return ArcFace(depths_of(state))
    return {"syncnet": SyncNet, "inception": Inception, "i3d": I3D}[kind]()
