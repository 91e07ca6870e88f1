"""MToV's weight files: a whole MToV, or one autoencoder of it.

MToV: kind "mtov", version 1; tensors `rgb.*`, `landmarks.*` (its encoder; its decoder only where asked for, for nothing but
training uses it) and `denoiser.*`, float32, or float16 where asked for; config as `MToVConfig.to_dict` gives it.

Autoencoder: kind "mtov_autoencoder", version 1; tensors `autoencoder.*` likewise; config: role "rgb" or "landmarks",
`autoencoder` as `AutoencoderConfig.to_dict` gives it, licence, and training, a note of how it was made.

Official checkpoints are brought into these forms by `official`.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...media_core.schema import listed
from ..weight_files import check_state, filled, read_description, storable
from .autoencoder import VideoAutoencoder
from .config import AutoencoderConfig, DenoiserConfig, Grid, known
from .denoiser import MToVDenoiser
from .model import MToV, MToVConfig

MTOV, AUTOENCODER, VERSION = "mtov", "mtov_autoencoder", 1
SHIPPED_MTOV = Path(__file__).resolve().parents[2] / "weights" / "demo_mtov.safetensors"
ROLES = ("rgb", "landmarks")
NETWORKS = (*ROLES, "denoiser")  # what a whole MToV consists of: the first part of its tensors' names
DECODING = ("decoder.", "from_plane.", "to_pixels.")  # an autoencoder's tensors that encoding does not need
_NET = "autoencoder."
_AGAIN = "Train, import or copy the weights again"


@dataclass(frozen=True)
class AutoencoderNote:
    """What an autoencoder's file says about it."""

    role: str                      # what its clips show: "rgb" images, "landmarks" rasters
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    licence: str = ""              # what may be done with the weights
    training: Mapping[str, Any] = field(default_factory=dict)  # how they were made

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise TalkingHeadsError(f"An autoencoder's role must be {' or '.join(ROLES)}", f"{self.role!r}", "Choose one")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"role": self.role, "autoencoder": self.autoencoder.to_dict(), "licence": self.licence,
                "training": dict(self.training)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderNote:
        """The inverse of `to_dict`.

        Raises:
            TalkingHeadsError: names or values that no autoencoder has.
        """
        given = known(cls, values, "An autoencoder's note")
        return cls(**{**given, "autoencoder": AutoencoderConfig.from_dict(given.get("autoencoder", {}))})


def save_mtov(mtov: MToV, path: str | os.PathLike, *, half: bool = False, whole: bool = False) -> Path:
    """Writes the file whole or not at all.

    Args:
        mtov: on any device, in any number format.
        path: the file, .safetensors.
        half: store float16, half the size; it is read back as float32.
        whole: with the landmark autoencoder's decoder, where it has one: a larger file, of use for more training only.
    Raises:
        TalkingHeadsError: a weight is NaN, or beyond what float16 holds; the disk is full.
    """
    states = {name: network.state_dict() for name, network in mtov.networks.items()}
    return save_mtov_tensors(states, mtov.config, path, half=half, whole=whole)


def save_mtov_tensors(states: Mapping[str, Mapping[str, Tensor]], config: MToVConfig, path: str | os.PathLike, *,
                      half: bool = False, whole: bool = False) -> Path:
    """`save_mtov` of networks that were never built: `states` by `NETWORKS`, under the networks' own names."""
    named = {f"{network}.{name}": value for network in NETWORKS for name, value in states[network].items()
             if whole or network != "landmarks" or not name.startswith(DECODING)}
    return save_tensors(path, storable(named, half=half), kind=MTOV, version=VERSION, config=config.to_dict())


def load_mtov(path: str | os.PathLike = SHIPPED_MTOV, device: str | torch.device = "cpu",
              dtype: torch.dtype | None = None) -> MToV:
    """Reads an MToV file.

    Args:
        path: a file of `save_mtov`; by default the demo weights.
        device: where the networks go.
        dtype: their number format; None: float32, also where float16 is stored.
    Raises:
        FileFormatError: absent, truncated, not an MToV, newer than this version, or incomplete, misshapen or NaN inside.
    """
    tensors, values = load_tensors(path, kind=MTOV, version=VERSION)
    name, number = Path(path).name, dtype or torch.float32
    config = read_description(MToVConfig.from_dict, values, "an MToV", name, _AGAIN)
    states = parted(tensors, NETWORKS, name)
    rgb, landmarks = (autoencoder_of(getattr(config, role), states[role], name, f"{role}.", number) for role in ROLES)
    denoiser = unfilled_denoiser(config.denoiser, config.grid)
    check_state(states["denoiser"], denoiser, name, _AGAIN, "denoiser.".__add__)
    denoiser = filled(denoiser, states["denoiser"], number)
    try:
        mtov = MToV(rgb, landmarks, denoiser, config)
    except TalkingHeadsError as error:
        raise FileFormatError(error.must, f"{name}: {error.came}", _AGAIN) from error
    return mtov.to(device, dtype)


