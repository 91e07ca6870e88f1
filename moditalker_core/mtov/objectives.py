"""What each stage of a training of MToV is to learn: its losses, for a few windows at a time (docs/moditalker.md#losses).

Randomness: everything sampled for window `index` of `step` is a function of (seed, step, index). So a batch may be cut into
pieces, or shared by processes, and stays the same.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...media_core.metrics.lpips import LPIPS
from ...training_core.optim import autocast
from ...training_core.process_group import SingleProcess
from . import losses
from .autoencoder import VideoAutoencoder
from .conditions import raster_clip
from .denoiser import MToVDenoiser
from .diffusion import noised, pulled_noise, training_target
from .discriminators import Discriminators
from .latents import Latents
from .reading import Reader
from .train_config import TrainConfig
from .video_batch import StoredBatch, VideoBatch, mouth_weights

CHANCE = 1 << 34  # beside the steps: the stream of what is sampled here
AUTOENCODER, ADVERSARIAL = ("loss", "l1", "perceptual", "latent_size"), ("adversarial", "feature_matching")  # metrics


class Objective(ABC):
    """A stage.

    Args:
        config: the training. seed: of the run. device: where to compute. group: the processes that train together.
    Attributes:
        networks: those that are trained, by name; the first is the model to save.
        wrapped: what their losses go through.
    """

    networks: dict[str, nn.Module]
    wrapped: dict[str, nn.Module]

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, group: SingleProcess):
        self.config, self.seed, self.device, self.group = config, seed, device, group
        self.networks, self.wrapped = {}, {}

    def turn(self, step: int) -> str:
        """The network that moves in `step`."""
        return next(iter(self.networks))

    @abstractmethod
    def metric_names(self, turn: str) -> tuple[str, ...]:
        """Names of what `losses` gives, "loss" first."""

    @abstractmethod
    def losses(self, turn: str, step: int, indices: Sequence[int]) -> Tensor:
        """Means over the windows `indices` of `step`, float32 [metrics]; the first one has a gradient."""

    def random(self, step: int, index: int) -> np.random.Generator:
        """The random numbers of one window."""
        return np.random.default_rng([self.seed, CHANCE, step, index])


class Rebuild(nn.Module):
    """An autoencoder there and back, with something added to the latents on the way."""

    def __init__(self, autoencoder: VideoAutoencoder):
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, clips: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Clips of one frame stand for clips that do not move."""
        network, still = self.autoencoder, clips.shape[2] == 1 < self.autoencoder.config.frames
        latents = network.encode_still(clips[:, :, 0]) if still else network.encode(clips)
        spoilt = latents if noise is None else latents + noise
        return network.decode_frame(spoilt, 0)[:, :, None] if still else network.decode(spoilt), latents


