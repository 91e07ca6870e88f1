"""The memory that a training of AToM takes at most, known before it starts (`training_core.peak_memory`)."""
from __future__ import annotations

from functools import lru_cache

import torch

from ...training_core.memory_plan import in_step, kept_for, whole_peak
from ...training_core.optim import NUMBERS
from ...training_core.peak_memory import META, on_meta, peak_of
from .attention import Attention
from .config import TOKENS_PER_FRAME, DenoiserConfig
from .denoiser import AToMDenoiser
from .train_config import TrainConfig


def needed(config: TrainConfig, windows: int, device: torch.device, processes: int = 1) -> float:
    """Bytes at most, with `windows` in a piece; `processes` train together."""
    traced = [_traced(config.denoiser, config.attention_dropout, config.precision, count) for count in (1, 2)]
    (one, numbers), (two, _) = traced
    moving = one + (two - one) * (windows - 1)
    kept = 4 * numbers + kept_for(numbers, config.optimizer, config.ema is not None) + (4 * numbers if processes > 1 else 0)
    validating = 2 * 4 * numbers + one  # gradients, the averaged network, and a window without gradients
    return whole_peak(kept + max(moving, in_step(numbers, config.optimizer) + 4 * numbers, validating), device)


@lru_cache(32)
def _traced(sizes: DenoiserConfig, attention_dropout: float | None, precision: str, windows: int) -> tuple[int, int]:
    """Bytes of activations and gradients, and numbers of the network."""
    with META:
        network = AToMDenoiser(sizes).train()
    on_meta(network)
    for part in network.modules():
        if attention_dropout is not None and isinstance(part, Attention):
            part.dropout = attention_dropout
    shape, tokens = (windows, sizes.seq_len, sizes.nfeats), (windows, TOKENS_PER_FRAME * sizes.seq_len, sizes.cond_feature_dim)

    def run() -> None:
        seen, face, target = (torch.empty(shape, device=META) for _ in range(3))
        times, keep = torch.zeros(windows, dtype=torch.long, device=META), torch.ones(windows, dtype=torch.bool, device=META)
        told = network(seen, face, torch.empty(tokens, device=META), times, keep)
        (told.float() - target).square().mean().backward()

    numbers = sum(parameter.numel() for parameter in network.parameters())
    return peak_of(run, (*network.parameters(), *network.buffers()), None if precision == "fp32" else NUMBERS[precision]), numbers
