"""What the weight files of both networks have in common: a safetensors file with a typed header that holds the whole description.

AToM's are in `atom/checkpoints.py`, MToV's in `mtov/checkpoints.py`.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.schema import listed

Network = TypeVar("Network", bound=nn.Module)
Described = TypeVar("Described")


def storable(state: Mapping[str, Tensor], *, half: bool) -> dict[str, Tensor]:
    """The weights as they are stored: float32, or float16.

    Raises:
        TalkingHeadsError: one is NaN, or beyond what float16 holds.
    """
    number = torch.float16 if half else torch.float32
    stored = {name: value.detach().to(number) for name, value in state.items()}
    spoilt = spoilt_names(stored)
    if spoilt:
        raise TalkingHeadsError("Every weight that is saved must be finite", f"{listed(spoilt)} hold NaN or inf"
                                + (" as float16" if half else ""), "Go back to an earlier checkpoint" + (
                                    ", or store as float32" if half else ""))
    return stored


def read_description(make: Callable[[Mapping[str, Any]], Described], values: Mapping[str, Any], what: str, name: str,
                     do: str) -> Described:
    """`make(values)`: the description of `what` in the header of a file called `name`; `do`: what to do, for messages.

    Raises:
        FileFormatError: names or values that no such description has.
    """
    try:
        return make(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"The file must describe {what}", f"{name} does not ({error})", do) from error


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
        name: of the file, for messages. do: what to do, for messages.
        known: our name -> the one the user knows.
    Raises:
        FileFormatError: tensors are missing, too many, of another shape, not floating point, or not finite; all are named.
    """
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    called = [known(key) for key in own if key not in state]
    if called:
        raise FileFormatError("The checkpoint must hold every tensor of the network", f"{name} lacks {listed(called)}", do)
    extra = [known(key) for key in state if key not in own]
    if extra:
        raise FileFormatError("The checkpoint may hold the tensors of the network only", f"{name} also holds {listed(extra)}", do)
    wrong = [f"{known(key)} {list(state[key].shape)}, not {list(shape)}" for key, shape in own.items()
             if tuple(state[key].shape) != shape]
    if wrong:
        raise FileFormatError("Every tensor must have the shape its network asks for",
                              f"{name}: {listed(wrong, between='; ')}", do)
    spoilt = [known(key) for key in spoilt_names(state)]
    if spoilt:
        raise FileFormatError("Every weight must be a finite number",
                              f"in {name}, {listed(spoilt)} hold NaN, inf or whole numbers", do)


def spoilt_names(state: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are not floating point, not finite, or no plain numbers (sparse, without storage)."""
    plain = {name for name, value in state.items()
             if value.is_floating_point() and value.layout == torch.strided and not value.is_meta}
    return [name for name, value in state.items() if name not in plain or not bool(torch.isfinite(value).all())]
