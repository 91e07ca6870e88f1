"""The settings that every training of networks has, and their checks; a method adds its own."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..media_core.errors import TalkingHeadsError
from .optim import FLOOR, NUMBERS, USUAL_BETAS

PRECISIONS, SCHEDULES, OPTIMIZERS = tuple(NUMBERS), ("constant", "cosine"), tuple(USUAL_BETAS)
FREE = ("accumulation", "save_every", "val_every", "log_every")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How weights are moved, and what is done between the steps."""

    preset: str = "custom"  # name shown to the user
    steps: int = 10000  # optimisation steps
    batch: int = 1  # samples per step, over all processes
    accumulation: int = 1  # pieces in which a process computes its part of a batch
    optimizer: str = "adamw"  # one of OPTIMIZERS
    lr: float = 1e-4  # learning rate
    betas: tuple[float, ...] | None = None  # None: the optimizer's usual ones
    weight_decay: float = 0.01
    warm_up: int = 0  # steps in which the learning rate climbs
    schedule: str = "constant"  # of the learning rate, after the warm-up: one of SCHEDULES
    floor: float = FLOOR  # fraction of the learning rate at which a cosine ends
    gradient_clip: float | None = None  # largest norm of the gradient; None: no limit
    ema: float | None = None  # fraction of the old in the averaged weights, which are what is saved; None: the last weights are
    ema_warm_up: bool = True  # a smaller fraction at the start: at most (1 + n) / (10 + n) at the n-th average
    ema_every: int = 1  # steps between two averages
    precision: str = "fp32"  # one of `precisions`; bf16, fp16: autocast, fp16 with a scaled gradient
    save_every: int = 2000  # steps between savings of the unfinished training
    val_every: int = 2000  # steps between validations
    log_every: int = 10  # steps averaged in one line of the log

    precisions: ClassVar[tuple[str, ...]] = PRECISIONS
    free: ClassVar[tuple[str, ...]] = FREE  # do not change what is learnt: may change between a training and its continuation

    def __post_init__(self) -> None:
        self.check_whole(("steps", "batch", "accumulation", "ema_every", "save_every", "val_every", "log_every"), ("warm_up",))
        self.check_choices({"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": self.precisions})
        self.check_fractions(("floor",) if self.ema is None else ("floor", "ema"))
        require(0 < self.lr < math.inf and 0 <= self.weight_decay < math.inf,
                "The learning rate (lr) must be above 0, weight_decay not below", f"{self.lr}, {self.weight_decay}")
        require(self.gradient_clip is None or self.gradient_clip > 0, "gradient_clip must be above 0", f"{self.gradient_clip}")
        count = len(USUAL_BETAS[self.optimizer])
        require(self.betas is None or len(self.betas) == count and all(0 <= beta < 1 for beta in self.betas),
                f"betas of {self.optimizer} must be {count} numbers in 0..1", f"{self.betas}")

    def check_whole(self, above: tuple[str, ...], not_below: tuple[str, ...] = ()) -> None:
        """Raises:
            TalkingHeadsError: fields that must be whole numbers above 0, or not below it, are not.
        """
        wrong = {name: value for names, least in ((above, 1), (not_below, 0)) for name in names
                 if type(value := getattr(self, name)) is not int or value < least}
        require(not wrong, "Steps, batch and intervals must be whole numbers above 0"
                + (f"; {', '.join(not_below)} not below 0" if not_below else ""),
                ", ".join(f"{name} {value!r}" for name, value in wrong.items()))

    def check_choices(self, choices: Mapping[str, tuple[str, ...]]) -> None:
        """Raises:
            TalkingHeadsError: a field is none of its choices.
        """
        for name, known in choices.items():
            require(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}", f"'{getattr(self, name)}'")

    def check_fractions(self, names: tuple[str, ...]) -> None:
        """Raises:
            TalkingHeadsError: a field does not lie in 0..1.
        """
        wrong = {name: value for name in names if not 0 <= (value := getattr(self, name)) <= 1}
        require(not wrong, "Fractions and probabilities must lie in 0..1", f"{wrong}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; each method's `from_dict` takes it back."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished training to be continued."""
        return {name: value for name, value in self.to_dict().items() if name not in self.free}


def require(holds: bool, must: str, came: str, do: str = "Correct the training's settings") -> None:
    """Raises:
        TalkingHeadsError: it does not hold.
    """
    if not holds:
        raise TalkingHeadsError(must, came, do)