class Reconstruction(Objective):
    """Stages "rgb" and "landmarks": clips come back as they were.

    Args:
        autoencoder: to be trained, on `device`.
        reader: of the windows.
        lpips: the user's weights, or None: the substitute.
        stills: reader of single frames, where the settings want steps of them.
    """

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, group: SingleProcess, autoencoder: VideoAutoencoder,
                 reader: Reader, lpips: LPIPS | None = None, stills: Reader | None = None):
        super().__init__(config, seed, device, group)
        self.autoencoder, self.reader, self.lpips, self.stills = autoencoder, reader, lpips, stills
        for part in autoencoder.checkpointed:
            part.checkpointing = config.checkpointing
        self.networks = {"autoencoder": autoencoder}
        self.wrapped = {"autoencoder": group.wrapped(Rebuild(autoencoder))}

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return AUTOENCODER

    def losses(self, turn: str, step: int, indices: Sequence[int]) -> Tensor:
        if self.of_stills(step):  # still frame j of clip i is a window of its own
            indices = [int(i) * self.config.stills + j for i in indices for j in range(self.config.stills)]
        clips, weights = self.clips(step, indices)
        with autocast(self.device, self.config.precision):
            found, latents = self.wrapped["autoencoder"](clips, self._latent_noise(step, indices))
        return torch.stack(self.terms(found.float(), latents.float(), clips, weights, self.frames(step, indices)))

    def of_stills(self, step: int) -> bool:
        """Whether `step` learns from single frames: clips that do not move, which cost a T-th."""
        config = self.config
        after = step - config.still_steps
        return self.stills is not None and (after < 0 or config.still_every > 0 and after % config.still_every == 0)

    def terms(self, found: Tensor, latents: Tensor, clips: Tensor, weights: Tensor, frames: Tensor) -> list[Tensor]:
        """The whole loss and its parts, as `metric_names` has them."""
        config = self.config
        near = losses.l1(found, clips, weights)
        if self.lpips is not None:
            chosen = [(losses.frames_at(c, frames) + 1) / 2 for c in (found, clips)]
            look = config.perceptual * self.lpips(*chosen)
        else:
            look = config.edges * losses.edges(found, clips, weights) if config.edges else near.new_zeros(())
            look = look + config.coarse * losses.coarse(found, clips) if config.coarse else look
        size = latents.square().mean()
        return [config.l1 * near + look + config.penalty * size, near.detach(), look.detach(), size.detach()]

    def clips(self, step: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What is to come back [B, 3, T, S, S] and what its pixels count [B, 1, T, S, S]."""
        reader = self.stills if self.stills is not None and self.of_stills(step) else self.reader
        alike = self.of_stills(step) == self.of_stills(step + 1)  # the next step reads from the same place
        batch = reader.windows([(step, int(i)) for i in indices], [(step + 1, int(i)) for i in indices] if alike else [])
        if self.config.stage == "landmarks":
            return self.rasters(batch, [self.random(step, int(i)) for i in indices])
        if self.of_stills(step) and self.config.still_shift:
            return self._moved(batch.on(self.device), [self.random(step, int(i)) for i in indices])
        made = batch.on(self.device)
        return frames_of(made), made.weights

    def _moved(self, batch: VideoBatch, chance: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
        """Still frames moved by a few pixels; what leaves at one edge comes in at the other."""
        images = frames_of(batch)
        most = round(self.config.still_shift * images.shape[-1])
        shifts = [tuple(random.integers(-most, most + 1, 2).tolist()) for random in chance]
        frames, weights = (torch.stack([one.roll(shift, (-2, -1)) for one, shift in zip(part, shifts)])
                           for part in (images, batch.weights))
        return frames, weights

    def rasters(self, batch: StoredBatch, chance: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
        """Clips of discs, moved and scaled a little at random; what a disc's pixels count."""
        config, made, boxes = self.config, [], []
        size, jitter = config.raster.size, config.jitter
        for pixels, random in zip(batch.pixels, chance):
            factor, shift = 1 + jitter * random.uniform(-1, 1), jitter * size * random.uniform(-1, 1, 2)
            moved = (pixels - size / 2) * factor + size / 2 + torch.from_numpy(shift)
            made.append(raster_clip(moved, (size, size), config.raster))
            boxes.append(mouth_weights(moved, size, config.lips))
        clips = torch.stack(made).to(self.device)
        weights = torch.where(clips[:, :1] > -1, config.mouth, 1.0)
        return clips, weights if config.lips == 1 else weights * torch.stack(boxes).to(weights)

    def frames(self, step: int, indices: Sequence[int]) -> Tensor:  # -> int64 [B]
        """The frame of each window that is looked at alone."""
        frames = 1 if self.of_stills(step) else self.autoencoder.config.frames
        return torch.tensor([int(self.random(step, int(i)).integers(frames)) for i in indices])

    def _latent_noise(self, step: int, indices: Sequence[int]) -> Tensor | None:
        if not self.config.latent_noise:
            return None
        config = self.autoencoder.config
        shape = config.embed_dim, config.grid.length
        drawn = np.stack([self.random(step, int(i)).standard_normal(shape, np.float32) for i in indices])
        return self.config.latent_noise * torch.from_numpy(drawn).to(self.device)


def frames_of(batch: VideoBatch) -> Tensor:  # [B, 3, T, S, S]
    """The frames of windows that were asked for them."""
    assert batch.frames is not None
    return batch.frames


class Adversarial(Reconstruction):
    """Stage "gan": the autoencoder and the two discriminators in turn, a step each.

    On the CPU the discriminators always compute in float32: torch 2.13 has wrong gradients there for 3-D convolutions in 16 bits.
    """

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, group: SingleProcess, autoencoder: VideoAutoencoder,
                 discriminators: Discriminators, reader: Reader, lpips: LPIPS | None = None):
        super().__init__(config, seed, device, group, autoencoder, reader, lpips)
        self.networks["judges"] = discriminators
        self.wrapped["judges"] = group.wrapped(discriminators)

    def turn(self, step: int) -> str:
        return "judges" if step % 2 else "autoencoder"

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return AUTOENCODER + ADVERSARIAL if turn == "autoencoder" else ("loss", "discriminators")

    def losses(self, turn: str, step: int, indices: Sequence[int]) -> Tensor:
        clips, weights = self.clips(step, indices)
        frames, learning = self.frames(step, indices), turn == "autoencoder"
        self.networks["judges"].requires_grad_(not learning)
        with autocast(self.device, self.config.precision), torch.set_grad_enabled(learning):
            through = self.wrapped["autoencoder"] if learning else Rebuild(self.autoencoder)
            found, latents = through(clips, self._latent_noise(step, indices))
        pairs = (losses.frames_at(found, frames), losses.frames_at(clips, frames)), (found, clips)
        with autocast(self.device, "fp32" if self.device.type == "cpu" else self.config.precision):
            made, real = (self.networks if learning else self.wrapped)["judges"](*pairs)
        if not learning:
            hinge = losses.hinge(made, real)
            return torch.stack([self.config.adversarial * hinge, hinge.detach()])
        realism, matched = losses.generator_terms(made, real)
        total, *parts = self.terms(found.float(), latents.float(), clips, weights, frames)
        total = total + self.config.adversarial * (realism + self.config.matching * matched)
        return torch.stack([total, *parts, realism.detach(), matched.detach()])


