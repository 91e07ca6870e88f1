"""The training of AToM: its network and its losses."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...media_core.chance import drawn, share_chance
from ...training_core.network_training import STEP_METRICS, NetworkTraining, Part, seed_of
from ...training_core.optim import autocast
from ...training_core.process_group import SingleProcess
from . import emphasis
from .attention import Attention
from .denoiser import AToMDenoiser
from .diffusion import losses, noised
from .initial import fresh_denoiser
from .train_config import TrainConfig
from .windows import Windows

METRICS = ("loss", "reconstruction", "velocity")
COLUMNS = (*METRICS, *STEP_METRICS, "lip_correlation", "val_loss")  # of the log
_FIRST, _CHANCE = 1 << 32, 1 << 33  # beside the steps: seeds of the first weights and of dropout


class AToMTraining(NetworkTraining):
    """The state of a training.

    Args:
        config: the training; config.denoiser is the network's.
        windows: what it learns from.
        seed: of the weights, the windows and dropout.
        device: where to compute.
        group: the processes that train together.
        weights: what it begins with, by name; None: new ones.
    """

    kind, version = "atom_training", 2

    def __init__(self, config: TrainConfig, windows: Windows, seed: int, device: torch.device, group: SingleProcess,
                 weights: Mapping[str, Tensor] | None = None):
        network = fresh_denoiser(config.denoiser, seed_of(seed, _FIRST, 0))
        if weights is not None:
            network.load_state_dict(weights)
        network = network.to(device).train()
        super().__init__(config, {"network": Part(network, config, lr=config.lr, clip=config.gradient_clip)}, group, device)
        self.config, self.windows, self.seed, self.network = config, windows, seed, network
        self._start = {name: value.to(device) for name, value in weights.items()} if weights is not None else {}
        if config.attention_dropout is not None:
            for part in network.modules():
                if isinstance(part, Attention):
                    part.dropout = config.attention_dropout
        self.chance = share_chance(network)
        self._wrapped = group.wrapped(network)

    @property
    def params(self) -> dict[str, nn.Parameter]:
        """The weights that are trained."""
        return self.model.params

    def wrapped(self, turn: str) -> nn.Module:
        return self._wrapped

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return METRICS

    def losses(self, turn: str, indices: Sequence[int]) -> Tensor:  # float32 [3]
        """A mean over the frames of the whole batch: padding does not count, and each frame counts once."""
        frames, pairs = self.windows.counts(self.step)
        batch = self.windows.batch(self.step, indices).to(self.device)
        self.chance.seed(seed_of(self.seed, _CHANCE + self.step, indices[0]))  # of seed, step and window alone
        with autocast(self.device, self.config.precision):
            noisy = noised(batch.x0, batch.times, batch.noise)
            predicted = self._wrapped(noisy, batch.face, batch.audio, batch.times, batch.keep)
        weights = emphasis.weights(self.windows.points(batch), self.config.mouth, self.config.closures)
        each = losses(predicted.float(), batch.x0, batch.mask, weights)
        counted = batch.mask.sum()
        parts = torch.stack([each.reconstruction * counted / frames,
                             each.velocity * (batch.mask[:, 1:] & batch.mask[:, :-1]).sum() / max(pairs, 1)])
        return torch.cat([parts.sum()[None], parts.detach()])

    def weights(self) -> dict[str, Tensor]:
        """Those to save, with config.keep_start of the weights that the training began with."""
        trained, kept = super().weights(), self.config.keep_start
        if not self._start or not kept:
            return trained
        return {name: torch.lerp(value, self._start[name], kept) if value.is_floating_point() else value
                for name, value in trained.items()}

    def averaged_network(self) -> AToMDenoiser:
        """A network of its own with `weights`, in evaluation mode."""
        network = drawn(0, lambda: AToMDenoiser(self.config.denoiser)).to(self.device).eval()
        network.load_state_dict(self.weights())
        return network
