"""MoDiTalker's weight files: one safetensors each, with a typed header that holds the whole description. Here AToM's, and what is
common to them; MToV's are in `mtov_checkpoints`.

AToM: tensors `denoiser.*` (float32, or float16 where asked for) and `key_mean_shape` [68, 3] decimetres float32; kind "atom",
version 1, config as `AToMConfig.to_dict` gives it. Published checkpoints are brought into this form by `published.import_atom`.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from .config import AToMConfig, DenoiserConfig
from .denoiser import AToMDenoiser
from .model import AToM, checked_mean_shape

ATOM, ATOM_VERSION = "atom", 1
SHIPPED_ATOM = Path(__file__).resolve().parents[2] / "weights" / "demo_atom.safetensors"
NET, MEAN_SHAPE = "denoiser.", "key_mean_shape"
Network = TypeVar("Network", bound=nn.Module)
_NAMED = 3  # names told in an error before they are only counted


def save_atom(atom: AToM, path: str | os.PathLike, *, half: bool = False) -> Path:
    """Writes the file whole or not at all.

    Args:
        atom: on any device, in any number format.
        path: the file, .safetensors.
        half: store the network in float16, half the size; it is read back as float32.
    Raises:
        TalkingHeadsError: a weight is NaN, or beyond what float16 holds; the disk is full.
    """
    return save_atom_tensors(atom.denoiser.state_dict(), atom.config, atom.key_mean_shape, path, half=half)


def save_atom_tensors(state: Mapping[str, Tensor], config: AToMConfig, key_mean_shape: Tensor, path: str | os.PathLike, *,
                      half: bool = False) -> Path:
    """`save_atom` of a network that was never built: `state` under AToMDenoiser's names."""
    stored = storable({NET + name: value for name, value in state.items()}, half=half)
    stored[MEAN_SHAPE] = checked_mean_shape(key_mean_shape)
    return save_tensors(path, stored, kind=ATOM, version=ATOM_VERSION, config=config.to_dict())


def storable(state: Mapping[str, Tensor], *, half: bool) -> dict[str, Tensor]:
    """The weights as they are stored: float32, or float16.

    Raises:
        TalkingHeadsError: one is NaN, or beyond what float16 holds.
    """
    number = torch.float16 if half else torch.float32
    stored = {name: value.detach().to(number) for name, value in state.items()}
    spoilt = spoilt_names(stored)
    if spoilt:
        raise TalkingHeadsError("Every weight that is saved must be finite", f"{told(spoilt)} hold NaN or inf"
                                + (" as float16" if half else ""), "Go back to an earlier checkpoint" + (
                                    ", or store as float32" if half else ""))
    return stored


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
    config = described(AToMConfig, values, "an AToM", name, again)
    mean = "The atom file must hold the mean face it was trained with"
    if MEAN_SHAPE not in tensors:
        raise FileFormatError(mean, f"{name} lacks '{MEAN_SHAPE}'", again)
    state = {key[len(NET):]: value for key, value in tensors.items() if key.startswith(NET)}
    check_state(state, unfilled(config.denoiser), name, again)
    net = built(config.denoiser, state)
    try:
        atom = AToM(net, config, tensors[MEAN_SHAPE])
    except TalkingHeadsError as error:
        raise FileFormatError(mean, f"{name}: {error.came}", again) from error
    return atom.to(device, dtype)


def described(of: Any, values: Mapping[str, Any], what: str, name: str, do: str) -> Any:
    """`of.from_dict(values)`: the description of `what` in the header of a file called `name`; `do`: the way out, for messages.

    Raises:
        FileFormatError: names or values that no such description has.
    """
    try:
        return of.from_dict(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"The file must describe {what}", f"{name} does not ({error})", do) from error


def built(config: DenoiserConfig, state: Mapping[str, Tensor]) -> AToMDenoiser:
    """The network around `state` (checked), without drawing random weights first; float32."""
    return filled(unfilled(config), state)


def unfilled(config: DenoiserConfig) -> AToMDenoiser:
    """The network on torch's meta device: names and shapes, no numbers."""
    with torch.device("meta"):
        return AToMDenoiser(config)


def filled(network: Network, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> Network:
    """A network of the meta device around `state` (checked), in the number format `dtype`."""
    network.load_state_dict({name: value.to(dtype) for name, value in state.items()}, assign=True)
    return network


def check_state(state: Mapping[str, Tensor], network: nn.Module, name: str, do: str,
                known: Callable[[str], str] = str) -> None:
    """Compares a state dict with the network it is for.

    Args:
        state: under the network's own names.
        network: on the meta device.
        name: of the file, for messages. do: the way out, for messages.
        known: our name -> the one the user knows.
    Raises:
        FileFormatError: tensors are missing, too many, of another shape, not floating point, or not finite; all are told.
    """
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    called = [known(key) for key in own if key not in state]
    if called:
        raise FileFormatError("The checkpoint must hold every tensor of the network", f"{name} lacks {told(called)}", do)
    extra = [known(key) for key in state if key not in own]
    if extra:
        raise FileFormatError("The checkpoint may hold the tensors of the network only", f"{name} also holds {told(extra)}", do)
    wrong = [f"{known(key)} {list(state[key].shape)}, not {list(shape)}" for key, shape in own.items()
             if tuple(state[key].shape) != shape]
    if wrong:
        raise FileFormatError("Every tensor must have the shape its network asks for", f"{name}: {told(wrong, '; ')}", do)
    spoilt = [known(key) for key in spoilt_names(state)]
    if spoilt:
        raise FileFormatError("Every weight must be a finite number", f"in {name}, {told(spoilt)} hold NaN, inf or whole numbers",
                              do)


def spoilt_names(state: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are not floating point, not finite, or no plain numbers (sparse, without storage)."""
    plain = {name for name, value in state.items() if value.is_floating_point() and value.layout == torch.strided
             and not value.is_meta}
    return [name for name, value in state.items() if name not in plain or not bool(torch.isfinite(value).all())]


def told(names: list[str], between: str = ", ") -> str:
    """The first few names; the others counted."""
    more = len(names) - _NAMED
    return between.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
