"""Training of AToM: a motion data set in, an AToM file out (docs/moditalker.md#training).

The state of the run stands beside the file (`driver`). A run that was stopped and resumed ends with the same weights as one that
was not, to the bit on the CPU.
"""
from __future__ import annotations

import json
import logging
import os
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...media_core.claims import claimed
from ...media_core.progress import Report, silent
from ...training_core import trainer
from ...training_core.team import Alone
from ...training_core.trainer import Driver, checked_seed, same_run, unfinished_path
from ..data.dataset import MotionDataset
from .config import AToMConfig, SpeechInput
from .model import AToM, checked_mean_shape
from .run import Run
from .train_config import TrainConfig, preset
from .validation import COLUMNS, Held, held_windows, judge
from .windows import Clips, Windows

__all__ = ["TrainConfig", "preset", "train_atom", "unfinished_path"]
log = logging.getLogger(__name__)


@claimed("out", team="team")
def train_atom(dataset: str | os.PathLike, out: str | os.PathLike, config: str | TrainConfig = "demo", *, seed: int = 0,
               device: str | torch.device = "cpu", resume: bool = True, report: Report = silent, half: bool = False,
               log_folder: str | os.PathLike | None = None, key_mean_shape: Any = None, licence: str = "",
               team: Alone | None = None) -> AToM:
    """Trains an AToM, saves it, and returns it.

    Args:
        dataset: folder of a motion data set (`atom.dataset`).
        out: the file to write (.safetensors).
        config: "demo", "standard", "published", or settings of one's own.
        seed: of everything random, 0 or above.
        device: where to compute.
        resume: go on with an unfinished run of the same data, settings and seed; False begins anew.
        report: once a step, with loss, reconstruction, velocity, rate, gradient, and `lips` once it is known (correlation of the
            lips' distance with the truth on held clips); the preview are lip curves. May raise to stop.
        half: keep the weights as float16.
        log_folder: where log.csv and TensorBoard's files go; None: `<name>_log` beside `out`.
        key_mean_shape: [68, 3] dm, the face motion is measured from; None: our own mean face.
        licence: written into the file.
        team: the processes that train together; None: this one alone.
    Raises:
        TalkingHeadsError: unusable data or settings, an unfinished run of others, a loss that is not finite, a full disk.
        Whatever `report` raises; the run's state is saved first.
    """
    checked_seed(seed)
    data, team = MotionDataset.open(dataset), team or Alone()
    config, speech = settled(preset(config) if isinstance(config, str) else config, data)
    mean = checked_mean_shape(_own_mean() if key_mean_shape is None else key_mean_shape)
    frames = config.denoiser.seq_len
    run = Run(config, Windows(Clips(data, "train", speech, frames, mean), config, seed), seed, torch.device(device), team)
    index = json.dumps(data.index, sort_keys=True).encode()  # names the checksum of every shard
    identity = {"config": config.identity(), "seed": seed, "data set": zlib.crc32(index),
                "mean face": zlib.crc32(mean.numpy().tobytes())}
    state = unfinished_path(out)
    if resume and state.exists():
        run.load(state, lambda came: same_run(identity, came, state))
    held = held_windows(Clips(data, "val", speech, frames, mean), config, run.device) if data.indices("val") else None
    describe = lambda: AToM(run.averaged_network(), _description(config, speech, data, seed, licence, team.size), mean)
    _look_at_clip(run.config.clip, held)
    look = None if held is None else lambda watch: judge(describe(), held, watch)
    Driver(run, look, state, identity, report, trainer.log_folder(out, log_folder), COLUMNS).drive()
    atom = describe()
    if team.main:
        from .checkpoints import save_atom

        save_atom(atom, out, half=half)
        state.unlink(missing_ok=True)
    team.wait()
    return atom


def settled(config: TrainConfig, data: MotionDataset) -> tuple[TrainConfig, SpeechInput]:
    """The settings with the width of the data set's audio tokens, and what the network listens to.

    Raises:
        TalkingHeadsError: the data set holds another encoder's features than the settings name.
    """
    if config.encoder is not None:
        data.expect(config.encoder, config.layer)
    form = data.format
    speech = SpeechInput(form.encoder, form.layer, form.rate, form.dim, config.stack)
    return replace(config, denoiser=replace(config.denoiser, cond_feature_dim=speech.token_dim)), speech


def _own_mean() -> np.ndarray:
    from ...media_core.face.pose.canonical import mean_face

    return mean_face()


def _description(config: TrainConfig, speech: SpeechInput, data: MotionDataset, seed: int, licence: str,
                 processes: int) -> AToMConfig:
    people = {clip.identity for clip in data.clips}
    record = {"preset": config.preset, "seed": seed, "steps": config.steps, "batch": config.batch, "optimizer": config.optimizer,
              "lr": config.lr, "clips": len(data), "seconds": round(data.seconds, 1), "people": len(people),
              "processes": processes}
    return AToMConfig(config.denoiser, speech, data.fps, config.clip, config.guidance, config.sampler, config.sampler_steps,
                      config.eta, config.reference, licence, record)


def _look_at_clip(clip: float | None, held: Held | None) -> None:
    """One line on motion that sampling would cut off (docs/moditalker.md#clip)."""
    if clip is not None and held is not None and (largest := float(held.x0.abs().max())) > clip:
        log.warning("Points of the held clips move by up to %.2f cm; samples are clipped at %.2f cm", largest, clip)