def save_autoencoder(network: VideoAutoencoder, path: str | os.PathLike, *, role: str, licence: str = "",
                     training: Mapping[str, Any] | None = None, half: bool = False) -> Path:
    """One autoencoder to a file of its own, whole or not at all; what training starts and continues with.

    Args:
        network: on any device, in any number format.
        path: the file, .safetensors.
        role: "rgb" or "landmarks".
        licence, training: kept in the file.
        half: store float16.
    Raises:
        TalkingHeadsError: another role; a weight is NaN, or beyond what float16 holds; the disk is full.
    """
    note = AutoencoderNote(role, network.config, licence, training or {})
    return save_autoencoder_tensors(network.state_dict(), note, path, half=half)


def save_autoencoder_tensors(state: Mapping[str, Tensor], note: AutoencoderNote, path: str | os.PathLike, *,
                             half: bool = False) -> Path:
    """`save_autoencoder` of a network that was never built: `state` under VideoAutoencoder's names."""
    stored = storable({_NET + name: value for name, value in state.items()}, half=half)
    return save_tensors(path, stored, kind=AUTOENCODER, version=VERSION, config=note.to_dict())


def load_autoencoder(path: str | os.PathLike, device: str | torch.device = "cpu", dtype: torch.dtype | None = None, *,
                     role: str | None = None) -> tuple[VideoAutoencoder, AutoencoderNote]:
    """Reads an autoencoder's file: (network in evaluation mode, what the file says about it).

    Args:
        path: a file of `save_autoencoder`.
        device: where the network goes.
        dtype: its number format; None: float32.
        role: the one it must have; None: either.
    Raises:
        FileFormatError: absent, truncated, no autoencoder, of the other role, newer than this version, or incomplete, misshapen
            or NaN inside.
    """
    tensors, values = load_tensors(path, kind=AUTOENCODER, version=VERSION)
    name = Path(path).name
    note = read_description(AutoencoderNote.from_dict, values, "an autoencoder", name, _AGAIN)
    if role not in (None, note.role):
        raise FileFormatError(f"The autoencoder must be one of {role}", f"{name} is one of {note.role}", "Choose another file")
    state = parted(tensors, (_NET[:-1],), name)[_NET[:-1]]
    network = autoencoder_of(note.autoencoder, state, name, _NET, dtype or torch.float32)
    return network.eval().to(device, dtype), note


def autoencoder_of(config: AutoencoderConfig, state: Mapping[str, Tensor], name: str, prefix: str = "",
                   dtype: torch.dtype = torch.float32) -> VideoAutoencoder:
    """The autoencoder around `state`, without its decoder where `state` has nothing of it; checked.

    Args:
        name: of the file, and prefix: what stands before its tensors' names there; for messages.
    Raises:
        FileFormatError: see `check_state`.
    """
    network = unfilled_autoencoder(config, decoder=any(key.startswith(DECODING) for key in state))
    check_state(state, network, name, _AGAIN, prefix.__add__)
    return filled(network, state, dtype)


def unfilled_autoencoder(config: AutoencoderConfig, decoder: bool = True) -> VideoAutoencoder:
    """The network on torch's meta device: names and shapes, no weights."""
    with torch.device("meta"):
        return VideoAutoencoder(config, decoder=decoder)


def unfilled_denoiser(config: DenoiserConfig, grid: Grid) -> MToVDenoiser:
    """The network on torch's meta device."""
    with torch.device("meta"):
        return MToVDenoiser(config, grid)


def parted(tensors: Mapping[str, Tensor], parts: tuple[str, ...], name: str) -> dict[str, dict[str, Tensor]]:
    """A file's tensors by the first part of their names.

    Raises:
        FileFormatError: some belong to no part.
    """
    strange = [key for key in tensors if key.partition(".")[0] not in parts]
    if strange:
        raise FileFormatError(f"The file may hold tensors of {', '.join(parts)} only", f"{name} also holds {listed(strange)}",
                              _AGAIN)
    return {part: {key[len(part) + 1:]: value for key, value in tensors.items() if key.partition(".")[0] == part}
            for part in parts}

