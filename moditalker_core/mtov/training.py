"""Training of MToV, stage by stage: a motion data set with pictures in, an autoencoder's file or a whole MToV out.

    rgb        -> an autoencoder of pictures
    gan        -> a sharper one (from `rgb`), against two discriminators
    landmarks  -> an autoencoder of rasters (from `rgb`; the decoder's transformers stay as they are)
    diffusion  -> the denoiser between both (from `rgb` and `landmarks`, which stay as they are), saved as one MToV with them

Recipes: docs/moditalker.md#training. The state of the run stands beside the file (`driver`); a run that was stopped and resumed
ends with the same weights as one that was not, to the bit on the CPU.
"""
from __future__ import annotations

import copy
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...media_core.chance import drawn
from ...media_core.claims import claimed
from ...media_core.errors import TalkingHeadsError
from ...media_core.progress import Report, silent
from ...training_core import trainer
from ...training_core.memory import keep_freed_memory
from ...training_core.team import Alone
from ...training_core.trainer import Driver, checked_seed, same_run, unfinished_path
from ..data.dataset import MotionDataset
from .autoencoder import VideoAutoencoder
from .dataset import PARTS, VideoWindows, WindowSettings, unchanged
from .denoiser import MToVDenoiser
from .discriminators import Judges
from .given import Given
from .latents import Encoder, Latents, Store
from .model import MToV, MToVConfig
from .objectives import Adversarial, Denoising, Objective, Reconstruction, autocast
from .reading import Reader
from .run import Run, number
from .train_config import STAGES, TrainConfig, preset
from .validation import AUTOENCODER_FIGURES, DIFFUSION_FIGURES, AutoencoderJudge, DiffusionJudge, held_windows

__all__ = ["STAGES", "TrainConfig", "preset", "train_mtov", "unfinished_path"]
_FIRST, _JUDGES = 1 << 32, 1 << 33  # beside the steps: seeds of first weights


@claimed("out", team="team")
def train_mtov(stage: str, dataset: str | os.PathLike, out: str | os.PathLike, config: str | TrainConfig = "demo", *,
               rgb: str | os.PathLike | None = None, landmarks: str | os.PathLike | None = None, seed: int = 0,
               device: str | torch.device = "cpu", resume: bool = True, report: Report = silent, half: bool = False,
               log_folder: str | os.PathLike | None = None, lpips: str | os.PathLike | None = None,
               latents: str | os.PathLike | None = None, mtov: str | os.PathLike | None = None, licence: str = "",
               team: Alone | None = None) -> VideoAutoencoder | MToV:
    """Trains one stage, saves what it makes, and returns it.

    Args:
        stage: one of STAGES.
        dataset: folder of a motion data set with pictures (`talking-heads dataset motion --frames`).
        out: the file to write (.safetensors).
        config: "demo", "standard", "published", or settings of one's own for that stage.
        rgb: file of the pictures' autoencoder; for all stages but "rgb", which may go on from one.
        landmarks: file of the rasters' autoencoder; for "diffusion".
        seed: of everything random, 0 or above.
        device: where to compute.
        resume: go on with an unfinished run of the same data, files, settings and seed; False begins anew.
        report: once a step, with the loss and its parts, rate, gradient, and `psnr` and `mouth` (dB, on held clips) once they are
            known; the preview are held clips above what is made of them. May raise to stop.
        half: keep the weights as float16.
        log_folder: where log.csv and TensorBoard's files go; None: `<name>_log` beside `out`.
        lpips: the user's LPIPS weights (`media_core.lpips`); None: trains with the substitute (`losses`). Not for "diffusion".
        latents: where a pool of latents (config.cache) is kept for later trainings; None: beside `out`, until it is done.
        mtov: file of a whole MToV that "diffusion" goes on from: its denoiser, and its autoencoders where none are named.
        licence: written into the file; "": that of `mtov`.
        team: the processes that train together; None: this one alone.
    Raises:
        TalkingHeadsError: unusable data, files or settings, an unfinished run of others, a loss that is not finite, a full disk.
        Whatever `report` raises; the run's state is saved first.
    """
    keep_freed_memory()
    config = preset(config, stage) if isinstance(config, str) else config
    if config.stage != stage:
        raise TalkingHeadsError("The settings must be those of the stage", f"settings of '{config.stage}' for '{stage}'",
                                "Choose the stage they are for")
    data, team, place = MotionDataset.open(dataset), team or Alone(), torch.device(device)
    if mtov is not None and Path(mtov).resolve() == Path(out).resolve():
        raise TalkingHeadsError("A training must not replace what it goes on from", f"{out} as both", "Choose another name")
    given = Given.read(stage, {"rgb": rgb, "landmarks": landmarks}, lpips, mtov, place)
    config = given.settled(config)
    trainer = _Trainer(config, checked_seed(seed), place, team, data, given)
    return trainer.train(Path(out), resume, report, half, log_folder, latents, licence)


