"""Validation of MToV: held-out clips beside what its networks make of them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...training_core.network_training import STEP_METRICS
from ...training_core.trainer import EvalResult
from .autoencoder import VideoAutoencoder
from .conditions import raster_clip
from .dataset import Sample
from .diffusion import make_scheduler, noised, noised_start, sample, training_target
from .latents import Encoded, Encoder
from .model import MToV
from .objectives import ADVERSARIAL, AUTOENCODER, frames_of
from .reading import WindowSource
from .train_config import TrainConfig
from .video_batch import VideoBatch

MOST, SHOWN, COLUMNS, LARGEST = 6, 3, 6, 128  # clips validated on; rows and columns of the image, px of its frames
LEVELS = 5  # diffusion steps at which the loss is measured
SEED = 20240917  # of the noise, the same every time
LEAST = 4 * 10 ** -9.9  # mean squared error of 99 dB
AUTOENCODER_COLUMNS = (*AUTOENCODER, *ADVERSARIAL, "discriminators", *STEP_METRICS, "psnr", "mouth", "val_loss")  # of the log
DIFFUSION_COLUMNS = ("loss", *STEP_METRICS, "psnr", "mouth", "still", "val_loss")


def held_out_windows(source: WindowSource) -> tuple[tuple[Sample, ...], VideoBatch]:
    """Windows spread over a split, every second one with a still pose."""
    samples = tuple(replace(one, still=bool(number % 2)) for number, one in enumerate(source.spread(MOST)))
    return samples, source.windows(samples)


class AutoencoderValidation:
    """What comes back of held-out clips: PSNR, that of the mouth (of the discs, in landmarks), and L1.

    Args:
        held_out: of `held_out_windows`. network: gives the one to validate.
    """

    def __init__(self, held_out: VideoBatch, config: TrainConfig, network: Callable[[], VideoAutoencoder]):
        self.network = network
        if config.stage == "landmarks":
            size = config.raster.size, config.raster.size
            self.clips = torch.stack([raster_clip(pixels, size, config.raster) for pixels in held_out.pixels])
            self.mouth = self.clips[:, :1] > -1
        else:
            self.clips, self.mouth = frames_of(held_out), held_out.weights > 1

    @torch.no_grad()
    def __call__(self, watch: Callable[[], None]) -> EvalResult:
        network, found = self.network(), []
        for clip in self.clips:
            found.append(network(clip[None].to(network.device))[0][0].float().cpu())
            watch()
        made = torch.stack(found)
        metrics = {"psnr": psnr(made, self.clips), "mouth": psnr(made, self.clips, self.mouth),
                   "val_loss": float((made - self.clips).abs().mean())}
        return EvalResult(metrics, ("psnr", "mouth"), grid([self.clips, made]), "clips", "rows in turn: truth, rebuilt")


class DiffusionValidation:
    """Samples held-out clips: PSNR, that of the mouth, beside it that of the identity's mouth kept still; and the loss.

    Args:
        held_out: of `held_out_windows`.
        encoder: of windows.
        mtov: gives the one to validate.
    """

    def __init__(self, held_out: tuple[tuple[Sample, ...], VideoBatch], config: TrainConfig, encoder: Encoder,
                 mtov: Callable[[], MToV]):
        samples, self.batch = held_out
        self.config, self.mtov, self.mouth = config, mtov, self.batch.weights > 1
        each = [encoder.encoded(_row(self.batch, i), [one.still]) for i, one in enumerate(samples)]
        self.known = Encoded(*(torch.cat([getattr(part, name) for part in each]) for name in vars(each[0])))
        assert self.batch.identity is not None  # asked for
        self.frames = frames_of(self.batch)
        self.identity = self.batch.identity[:, :, None].expand_as(self.frames)
        self.still = psnr(self.identity, self.frames, self.mouth)

    @torch.no_grad()
    def __call__(self, watch: Callable[[], None]) -> EvalResult:
        mtov, known, config = self.mtov(), self.known, self.config
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn(known.frames.shape[1:], generator=generator).expand_as(known.frames).to(known.frames.device)
        scheduler = make_scheduler(config.sampler, config.calls, config.ratio, config.prediction, config.clip, config.eta)
        draw = lambda k: torch.randn(noise.shape, generator=torch.Generator().manual_seed(SEED + k)).to(noise.device)
        predict = lambda x, t: mtov.denoiser(x, t.to(x.device).expand(len(x)), known.landmarks, known.pose, known.identity)
        latents = sample(predict, noised_start(known.identity, config.ratio, noise), draw, scheduler,
                         watch=lambda k, x0: watch())
        decoded = []
        for latent in latents:
            decoded.append(mtov.rgb.decode(latent[None])[0].float().cpu())
            watch()
        made, frames = torch.stack(decoded), self.frames
        metrics = {"psnr": psnr(made, frames), "mouth": psnr(made, frames, self.mouth), "still": self.still,
                   "val_loss": self._loss(mtov, noise, watch)}
        image = grid([self.identity, frames, made])
        return EvalResult(metrics, ("psnr", "mouth", "still"), image, "clips", "rows in turn: portrait, truth, MToV")

    def _loss(self, mtov: MToV, noise: Tensor, watch: Callable[[], None]) -> float:
        """The mean squared error at LEVELS steps, without our changes of the noise."""
        known, (low, high), levels = self.known, self.config.times, []
        for time in np.linspace(low, high - 1, LEVELS).round().astype(int):
            times = torch.full((len(noise),), int(time), device=noise.device)
            predicted = mtov.denoiser(noised(known.frames, times, noise), times, known.landmarks, known.pose, known.identity)
            levels.append((predicted - training_target(self.config.prediction, known.frames, noise, times)).square().mean())
            watch()
        return float(torch.stack(levels).mean())


def _row(batch: VideoBatch, i: int) -> VideoBatch:
    return replace(batch, **{name: value[i:i + 1] for name, value in vars(batch).items() if value is not None})


def psnr(found: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """dB of clips [B, 3, T, H, W] in -1..1; within the mask [B, 1, T, H, W] alone where one is given; 99 for equal ones."""
    error = (found - truth).square()
    mean = error.mean() if mask is None else (error * mask).sum() / (mask.sum() * error.shape[1]).clamp_min(1)
    return float(10 * torch.log10(4 / mean.clamp_min(LEAST)))


def grid(clips: Sequence[Tensor]) -> np.ndarray:  # each [B, 3, T, S, S] in -1..1 -> uint8 [rows * S, COLUMNS * S, 3]
    """A few frames of the first clips; under each row the same of the next of `clips`."""
    count, frames = len(clips[0]), clips[0].shape[2]
    chosen = np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))
    times = np.linspace(0, frames - 1, COLUMNS).round().astype(int)
    rows = []
    for number in chosen:
        for clip in clips:
            row = clip[int(number)][:, times].transpose(0, 1)  # [columns, 3, S, S]
            if row.shape[-1] > LARGEST:
                row = torch.nn.functional.interpolate(row, (LARGEST, LARGEST), mode="area")
            rows.append(torch.cat(list(row), -1))
    image = (torch.cat(rows, -2).clamp(-1, 1) + 1) * 127.5
    return image.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
