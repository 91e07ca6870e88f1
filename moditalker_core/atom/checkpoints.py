"""AToM's weight file: tensors `denoiser.*` and, where there is a lip network, `lips.*` (float32, or float16 where asked for), and
`key_mean_shape` [68, 3] decimetres float32; kind "atom", version 1, config as `AToMConfig.to_dict` gives it. Official checkpoints
are brought into this form by `official.import_atom`.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...training_core.state import strip
from ..weight_files import check_state, filled, read_description, storable
from .config import AToMConfig, DenoiserConfig
from .denoiser import AToMDenoiser
from .lips import LipNetwork
from .model import AToM, checked_mean_shape

ATOM, ATOM_VERSION = "atom", 1
SHIPPED_ATOM = Path(__file__).resolve().parents[2] / "weights" / "demo_atom.safetensors"
NET, LIPS, MEAN_SHAPE = "denoiser.", "lips.", "key_mean_shape"


def save_atom(atom: AToM, path: str | os.PathLike, *, half: bool = False) -> Path:
    """Writes the file whole or not at all.

    Args:
        atom: on any device, in any number format.
        path: the file, .safetensors.
        half: store the network in float16, half the size; it is read back as float32.
    Raises:
        TalkingHeadsError: a weight is NaN, or beyond what float16 holds; the disk is full.
    """
    lips = None if atom.lips is None else atom.lips.state_dict()
    return save_atom_tensors(atom.denoiser.state_dict(), atom.config, atom.key_mean_shape, path, half=half, lips=lips)


def save_atom_tensors(state: Mapping[str, Tensor], config: AToMConfig, key_mean_shape: Tensor, path: str | os.PathLike, *,
                      half: bool = False, lips: Mapping[str, Tensor] | None = None) -> Path:
    """`save_atom` of networks that were never built: `state` under AToMDenoiser's names, `lips` under LipNetwork's."""
    named = {NET: state, LIPS: lips or {}}
    stored = storable({part + name: value for part, tensors in named.items() for name, value in tensors.items()}, half=half)
    stored[MEAN_SHAPE] = checked_mean_shape(key_mean_shape)
    return save_tensors(path, stored, kind=ATOM, version=ATOM_VERSION, config=config.to_dict())


def load_atom(path: str | os.PathLike = SHIPPED_ATOM, device: str | torch.device = "cpu",
              dtype: torch.dtype | None = None) -> AToM:
    """Reads an AToM file.

    Args:
        path: a file of `save_atom`; by default the demo weights.
        device: where the network goes.
        dtype: its number format; None: float32, also where float16 is stored.
    Raises:
        FileFormatError: absent, truncated, not an AToM, newer than this version, or incomplete, misshapen or NaN inside.
    """
    tensors, values = load_tensors(path, kind=ATOM, version=ATOM_VERSION)
    name, again = Path(path).name, "Train, import or copy the AToM again"
    config = read_description(AToMConfig.from_dict, values, "an AToM", name, again)
    mean = "The atom file must hold the mean face it was trained with"
    if MEAN_SHAPE not in tensors:
        raise FileFormatError(mean, f"{name} lacks '{MEAN_SHAPE}'", again)
    state = strip(tensors, NET)
    check_state(state, unfilled(config.denoiser), name, again)
    net, lips = built(config.denoiser, state), _lips(config, strip(tensors, LIPS), name, again)
    try:
        atom = AToM(net, config, tensors[MEAN_SHAPE], lips)
    except TalkingHeadsError as error:
        raise FileFormatError(mean, f"{name}: {error.came}", again) from error
    return atom.to(device, dtype)


def _lips(config: AToMConfig, state: Mapping[str, Tensor], name: str, again: str) -> LipNetwork | None:
    """The lip network of a file called `name`; see `load_atom`."""
    if config.lips is None:
        return None
    with torch.device("meta"):
        network = LipNetwork(config.lips, config.speech)
    check_state(state, network, name, again)
    return filled(network, state)


def built(config: DenoiserConfig, state: Mapping[str, Tensor]) -> AToMDenoiser:
    """The network around `state` (checked), without drawing random weights first; float32."""
    return filled(unfilled(config), state)


def unfilled(config: DenoiserConfig) -> AToMDenoiser:
    """The network on torch's meta device: names and shapes, no numbers."""
    with torch.device("meta"):
        return AToMDenoiser(config)
