"""The training of a stage of MToV: its networks, and the losses of its objective."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ...training_core.network_training import NetworkTraining, Part
from .objectives import Objective
from .train_config import TrainConfig


class MToVTraining(NetworkTraining):
    """The state of a training.

    Args:
        config: the stage's settings.
        objective: the networks, and what they are to learn.
    """

    kind, version = "mtov_training", 2

    def __init__(self, config: TrainConfig, objective: Objective):
        parts = {name: Part(network, config, lr=config.judges_lr if name == "judges" else config.lr,
                            clip=config.judges_clip if name == "judges" else config.gradient_clip)
                 for name, network in objective.networks.items()}
        super().__init__(config, parts, objective.group, objective.device)
        self.objective = objective

    def turn(self, step: int) -> str:
        return self.objective.turn(step)

    def wrapped(self, turn: str) -> nn.Module:
        return self.objective.wrapped[turn]

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return self.objective.metric_names(turn)

    def losses(self, turn: str, indices: Sequence[int]) -> Tensor:
        return len(indices) / self.settings.batch * self.objective.losses(turn, self.step, indices)
