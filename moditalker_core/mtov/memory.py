"""The memory that a stage of MToV's training takes at most, known before it starts (`training_core.peak_memory`).

The stage's own networks and losses run on shapes alone, for one and for two windows; between them memory grows evenly.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from ...training_core.memory_plan import in_step, kept_for, whole_peak
from ...training_core.optim import NUMBERS
from ...training_core.peak_memory import META, on_meta, peak_of
from ...training_core.process_group import SingleProcess
from .autoencoder import VideoAutoencoder
from .denoiser import MToVDenoiser
from .discriminators import Discriminators
from .objectives import Adversarial, Reconstruction
from .reading import Reader
from .train_config import TrainConfig
from .video_batch import VideoBatch

Network = TypeVar("Network", bound=nn.Module)
LPIPS_NUMBERS = 6.0e7   # bytes of a VGG16
LPIPS_WINDOW = 2.5e8    # bytes that it keeps of one frame of 256 px
_UNUSED = {"steps": 1, "accumulation": 1, "lr": 1e-4, "warm_up": 0, "gradient_clip": None, "save_every": 1, "val_every": 1,
           "log_every": 1, "checkpointing": False, "loaders": 0, "preset": "", "cache": 0, "jitter": 0.0, "precision": "fp32"}


def needed(config: TrainConfig, windows: int, checkpointing: bool, device: torch.device, lpips: bool = False,
           processes: int = 1) -> float:
    """Bytes at most.

    Args:
        config: the stage, with the sizes of the networks that it starts from.
        windows: in a piece.
        lpips: whether LPIPS weights are used. processes: that train together.
    """
    plain = replace(config, batch=1, betas=None, **_UNUSED)
    one, two = (_traced(plain, config.precision, count, checkpointing) for count in (1, 2))
    moving = one.activations + (two.activations - one.activations) * (windows - 1)
    look = LPIPS_NUMBERS + windows * LPIPS_WINDOW * (config.autoencoder.height / 256) ** 2 if lpips else 0
    exchanged = 4 * one.trained if processes > 1 else 0
    step = in_step(one.trained, config.optimizer) + 4 * one.trained
    validating = 4 * (one.trained + one.saved) + one.validation
    return whole_peak(one.resident + exchanged + max(moving + look, step, validating), device)


@dataclass(frozen=True)
class _Trace:
    """Bytes, and numbers of parameters."""

    resident: int     # weights, moments, averages, gradients of the network whose turn it is not
    activations: int  # gradients of the one whose turn it is included
    trained: int      # parameters that move in one turn, at most
    saved: int        # parameters of the model to save
    validation: int   # activations of one clip without gradients


@lru_cache(32)
def _traced(config: TrainConfig, precision: str, windows: int, checkpointing: bool) -> _Trace:
    config = replace(config, checkpointing=checkpointing, batch=windows)
    low = None if precision == "fp32" else NUMBERS[precision]
    return (_diffusion if config.stage == "diffusion" else _autoencoder)(config, low, windows)


def _autoencoder(config: TrainConfig, low: torch.dtype | None, windows: int) -> _Trace:
    network = _shapes(lambda: VideoAutoencoder(config.autoencoder))
    network.requires_grad_(not config.decoder_only)
    for part in (network.decoder, network.from_plane, network.to_pixels):
        part.requires_grad_(True)
    network.decoder.requires_grad_(config.stage != "landmarks" or not config.freeze)
    plain = replace(config, stage="gan" if config.stage == "gan" else "rgb")  # rasters are clips like others
    common = plain, 0, META, SingleProcess(), network
    reader = cast(Reader, _Reader(plain))
    networks: list[nn.Module] = [network]
    runs: list[tuple[Reconstruction, str]] = []
    if config.stage == "gan":
        judges = _shapes(lambda: Discriminators(config.judges))
        networks.append(judges)
        adversarial = Adversarial(*common, judges, reader)
        runs = [(adversarial, turn) for turn in ("autoencoder", "judges")]
    else:
        runs.append((Reconstruction(*common, reader), "autoencoder"))
        if config.stills and (config.still_steps or config.still_every):
            always = replace(plain, still_steps=1)
            runs.append((Reconstruction(always, *common[1:], reader, stills=cast(Reader, _Reader(plain, 1))), "autoencoder"))
    step = lambda run: run[0].losses(run[1], 0, range(windows))[0].backward()
    activations = max(_peak(networks, low, lambda: step(run)) for run in runs)
    counts = [_trained(one) for one in networks]
    resident = sum(4 * _size(one) + kept_for(count, config.optimizer) for one, count in zip(networks, counts))
    resident += 4 * (sum(counts) - max(counts)) + (4 * counts[0] if config.ema is not None else 0)
    return _Trace(resident, activations, max(counts), _size(network), _rebuilding(network))


def _diffusion(config: TrainConfig, low: torch.dtype | None, windows: int) -> _Trace:
    sizes = config.autoencoder
    network = _shapes(lambda: MToVDenoiser(config.denoiser, sizes.grid))
    network.checkpointing = config.checkpointing
    encoder = _shapes(lambda: VideoAutoencoder(sizes)).requires_grad_(False)
    latent = windows, sizes.embed_dim, sizes.grid.length

    def step() -> None:
        seen, landmarks, pose, identity, target = (torch.empty(latent, device=META) for _ in range(5))
        told = network(seen, torch.zeros(windows, dtype=torch.long, device=META), landmarks, pose, identity)
        (told.float() - target).square().mean().backward()

    @torch.no_grad()
    def encoding() -> None:
        clips = _clips(config, windows, sizes.frames)
        encoder.encode(clips.frames)

    encoded = None if config.encoding == "fp32" else NUMBERS[config.encoding]
    activations = max(_peak([network], low, step), _peak([encoder], encoded, encoding))
    count = _trained(network)
    resident = 4 * _size(network) + kept_for(count, config.optimizer, config.ema is not None) + 2 * 4 * _size(encoder)
    return _Trace(resident, activations, count, _size(network), _rebuilding(encoder))


class _Reader:
    """Windows of the right shape, without numbers."""

    def __init__(self, config: TrainConfig, frames: int | None = None):
        self.config, self.frames = config, config.autoencoder.frames if frames is None else frames

    def windows(self, keys: Sequence[tuple[int, int]], soon: Sequence[tuple[int, int]] = ()) -> _Shapes:
        return _Shapes(self.config, len(keys), self.frames)


@dataclass(frozen=True)
class _Shapes:
    config: TrainConfig
    windows: int
    frames: int

    def on(self, device: torch.device) -> VideoBatch:
        return _clips(self.config, self.windows, self.frames)


def _clips(config: TrainConfig, windows: int, frames: int) -> _Clips:
    size = config.autoencoder.height, config.autoencoder.width
    clip = lambda channels: torch.empty(windows, channels, frames, *size, device=META)
    other = clip(3) if config.stage == "diffusion" else None
    return _Clips(frames=clip(3), weights=clip(1), pixels=torch.empty(0), landmarks=other, pose=other, identity=None, masks=None)


@dataclass(frozen=True)
class _Clips(VideoBatch):
    """With frames."""

    frames: Tensor


def _rebuilding(network: VideoAutoencoder) -> int:
    """Bytes of a clip there and back without gradients, float32."""
    sizes = network.config

    @torch.no_grad()
    def run() -> None:
        network(torch.empty(1, 3, sizes.frames, sizes.height, sizes.width, device=META))

    return _peak([network], None, run)


def _shapes(make: Callable[[], Network]) -> Network:
    with META:
        network = make()
    on_meta(network)
    return network


def _peak(networks: Sequence[nn.Module], low: torch.dtype | None, run: Callable[[], object]) -> int:
    there = [tensor for one in networks for tensor in (*one.parameters(), *one.buffers())]
    for one in networks:
        one.zero_grad(set_to_none=True)
    return peak_of(run, there, low)


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _trained(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