class _Trainer:
    """One stage with everything it needs."""

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, team: Alone, data: MotionDataset, given: Given):
        self.config, self.seed, self.device, self.team, self.data, self.given = config, seed, device, team, data, given
        self.windows = VideoWindows(data, "train", window_settings(config), seed)
        self.reader = Reader(self.windows, config.loaders)
        single = replace(window_settings(config), frames=1, lively=1)
        self.stills = Reader(VideoWindows(data, "train", single, seed), config.loaders) if wants_stills(config) else None
        self.identity = {"config": config.identity(), "seed": seed, **given.checksums(),
                         "data set": zlib.crc32(json.dumps(data.index, sort_keys=True).encode())}  # names every shard's checksum

    def train(self, out: Path, resume: bool, report: Report, half: bool, folder: Any, latents: Any,
              licence: str) -> VideoAutoencoder | MToV:
        """See `train_mtov`."""
        if self.config.stage == "diffusion":
            self._description(licence)  # parts that make no MToV show before the work, not after it
        store = self._store(Path(latents) if latents is not None else out.with_suffix(".latents.safetensors"))
        try:
            run = Run(self.config, self._objective(store))
            state = unfinished_path(out)
            if resume and state.exists():
                run.load(state, lambda came: same_run(self.identity, came, state))
            made = lambda: self._made(run, licence)
            columns = DIFFUSION_FIGURES if self.config.stage == "diffusion" else AUTOENCODER_FIGURES
            Driver(run, self._judge(made), state, self.identity, report, trainer.log_folder(out, folder), columns).drive()
        finally:
            for reader in filter(None, (self.reader, self.stills)):
                reader.close()
        network = made()
        if self.team.main:
            self._save(network, out, half, licence)
            state.unlink(missing_ok=True)
            if store is not None and latents is None:
                store.remove()
        self.team.wait()
        return network

    def _objective(self, store: Store | None) -> Objective:
        common = self.config, self.seed, self.device, self.team
        if self.config.stage == "diffusion":
            denoiser = first_weights(self.seed, lambda: MToVDenoiser(self.config.denoiser, self.given.rgb.config.grid))
            if self.given.begun is not None:
                denoiser.load_state_dict(self.given.begun.denoiser.state_dict())
            latents = Latents(self.reader, self._encoder(), self.seed, self.config.cache, store)
            return Denoising(*common, denoiser.to(self.device).train(), latents)
        network = (self.given.rgb or fresh_autoencoder(self.config, self.seed)).to(self.device).train()
        if self.config.stage == "landmarks":
            network.decoder.requires_grad_(not self.config.freeze)
        if self.config.stage == "rgb" and self.config.decoder_only:
            network.requires_grad_(False)
            for part in (network.decoder, network.from_plane, network.to_pixels):
                part.requires_grad_(True)
        if self.config.stage == "gan":
            judges = drawn(number(self.seed, _JUDGES), lambda: Judges(self.config.judges))
            return Adversarial(*common, network, judges.to(self.device).train(), self.reader, self.given.lpips)
        return Reconstruction(*common, network, self.reader, self.given.lpips, self.stills)

    def _encoder(self) -> Encoder:
        """The frozen autoencoders of the diffusion stage."""
        rgb, landmarks = (network.eval().requires_grad_(False) for network in (self.given.rgb, self.given.landmarks))
        return Encoder(rgb, landmarks, self.config.lips, lambda: autocast(self.device, self.config.encoding))

    def _store(self, path: Path) -> Store | None:
        """The file of the pool, made by the main process."""
        config = self.config
        if config.stage != "diffusion" or not config.cache:
            return None
        mine = ("reference", "mirror", "colour", "still", "lips", "lively", "encoding", "raster")
        identity = {name: self.identity["config"][name] for name in mine}
        identity |= {name: self.identity[name] for name in ("seed", "data set")} | self.given.encoding()
        sizes = config.autoencoder
        make = lambda: Store(path, identity, config.cache, (sizes.embed_dim, sizes.grid.length), self.team.main)
        store = make() if self.team.main else None
        self.team.wait()
        return store or make()

    def _judge(self, made: Callable[[], Any]) -> Callable | None:
        """What looks at held clips, where there are any."""
        clips = [self.data.clips[i] for i in self.data.indices("val")]
        if not self.team.main or not any(clip.picture_size and clip.frames >= self.config.autoencoder.frames for clip in clips):
            return None
        settings = replace(unchanged(window_settings(self.config)), mouth=2.0)
        held = held_windows(VideoWindows(self.data, "val", settings, self.seed))
        if self.config.stage == "diffusion":
            return DiffusionJudge(held, self.config, self._encoder(), made)
        return AutoencoderJudge(held[1], self.config, made)

    def _made(self, run: Run, licence: str) -> VideoAutoencoder | MToV:
        """A network of its own with the weights that are kept, in evaluation mode."""
        network = copy.deepcopy(run.kept.network)
        network.load_state_dict(run.weights())
        network = network.eval().requires_grad_(False)
        if self.config.stage != "diffusion":
            return network
        return MToV(self.given.rgb, self.given.landmarks, network, self._description(licence))

    def _description(self, licence: str) -> MToVConfig:
        config, given = self.config, self.given
        return MToVConfig(given.rgb.config, given.landmarks.config, config.denoiser, config.prediction, config.clip,
                          config.sampler, config.calls, config.ratio, config.eta, config.overlap, config.raster, config.reference,
                          self.windows.margin, self.data.fps, licence or (given.begun.config.licence if given.begun else ""),
                          self.record(), config.anchored, config.times)

    def record(self) -> dict[str, Any]:
        """How the weights were made, for their file."""
        config, clips = self.config, [self.data.clips[i] for i in self.windows.numbers]
        return {"preset": config.preset, "stage": config.stage, "seed": self.seed, "steps": config.steps, "batch": config.batch,
                "optimizer": config.optimizer, "lr": config.lr, "clips": len(clips),
                "seconds": round(sum(clip.frames for clip in clips) / self.data.fps, 1),
                "people": len({clip.identity for clip in clips}), "processes": self.team.size,
                "lpips": self.given.lpips is not None, "raster": asdict(config.raster),
                **({} if self.given.begun is None else {"begun with": dict(self.given.begun.config.training)})}

    def _save(self, network: VideoAutoencoder | MToV, out: Path, half: bool, licence: str) -> None:
        from .checkpoints import save_autoencoder, save_mtov

        if isinstance(network, MToV):
            save_mtov(network, out, half=half)
        else:
            role = "landmarks" if self.config.stage == "landmarks" else "rgb"
            save_autoencoder(network, out, role=role, licence=licence, training=self.record(), half=half)


