"""What an unfinished training keeps on disk beside its weights, and what must hold before its weights move."""
# torch has _foreach_*, which its own optimizers and those of others use; its stubs forget to export them:
# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.files import load_tensors, save_tensors

ADAM = ("step", "exp_avg", "exp_avg_sq")  # what Adam and AdamW keep for a parameter; another optimiser names its own as `entries`
SQUARES = ("exp_avg_sq", "n")  # of them, what is never below zero
LOWER = "Check the data, lower the learning rate, or start over (resume off); the last good state is kept"


def strip(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix`, without it."""
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


def save_state(path: Path, tensors: Mapping[str, Tensor], kind: str, version: int, config: Mapping[str, Any]) -> None:
    """Writes the state of an unfinished training, whole or not at all.

    Args:
        config: "identity", "step" and whatever else continuing takes.
    """
    save_tensors(path, tensors, kind=kind, version=version, config={"version": version, **config})


def load_state(path: Path, kind: str, version: int,
               check: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_state` wrote. `check` is given its identity first, and raises when it is another training's.

    Raises:
        FileFormatError: absent, damaged, of another kind, or of another version of the pack.
    """
    tensors, saved = load_tensors(path, kind=kind, version=version)
    if saved.get("version") != version:
        raise FileFormatError("An unfinished training can only be continued by the version of Talking Heads that began it",
                              f"{path.name} is from an earlier version",
                              "Finish it with that version, or start over (resume off)")
    check(saved["identity"] if isinstance(saved.get("identity"), dict) else {})
    return tensors, saved


def check_finite(loss: float, gradient: float, where: str) -> None:
    """Raises:
        TalkingHeadsError: the loss or the gradient's norm is not finite; `where` says in which step ("step 3 of face").
    """
    if not (math.isfinite(loss) and math.isfinite(gradient)):
        raise TalkingHeadsError("The loss of a training must stay finite", f"loss {loss:g}, gradient {gradient:g} at {where}",
                                LOWER)


def check_finite_step(loss: Tensor, gradients: Iterable[Tensor | None], where: str,
                      also: Iterable[Tensor | None] = ()) -> tuple[float, float]:
    """`check_finite`, between the backward pass and everything that remembers a gradient. One look for all of them.

    Args:
        loss: []. gradients: of any shapes; None where there is none. also: must be finite too, but do not count in the norm.
    Returns:
        the loss and the norm of all gradients.
    """
    there = [g.detach() for g in gradients if g is not None]
    count = len(there)
    there += [g.detach() for g in also if g is not None]
    sizes = torch._foreach_norm(there) if there else ()  # NaN stays NaN; what moments could not square comes out as infinity
    value, *norms = torch.stack([loss.detach().float(), *(s.to(loss.device, torch.float32) for s in sizes)]).tolist()
    size = math.hypot(*norms[:count])
    check_finite(value, max((n for n in norms if not math.isfinite(n)), default=size), where)
    return value, size


def check_finite_weights(tensors: Mapping[str, Tensor], where: str) -> None:
    """To be called before a state is written over an earlier one.

    Raises:
        TalkingHeadsError: a tensor of `tensors` holds a number that is not finite.
    """
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise TalkingHeadsError("The weights of a training must stay finite", f"NaN or inf in {broken[0]} after {where}",
                                "Lower the learning rate; the last good state is kept")


def misfit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """What keeps weights that were read from taking the place of `own`, as a clause; None if nothing does.

    Names, shapes, number formats and finiteness are looked at.
    """
    for name in sorted(tensors.keys() ^ own.keys()):
        return f"{name} is not there" if name in own else f"{name} belongs to nothing"
    for name, value in tensors.items():
        wanted = own[name]
        if value.shape != wanted.shape or value.dtype != wanted.dtype:
            return f"{name} is {value.dtype} {list(value.shape)}, not {wanted.dtype} {list(wanted.shape)}"
        if not bool(torch.isfinite(value).all()):
            return f"{name} holds NaN or inf"
    return None


def check_saved_weights(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], file: str) -> None:
    """Raises:
        FileFormatError: `tensors`, read from `file`, cannot take the place of `own` (see `misfit`).
    """
    wrong = misfit(tensors, own)
    if wrong is not None:
        raise FileFormatError("An unfinished training must hold all weights of its networks", f"{file} does not: {wrong}",
                              "Start over (resume off)")


def saved_count(saved: Mapping[str, Any], most: int, file: str, name: str = "step") -> int:
    """The count `name` of a state's description.

    Raises:
        FileFormatError: it is no whole number in 0..`most`.
    """
    count = saved.get(name)
    if type(count) is not int or not 0 <= count <= most:
        raise FileFormatError(f"An unfinished training must say how far it is: '{name}' in 0..{most}", f"{count!r} in {file}",
                              "Start over (resume off)")
    return count


def optimizer_tensors(optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """Moments and step counts as `<parameter number>.<entry>`."""
    if optimizer is None:
        return {}
    return {f"{index}.{key}": torch.as_tensor(value) for index, entries in optimizer.state_dict()["state"].items()
            for key, value in entries.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], count: int | None = None,
                      file: str = "the state", needed: bool = False) -> None:
    """Puts back what `optimizer_tensors` gave. The moments go to their parameters' device; step counters stay where `tensors`
    lie, which should be the CPU: on a GPU, reading them would stop every step.

    Moments are laid out in memory as their parameters are (files hold plain rows): fused optimisers walk through both side by
    side.

    Args:
        count: how many tensors `optimizer_tensors` gave; None where the file does not say.
        file: its name, for the message.
        needed: whether there must be some: the optimiser has moved something.
    Raises:
        FileFormatError: entries are missing, belong to no parameter or do not fit it, or are not finite.
    """
    state: dict[int, dict[str, Tensor]] = {}
    if needed and not tensors:
        raise _broken(f"{file} holds none of an optimiser's, which has moved weights")
    if count is not None and len(tensors) != count:
        raise _broken(f"{file} holds {len(tensors)} tensors of an optimiser's {count}")
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        if not index.isdecimal():
            raise _broken(f"{file} names one '{name}'")
        state.setdefault(int(index), {})[key] = tensor
    _check_moments(optimizer, state, file)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if torch.is_tensor(value) and value.shape == parameter.shape and value.stride() != parameter.stride():
                entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _check_moments(optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]], file: str) -> None:
    """Each parameter has all of its optimiser's entries or none (it never had a gradient), and they fit it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    wanted = getattr(optimizer, "entries", ADAM)
    for index, entries in state.items():
        if index >= len(parameters) or set(entries) != set(wanted):
            raise _broken(f"{file} holds {', '.join(sorted(entries))} of parameter {index} of {len(parameters)}")
        for key, value in entries.items():
            shape, dtype = ((), torch.float32) if key == "step" else (parameters[index].shape, parameters[index].dtype)
            if value.shape != shape or value.dtype != dtype:
                raise _broken(f"{key} of parameter {index} in {file} is {value.dtype} {list(value.shape)}, not {dtype} "
                              f"{list(shape)}")
            low = 1 if key == "step" else 0 if key in SQUARES else -math.inf
            if not bool((torch.isfinite(value) & (value >= low)).all()):
                raise _broken(f"{key} of parameter {index} in {file} holds numbers that no training makes")


def _broken(came: str) -> FileFormatError:
    return FileFormatError("An unfinished training must hold all moments of its optimisers", came, "Start over (resume off)")
