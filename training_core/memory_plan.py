"""How a step of a training is cut so that it fits into memory: into pieces, and with or without activations kept.

Both leave the batch, and so what is learnt, as it is. Where losses look at the windows of a piece together (a batch norm), the
size of a piece does count a little; such trainings checkpoint first.
"""
from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..media_core.errors import TalkingHeadsError
from .choices import CHECKPOINTING
from .memory import GB, free_memory

log = logging.getLogger(__name__)
LIMIT = 22 * GB  # bytes that a training takes at most unless told otherwise: what GPUs of 24 GB have room for
_USABLE = 0.95   # fraction of the free memory
# By kind of device: a factor for what an allocator cannot use and kernels need meanwhile, and what is always there. That of the
# CPU is between those measured (benchmarks/training_memory.py --measure: 1.0 to 1.64 of what tensors take).
_OVERHEAD = {"cpu": (1.5, 0.35 * GB)}
_ELSEWHERE = (1.08, 0.9 * GB)           # the context of a GPU, workspaces of its libraries
_KINDS = {"adamw": 2, "adan": 4}        # float32 numbers that an optimiser keeps for a parameter
_IN_STEP = {"adamw": 0, "adan": 4}      # and those that its step needs for a moment


@dataclass(frozen=True)
class Plan:
    """How a training computes its steps."""

    accumulation: int     # pieces in which a process computes its part of a batch
    checkpointing: bool
    needed: float         # bytes, the peak
    limit: float          # bytes
    free: int | None      # bytes on the device; None: unknown

    def __str__(self) -> str:
        pieces = "in one piece" if self.accumulation == 1 else f"in {self.accumulation} pieces"
        free = "unknown" if self.free is None else f"{self.free / GB:.1f} GB"
        return (f"about {self.needed / GB:.1f} GB at most (limit {self.limit / GB:.1f} GB, free {free}): a step {pieces}, "
                f"checkpointing {'on' if self.checkpointing else 'off'}")


def planned(need: Callable[[int, bool], float], windows: int, *, least: int = 1, checkpointing: str = CHECKPOINTING[0],
            memory_gb: float | None = None, device: torch.device, first: str = "pieces", able: bool = True) -> Plan:
    """The plan that costs least time and fits; where none does, the smallest one.

    Args:
        need: (windows in a piece, checkpointing) -> bytes at most.
        windows: of a step, in this process.
        least: pieces asked for; the plan has a multiple of so many.
        checkpointing: "auto", "on" or "off".
        memory_gb: GB that may be taken; None: 22, or what is free where that is less.
        first: what is tried first, "pieces" or "checkpointing".
        able: whether the networks can checkpoint.
    Raises:
        TalkingHeadsError: no such choice; `memory_gb` is not above 0, or too little for the smallest plan.
    """
    _check(checkpointing, memory_gb)
    free = free_memory(device)
    limit = memory_gb * GB if memory_gb is not None else LIMIT if free is None else min(LIMIT, _USABLE * free)
    ways = ([False] if checkpointing == "off" or not able else [True] if checkpointing == "on" else [False, True])
    counts = [n for n in range(least, windows + 1, least) if windows % n == 0] or [least]
    tried = ([(n, way) for way in ways for n in counts] if first == "pieces" else [(n, way) for n in counts for way in ways])
    plans = (Plan(n, way, need(max(1, windows // n), way), limit, free) for n, way in tried)
    smallest: Plan | None = None
    for plan in plans:
        if plan.needed <= limit:
            return plan
        smallest = plan if smallest is None or plan.needed < smallest.needed else smallest
    assert smallest is not None  # at least one was tried
    if memory_gb is not None:
        raise TalkingHeadsError(f"This training must fit into the {memory_gb:g} GB that it may take",
                                f"{smallest}", "Allow more memory, or choose a smaller preset or smaller images")
    return smallest


def told(plan: Plan, what: str) -> None:
    """A line of the log, and a warning where the plan does not fit."""
    log.info("Memory of this training (%s): %s", what, plan)
    if plan.needed > plan.limit:
        log.warning("This training (%s) may run out of memory: %s. Close other programs, or choose a smaller preset or smaller "
                    "images", what, plan)


def _check(checkpointing: str, memory_gb: float | None) -> None:
    if checkpointing not in CHECKPOINTING:
        raise TalkingHeadsError(f"checkpointing must be one of {', '.join(CHECKPOINTING)}", f"{checkpointing!r}",
                                "Choose one of those")
    if memory_gb is not None and not 0 < memory_gb < math.inf:
        raise TalkingHeadsError("The memory that a training may take must be above 0 GB", f"{memory_gb}",
                                "Correct it, or use auto")


def whole_peak(tensors: float, device: torch.device) -> float:
    """Bytes that a process takes whose tensors take `tensors`."""
    factor, fixed = _OVERHEAD.get(device.type, _ELSEWHERE)
    return factor * tensors + fixed


def kept_for(numbers: int, optimizer: str, averaged: bool = False) -> int:
    """Bytes beside weights and gradients for `numbers` trained ones: moments and averages."""
    return 4 * numbers * (_KINDS[optimizer] + averaged)


def in_step(numbers: int, optimizer: str) -> int:
    """Bytes that the optimiser's step takes for a moment."""
    return 4 * numbers * _IN_STEP[optimizer]