def window_settings(config: TrainConfig) -> WindowSettings:
    """What the windows of a stage look like; `config` has rasters as large as the pictures."""
    diffusion, sizes = config.stage == "diffusion", config.autoencoder
    return WindowSettings(sizes.frames, sizes.height, config.raster, config.reference, config.still if diffusion else 0.0,
                          config.mirror, config.colour, 2.0 if diffusion else config.mouth, PARTS[:3] if diffusion else (),
                          config.stage != "landmarks", config.lively)


def wants_stills(config: TrainConfig) -> bool:
    """Whether some steps are of single pictures."""
    return config.stage in ("rgb", "landmarks") and config.stills > 0 and (config.still_steps > 0 or config.still_every > 0)


def first_weights(seed: int, make: Callable[[], nn.Module]) -> Any:
    """A network before its first step; the same seed gives the same weights."""
    return drawn(number(seed, _FIRST), make)


def fresh_autoencoder(config: TrainConfig, seed: int) -> VideoAutoencoder:
    """An autoencoder before its first step; its pooling tokens and positions as small as `config.start` says."""
    network = first_weights(seed, lambda: VideoAutoencoder(config.autoencoder))
    with torch.no_grad():
        for pool in network.pool.values():
            pool.token.mul_(config.start)
            pool.positions.mul_(config.start)
    return network
