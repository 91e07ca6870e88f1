"""Training of MToV, stage by stage: a motion dataset with images in, an autoencoder's file or a whole MToV out.

    rgb        -> an autoencoder of images
    gan        -> a sharper one (from `rgb`), against two discriminators
    landmarks  -> an autoencoder of rasters (from `rgb`; the decoder's transformers stay as they are)
    diffusion  -> the denoiser between both (from `rgb` and `landmarks`, which stay as they are), saved as one MToV with them

Recipes: docs/moditalker.md#training. The state of the training stands beside the file (`trainer`); a training that was stopped
and resumed ends with the same weights as one that was not, to the bit on the CPU.
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
from ...media_core.progress import Enough, Report, never, silent
from ...training_core import trainer
from ...training_core.choices import CHECKPOINTING
from ...training_core.memory import keep_freed_memory
from ...training_core.memory_plan import planned, told
from ...training_core.network_training import check_batch, seed_of
from ...training_core.optim import autocast
from ...training_core.process_group import SingleProcess
from ...training_core.trainer import Trainer, Validate, checked_seed, ended_early, finished, same_run, unfinished_path
from ..data.dataset import MotionDataset
from .autoencoder import VideoAutoencoder
from .dataset import PARTS, VideoWindows, WindowSettings, unchanged
from .denoiser import MToVDenoiser
from .discriminators import Discriminators
from .inputs import StageInputs
from .latents import Encoder, Latents, Store
from .memory import needed
from .model import MToV, MToVConfig
from .objectives import Adversarial, Denoising, Objective, Reconstruction
from .reading import Reader
from .run import MToVTraining
from .train_config import STAGES, TrainConfig, preset
from .validation import AUTOENCODER_COLUMNS, DIFFUSION_COLUMNS, AutoencoderValidation, DiffusionValidation, held_out_windows

__all__ = ["STAGES", "TrainConfig", "preset", "train_mtov", "unfinished_path"]
_FIRST, _DISCRIMINATORS = 1 << 32, 1 << 33  # beside the steps: seeds of first weights


@claimed("out", group="process_group")
def train_mtov(stage: str, dataset: str | os.PathLike, out: str | os.PathLike, config: str | TrainConfig = "demo", *,
               rgb: str | os.PathLike | None = None, landmarks: str | os.PathLike | None = None, seed: int = 0,
               device: str | torch.device = "cpu", resume: bool = True, report: Report = silent, half: bool = False,
               log_folder: str | os.PathLike | None = None, lpips: str | os.PathLike | None = None,
               latents: str | os.PathLike | None = None, mtov: str | os.PathLike | None = None, licence: str = "",
               process_group: SingleProcess | None = None, memory_gb: float | None = None,
               checkpointing: str = CHECKPOINTING[0], enough: Enough = never) -> VideoAutoencoder | MToV:
    """Trains one stage, saves what it makes, and returns it.

    Args:
        stage: one of STAGES.
        dataset: folder of a motion dataset with images (`talking-heads dataset motion --frames`).
        out: the file to write (.safetensors).
        config: "demo", "standard", "published", or settings of one's own for that stage.
        rgb: file of the images' autoencoder; for all stages but "rgb", which may go on from one.
        landmarks: file of the rasters' autoencoder; for "diffusion".
        seed: of everything random, 0 or above.
        device: where to compute.
        resume: continue an unfinished training of the same data, files, settings and seed; False starts over.
        report: once a step, with the loss and its parts, lr, grad_norm, and `psnr` and `mouth` (dB, on held-out clips) once they
            are known; the preview shows held-out clips above what is made of them. May raise to stop.
        half: keep the weights as float16.
        log_folder: where log.csv and TensorBoard's files go; None: `<name>_log` beside `out`.
        lpips: the user's LPIPS weights (`metrics.lpips`); None: trains with the substitute (`losses`). Not for "diffusion".
        latents: where a pool of latents (config.cache) is kept for later trainings; None: beside `out`, until it is done.
        mtov: file of a whole MToV that "diffusion" continues from: its denoiser, and its autoencoders where none are named.
        licence: written into the file; "": that of `mtov`.
        process_group: the processes that train together; None: this one alone.
        memory_gb: GB of the device that may be taken; None: 22, or what is free where that is less. Steps are cut into more
            pieces (config.accumulation), and activations computed again, until it fits.
        checkpointing: computing activations again: "on", "off", or "auto": as the settings say, and where memory is short.
        enough: asked between two steps; true: the training ends there, what it has learnt is saved and returned, and its state
            stays, so that it can go on.
    Raises:
        TalkingHeadsError: unusable data, files or settings, an unfinished training of others, a loss that is not finite, a full
            disk, or memory that ran out or is less than the training needs.
        Whatever `report` raises; the training's state is saved first.
    """
    keep_freed_memory()
    config = preset(config, stage) if isinstance(config, str) else config
    if config.stage != stage:
        raise TalkingHeadsError("The settings must be those of the stage", f"settings of '{config.stage}' for '{stage}'",
                                "Choose the stage they are for")
    data, group, place = MotionDataset.open(dataset), process_group or SingleProcess(), torch.device(device)
    if mtov is not None and Path(mtov).resolve() == Path(out).resolve():
        raise TalkingHeadsError("A training must not replace what it continues from", f"{out} as both", "Choose another name")
    inputs = StageInputs.read(stage, {"rgb": rgb, "landmarks": landmarks}, lpips, mtov, place)
    stage_training = StageTraining(inputs.resolved(config), checked_seed(seed), place, group, data, inputs)
    stage_training.fit(memory_gb, checkpointing, licence)
    return stage_training.train(Path(out), resume=resume, report=report, half=half, folder=log_folder, latents=latents,
                                licence=licence, enough=enough)


class StageTraining:
    """One stage with everything it needs."""

    def __init__(self, config: TrainConfig, seed: int, device: torch.device, group: SingleProcess, data: MotionDataset,
                 inputs: StageInputs):
        self.config, self.seed, self.device, self.group, self.data, self.inputs = config, seed, device, group, data, inputs
        self.done = config.steps  # of the training that is saved
        self.windows = VideoWindows(data, "train", window_settings(config), seed)
        self.reader = Reader(self.windows, config.loaders)
        single = replace(window_settings(config), frames=1, lively=1)
        self.stills = Reader(VideoWindows(data, "train", single, seed), config.loaders) if wants_stills(config) else None
        self.identity = {"config": config.identity(), "seed": seed, **inputs.checksums(),
                         "dataset": zlib.crc32(json.dumps(data.index, sort_keys=True).encode())}  # names every shard's checksum

    def fit(self, memory_gb: float | None, checkpointing: str, licence: str) -> None:
        """Cuts its steps so that they fit into memory; before that, parts that make no MToV are refused."""
        if self.config.stage == "diffusion":
            self._description(licence)
        self.config = fitting(self.config, self.inputs, self.device, self.group, memory_gb, checkpointing)

    def train(self, out: Path, *, resume: bool, report: Report, half: bool, folder: str | os.PathLike | None,
              latents: str | os.PathLike | None, licence: str, enough: Enough = never) -> VideoAutoencoder | MToV:
        """See `train_mtov`."""
        store = self._store(Path(latents) if latents is not None else out.with_suffix(".latents.safetensors"))
        try:
            run = MToVTraining(self.config, self.objective(store))
            state = unfinished_path(out)
            if resume and state.exists():
                run.load(state, lambda saved: same_run(self.identity, saved, state))
            made = lambda: self._made(run, licence)
            columns = DIFFUSION_COLUMNS if self.config.stage == "diffusion" else AUTOENCODER_COLUMNS
            Trainer(run, self._validation(made), path=state, identity=self.identity, report=report,
                    folder=trainer.log_folder(out, folder), columns=columns, enough=enough).run()
        finally:
            for reader in filter(None, (self.reader, self.stills)):
                reader.close()
        self.done = run.step
        network = made()
        if self.group.main:
            self._save(network, out, half, licence)
            finished(run.step, run.steps, state)
            if store is not None and latents is None and run.step == run.steps:
                store.remove()
        self.group.wait()
        return network

    def objective(self, store: Store | None) -> Objective:
        common = self.config, self.seed, self.device, self.group
        if self.config.stage == "diffusion":
            grid = self.inputs.autoencoders[0].config.grid
            denoiser = first_weights(self.seed, lambda: MToVDenoiser(self.config.denoiser, grid))
            if self.inputs.initial is not None:
                denoiser.load_state_dict(self.inputs.initial.denoiser.state_dict())
            latents = Latents(self.reader, self._encoder(), self.seed, self.config.cache, store)
            return Denoising(*common, denoiser.to(self.device).train(), latents)
        network = (self.inputs.rgb or fresh_autoencoder(self.config, self.seed)).to(self.device).train()
        if self.config.stage == "landmarks":
            network.decoder.requires_grad_(not self.config.freeze)
        if self.config.stage == "rgb" and self.config.decoder_only:
            network.requires_grad_(False)
            for part in (network.decoder, network.from_plane, network.to_pixels):
                part.requires_grad_(True)
        if self.config.stage == "gan":
            discriminators = drawn(seed_of(self.seed, _DISCRIMINATORS), lambda: Discriminators(self.config.judges))
            return Adversarial(*common, network, discriminators.to(self.device).train(), self.reader, self.inputs.lpips)
        return Reconstruction(*common, network, self.reader, self.inputs.lpips, self.stills)

    def _encoder(self) -> Encoder:
        """The frozen autoencoders of the diffusion stage."""
        rgb, landmarks = (network.eval().requires_grad_(False) for network in self.inputs.autoencoders)
        return Encoder(rgb, landmarks, self.config.lips, lambda: autocast(self.device, self.config.encoding))

    def _store(self, path: Path) -> Store | None:
        """The file of the pool, made by the main process."""
        config = self.config
        if config.stage != "diffusion" or not config.cache:
            return None
        mine = ("reference", "mirror", "colour", "still", "lips", "lively", "encoding", "raster")
        identity = {name: self.identity["config"][name] for name in mine}
        identity |= {"seed": self.seed, "data set": self.identity["dataset"], **self.inputs.encoding()}
        sizes = config.autoencoder
        make = lambda: Store(path, identity, config.cache, (sizes.embed_dim, sizes.grid.length), self.group.main)
        store = make() if self.group.main else None
        self.group.wait()
        return store or make()

    def _validation(self, made: Callable[[], Any]) -> Validate | None:
        """On held-out clips, where there are any."""
        clips = [self.data.clips[i] for i in self.data.indices("val")]
        if not self.group.main or not any(clip.picture_size and clip.frames >= self.config.autoencoder.frames for clip in clips):
            return None
        settings = replace(unchanged(window_settings(self.config)), mouth=2.0)
        held_out = held_out_windows(VideoWindows(self.data, "val", settings, self.seed))
        if self.config.stage == "diffusion":
            return DiffusionValidation(held_out, self.config, self._encoder(), made)
        return AutoencoderValidation(held_out[1], self.config, made)

    def _made(self, run: MToVTraining, licence: str) -> VideoAutoencoder | MToV:
        """A network of its own with the weights to save, in evaluation mode."""
        network = copy.deepcopy(run.model.network)
        network.load_state_dict(run.weights())
        network = network.eval().requires_grad_(False)
        if isinstance(network, MToVDenoiser):
            return MToV(*self.inputs.autoencoders, network, self._description(licence))
        assert isinstance(network, VideoAutoencoder)
        return network

    def _description(self, licence: str) -> MToVConfig:
        config, inputs = self.config, self.inputs
        inherited = inputs.initial.config.licence if inputs.initial is not None else ""
        rgb, landmarks = inputs.autoencoders
        return MToVConfig(
            rgb.config, landmarks.config, config.denoiser, prediction=config.prediction, clip=config.clip, sampler=config.sampler,
            calls=config.calls, ratio=config.ratio, eta=config.eta, overlap=config.overlap, raster=config.raster,
            reference=config.reference, margin=self.windows.margin, fps=self.data.fps, licence=licence or inherited,
            training=self.record(), anchored=config.anchored, times=config.times)

    def record(self) -> dict[str, Any]:
        """How the weights were made, for their file."""
        config, clips = self.config, [self.data.clips[i] for i in self.windows.numbers]
        return {"preset": config.preset, "stage": config.stage, "seed": self.seed, "steps": config.steps, "batch": config.batch,
                "optimizer": config.optimizer, "lr": config.lr, "clips": len(clips),
                "seconds": round(sum(clip.frames for clip in clips) / self.data.fps, 1),
                "people": len({clip.identity for clip in clips}), "processes": self.group.size,
                **ended_early(self.done, config.steps),
                "lpips": self.inputs.lpips is not None, "raster": asdict(config.raster),
                **({} if self.inputs.initial is None else {"begun with": dict(self.inputs.initial.config.training)})}

    def _save(self, network: VideoAutoencoder | MToV, out: Path, half: bool, licence: str) -> None:
        from .checkpoints import save_autoencoder, save_mtov

        if isinstance(network, MToV):
            save_mtov(network, out, half=half)
        else:
            role = "landmarks" if self.config.stage == "landmarks" else "rgb"
            save_autoencoder(network, out, role=role, licence=licence, training=self.record(), half=half)


def fitting(config: TrainConfig, inputs: StageInputs, device: torch.device, group: SingleProcess, memory_gb: float | None,
            checkpointing: str) -> TrainConfig:
    """The settings with pieces and checkpointing that fit into memory; see `train_mtov`."""
    check_batch(config, group)
    wanted = "on" if config.checkpointing and checkpointing == CHECKPOINTING[0] else checkpointing
    need = lambda windows, way: needed(config, windows, way, device, inputs.lpips is not None, group.size)
    plan = planned(need, config.batch // group.size, least=config.accumulation, checkpointing=wanted, memory_gb=memory_gb,
                   device=device, first="checkpointing" if config.stage == "gan" else "pieces")
    told(plan, f"MToV, {config.stage}")
    return replace(config, accumulation=plan.accumulation, checkpointing=plan.checkpointing)


def window_settings(config: TrainConfig) -> WindowSettings:
    """What the windows of a stage look like; `config` has rasters as large as the images."""
    diffusion, sizes = config.stage == "diffusion", config.autoencoder
    return WindowSettings(sizes.frames, sizes.height, config.raster, config.reference, config.still if diffusion else 0.0,
                          config.mirror, config.colour, 2.0 if diffusion else config.mouth, PARTS[:3] if diffusion else (),
                          config.stage != "landmarks", config.lively)


def wants_stills(config: TrainConfig) -> bool:
    """Whether some steps are of single images."""
    return config.stage in ("rgb", "landmarks") and config.stills > 0 and (config.still_steps > 0 or config.still_every > 0)


def first_weights(seed: int, make: Callable[[], nn.Module]) -> Any:
    """A network before its first step; the same seed gives the same weights."""
    return drawn(seed_of(seed, _FIRST), make)


def fresh_autoencoder(config: TrainConfig, seed: int) -> VideoAutoencoder:
    """An autoencoder before its first step; its pooling tokens and positions as small as `config.start` says."""
    network = first_weights(seed, lambda: VideoAutoencoder(config.autoencoder))
    with torch.no_grad():
        for pool in network.pool.values():
            pool.token.mul_(config.start)
            pool.positions.mul_(config.start)
    return network
