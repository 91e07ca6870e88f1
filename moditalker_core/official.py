"""Reading a file of MoDiTalker's official weights: a pickle, read with torch's restricted reader, which builds tensors, numbers,
texts and containers and nothing else. AToM's names and sizes are in `atom/official.py`, MToV's in `mtov/official.py`.
"""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.pickles import give_again, unpickled
from ..media_core.schema import listed

WEIGHTS = {"raw": "model_state_dict", "ema": "ema_state_dict"}  # the official inference takes the raw ones
_WRAPPER = "module."  # what parallel training puts before names


def read_official(path: str | os.PathLike, called: str, weights: str = "raw", of: str = "MoDiTalker") -> dict[str, Tensor]:
    """The state dict in an official checkpoint, on the CPU, memory-mapped where the file allows it; names without `module.`.

    Args:
        path: `atom.pt`, or a bare state dict.
        called: the official file's name, for messages. of: whose it is.
        weights: "raw" (`model_state_dict`, as the official inference uses) or "ema"; a bare state dict is "raw".
    Raises:
        FileFormatError: absent, truncated, no pickle of plain tensors, no state dict, or without the weights asked for.
    """
    if weights not in WEIGHTS:
        raise TalkingHeadsError(f"The weights must be {' or '.join(WEIGHTS)}", f"'{weights}'", "Choose one of those")
    path, again = Path(path), give_again(called, of)
    held = unpickled(path, called, of)
    if not isinstance(held, Mapping) or not held:
        empty = ", empty" if isinstance(held, Mapping) else ""
        raise FileFormatError("The checkpoint must hold a state dict", f"{path.name} holds a {type(held).__name__}{empty}",
                              again)
    if not set(WEIGHTS.values()) & set(held):
        if weights == "ema":
            raise FileFormatError("For EMA weights the checkpoint must hold an 'ema_state_dict'",
                                  f"{path.name} holds {_names(held)}", "Choose the raw weights")
        state: object = held
    elif WEIGHTS[weights] not in held:
        raise FileFormatError(f"For {weights} weights the checkpoint must hold a '{WEIGHTS[weights]}'",
                              f"{path.name} holds {_names(held)}", "Choose the other weights")
    else:
        state = held[WEIGHTS[weights]]
    if not isinstance(state, Mapping) or not state or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise FileFormatError("A state dict must be tensors by name", f"that of {path.name} holds "
                              f"{_names(state) if isinstance(state, Mapping) else type(state).__name__}", again)
    return {_unwrapped(name): value for name, value in state.items()}


def _unwrapped(name: str) -> str:
    while name.startswith(_WRAPPER):
        name = name[len(_WRAPPER):]
    return name


def _names(held: Iterable[object]) -> str:
    return listed([str(name) for name in held]) or "nothing"


def check_telling(state: Mapping[str, Tensor], telling: Mapping[str, int], what: str, name: str, do: str) -> None:
    """Checks the tensors that show a network's sizes.

    Args:
        telling: official name -> number of dimensions. what: the network; name: of the file; do: what to do; for messages.
    Raises:
        FileFormatError: one is missing or has another number of dimensions.
    """
    lacking = [key for key, dims in telling.items() if key not in state or state[key].dim() != dims]
    if lacking:
        raise FileFormatError(f"The checkpoint must be {what}'s", f"{name} lacks {listed(lacking)}; it holds {_names(state)}", do)


def counted(state: Mapping[str, Tensor], before: str, name: str, do: str) -> int:
    """How many parts there are whose tensors' names begin with `before` and a number.

    Raises:
        FileFormatError: none, or numbers are left out.
    """
    numbers = {int(found[1]) for found in (re.match(re.escape(before) + r"(\d+)\.", key) for key in state) if found}
    if not numbers or numbers != set(range(len(numbers))):
        raise FileFormatError("The checkpoint's layers must be numbered from 0 without a gap",
                              f"of '{before}*' {name} holds {listed([str(n) for n in sorted(numbers)]) or 'none'}", do)
    return len(numbers)


def renamed(official: Mapping[str, Tensor], ours_of: Callable[[str], str | None], theirs_of: Callable[[str], str], what: str,
            name: str, do: str) -> dict[str, Tensor]:
    """An official state dict under our names, without what is left behind.

    Args:
        ours_of: official name -> ours, None for what is left behind, KeyError for what is unknown.
        theirs_of: its inverse.
        what: the network; name: of the file; do: what to do; for messages.
    Raises:
        FileFormatError: it holds unknown tensors.
    """
    unknown: list[str] = []
    state: dict[str, Tensor] = {}
    for key, value in official.items():
        try:
            ours = ours_of(key)
            if ours is not None and theirs_of(ours) != key:
                unknown.append(key)
            elif ours is not None:
                state[ours] = value
        except KeyError:
            unknown.append(key)
    if unknown:
        raise FileFormatError(f"The checkpoint may hold {what}'s tensors only", f"{name} also holds {listed(unknown)}", do)
    return state


def check_target(path: Path, *sources: Path) -> None:
    """Raises:
        TalkingHeadsError: the file to write is one of those to read.
    """
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise TalkingHeadsError("The import must go to another file", f"{path} is the checkpoint itself", "Choose another name")