class Denoising(Objective):
    """Stage "diffusion": what noise a latent holds, given landmarks, pose and identity.

    Args:
        denoiser: to be trained, on `device`.
        latents: of the windows.
    """

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, group: SingleProcess, denoiser: MToVDenoiser,
                 latents: Latents):
        super().__init__(config, seed, device, group)
        self.latents, denoiser.checkpointing = latents, config.checkpointing
        self.networks = {"denoiser": denoiser}
        self.wrapped = {"denoiser": group.wrapped(denoiser)}

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return ("loss",)

    def losses(self, turn: str, step: int, indices: Sequence[int]) -> Tensor:
        config, known = self.config, self.latents.batch(step, indices)
        times, noise = self.drawn(step, indices, known.frames.shape[1:])
        noise = noise.to(self.device)
        if config.pull:
            noise = pulled_noise(known.frames, known.identity, times, noise, config.pull, config.ratio, config.eta)
        seen, target = noised(known.frames, times, noise), training_target(config.prediction, known.frames, noise, times)
        with autocast(self.device, config.precision):
            told = self.wrapped["denoiser"](seen, times, known.landmarks, known.pose, known.identity)
        return ((told.float() - target).square() * known.weights).mean()[None]

    def drawn(self, step: int, indices: Sequence[int], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Times int64 [B] on the device and Gaussian noise [B, 4, L] of the windows."""
        low, high = self.config.times
        times, noise = [], []
        for index in indices:
            random = self.random(step, int(index))
            first, time = random.random() < self.config.first_share, int(random.integers(low, high))
            times.append(high - 1 if first else time)
            noise.append(random.standard_normal(tuple(shape), np.float32))
        return torch.tensor(times, device=self.device), torch.from_numpy(np.stack(noise))
