"""Reading a file of MoDiTalker's official weights: a pickle, read with torch's restricted reader, which builds tensors, numbers,
texts and containers and nothing else. AToM's names and sizes are in `atom/official.py`, MToV's in `mtov/official.py`.
"""
from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.schema import listed

WEIGHTS = {"raw": "model_state_dict", "ema": "ema_state_dict"}  # the official inference takes the raw ones
_SAFE_TORCH = (2, 6)
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
    held = _unpickled(path, called, of)
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


def give_again(called: str, of: str = "MoDiTalker") -> str:
    """What to do about a checkpoint that cannot be read, for messages; `called`: the official file's name; `of`: whose it is."""
    return f"Give {of}'s {called}, whole, or copy it again"


def _unwrapped(name: str) -> str:
    while name.startswith(_WRAPPER):
        name = name[len(_WRAPPER):]
    return name


def _names(held: Iterable[object]) -> str:
    return listed([str(name) for name in held]) or "nothing"


def _unpickled(path: Path, called: str, of: str) -> object:
    """What torch's restricted reader finds in a file."""
    if not path.is_file():
        raise FileFormatError("The checkpoint must exist", f"no file at {path}", "Check the name and the folder")
    _check_reader(torch.__version__)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(path):
        raise FileFormatError("The checkpoint must be whole", f"{path.name} breaks off", "Copy or download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # whatever an unpickler meets in foreign bytes: there is no narrower class for it
        first = str(error).strip().partition("\n")[0][:200]
        raise FileFormatError("The checkpoint must be a file of torch.save that holds tensors and plain values only",
                              f"{path.name} cannot be read so ({type(error).__name__}: {first})",
                              f"Give {of}'s {called} itself: not a saved module, and not another format") from error


def _check_reader(version: str) -> None:
    """Before torch 2.6 even the restricted reader could be made to run code that a file holds (CVE-2025-32434).

    Raises:
        TalkingHeadsError: such a torch.
    """
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _SAFE_TORCH:
        raise TalkingHeadsError("Official checkpoints are read with torch 2.6 or newer: an older one may run code that a file "
                                "holds (CVE-2025-32434)", f"torch {version}",
                                "Update torch, or import on another machine: the imported file is safe anywhere")


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
