"""Training of AToM: a motion dataset in, an AToM file out (docs/moditalker.md#training).

The state of the training stands beside the file (`trainer`). A training that was stopped and resumed ends with the
same weights as one that was not, to the bit on the CPU.
"""
from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...media_core.claims import claimed
from ...media_core.progress import Enough, Report, never, silent
from ...training_core import trainer
from ...training_core.memory_plan import planned, told
from ...training_core.network_training import check_batch
from ...training_core.process_group import SingleProcess
from ...training_core.settings import require
from ...training_core.trainer import Trainer, checked_seed, ended_early, finished, same_run, unfinished_path
from ..data.dataset import MotionDataset
from .config import AToMConfig, SpeechInput
from .lip_training import trained_lips, unfinished_lips
from .memory import needed
from .mix import Mixture, Share, checksum
from .model import AToM, checked_mean_shape
from .run import COLUMNS, AToMTraining
from .start import Initial
from .train_config import TrainConfig, preset
from .validation import HeldOut, evaluate, held_out_windows
from .windows import Clips, Windows

__all__ = ["TrainConfig", "preset", "train_atom", "unfinished_path"]
log = logging.getLogger(__name__)


@claimed("out", group="process_group")
def train_atom(dataset: str | os.PathLike, out: str | os.PathLike, config: str | TrainConfig = "demo", *, seed: int = 0,
               device: str | torch.device = "cpu", resume: bool = True, report: Report = silent, half: bool = False,
               log_folder: str | os.PathLike | None = None, key_mean_shape: Any = None, licence: str = "",
               process_group: SingleProcess | None = None, memory_gb: float | None = None,
               start_from: str | os.PathLike | None = None, mix: Sequence[Share] = (), enough: Enough = never) -> AToM:
    """Trains an AToM, saves it, and returns it.

    Args:
        dataset: folder of a motion dataset (`data.dataset`).
        out: the file to write (.safetensors).
        config: "demo", "standard", "published", "finetune", or settings of one's own.
        seed: of everything random, 0 or above.
        device: where to compute.
        resume: continue an unfinished training of the same data, settings and seed; False starts over.
        report: once a step, with loss, reconstruction, velocity, lr, grad_norm, and `lip_correlation` once it is known (of the
            lips' distance with the truth, on held-out clips); the preview shows lip curves. May raise to stop.
        half: keep the weights as float16.
        log_folder: where log.csv and TensorBoard's files go; None: `<name>_log` beside `out`.
        key_mean_shape: [68, 3] dm, the face motion is measured from; None: our own mean face.
        licence: written into the file.
        process_group: the processes that train together; None: this one alone.
        memory_gb: GB of the device that may be taken; None: 22, or what is free where that is less. Steps are cut into more
            pieces (config.accumulation) until it fits.
        start_from: file of an AToM whose weights the training begins with (fine-tuning): in the sizes of its network, with its
            mean face and for the speech encoder that it listens to; None: new ones.
        mix: datasets that are learnt beside the first, each in its fraction of the windows; the rest of them is the first
            dataset's, and so are the clips to validate on.
        enough: asked between two steps; true: the training ends there, what it has learnt is saved and returned, and its state
            stays, so that it can go on. Ended before the lip network's steps, the AToM has that of `start_from`, or none.
    Raises:
        TalkingHeadsError: unusable data or settings, an unfinished training of others, a loss that is not finite, a full disk, or
            memory that ran out or is less than the training needs.
        Whatever `report` raises; the training's state is saved first.
    """
    checked_seed(seed)
    data, group, place = MotionDataset.open(dataset), process_group or SingleProcess(), torch.device(device)
    mixture = Mixture.open(mix)
    initial = None if start_from is None else Initial.read(start_from, out, key_mean_shape)
    config = preset(config) if isinstance(config, str) else config
    require(config.keep_start == 0 or initial is not None, "A training that keeps some of the weights it begins with must have "
            "some", "none to start from", "Name them (start from, --start-from)")
    config, speech = resolved(config, data, initial)
    mixture.check(data, any_tracker=config.neutral == 1)
    if config.keep_start and not mixture.datasets:
        log.warning("Fine-tuning without a second dataset forgets some of what the weights know, such as closed lips on P, B and "
                    "M: mix in synthetic people (second dataset, --mix)")
    config = fitting(config, place, group, memory_gb)
    mean = checked_mean_shape(key_mean_shape if key_mean_shape is not None else initial.mean if initial else _own_mean())
    frames = config.denoiser.seq_len
    windows = Windows(mixture.with_first(Clips(data, "train", speech, frames, mean)), config, seed)
    run = AToMTraining(config, windows, seed, place, group, None if initial is None else initial.weights)
    identity = {"config": config.identity(), "seed": seed, "dataset": checksum(data), "mix": mixture.identity,
                "mean face": zlib.crc32(mean.numpy().tobytes()), "weights": None if initial is None else initial.checksum}
    state = unfinished_path(out)
    if resume and state.exists():
        run.load(state, lambda saved: same_run(identity, saved, state))
    held_out = held_out_windows(Clips(data, "val", speech, frames, mean), config, run.device) if data.indices("val") else None
    describe_as = _description(config, speech, data, mixture, seed, licence, group.size, initial)
    describe = lambda: AToM(run.averaged_network(), describe_as, mean)
    _warn_of_clip(run.config.clip, held_out)
    validate = None if held_out is None else lambda watch: evaluate(describe(), held_out, watch)
    total, folder = config.steps + config.lip_steps, trainer.log_folder(out, log_folder)
    Trainer(run, validate, path=state, identity=identity, report=counted(report, 0, total), folder=folder, columns=COLUMNS,
            enough=enough).run()
    lips, done = None if initial is None else initial.lips, run.step
    if done == config.steps:
        lips, more = trained_lips(config, windows, seed, place, group, initial=lips, out=out, resume=resume, identity=identity,
                                  report=counted(report, config.steps, total), folder=folder / "lips", enough=enough)
        done += more
    describe_as = replace(describe_as, training={**describe_as.training, **ended_early(done, total)})
    atom = describe().with_lips(lips)
    if group.main:
        from .checkpoints import save_atom

        save_atom(atom, out, half=half)
        finished(done, total, state, unfinished_lips(out))
    group.wait()
    return atom


def resolved(config: TrainConfig, data: MotionDataset, initial: Initial | None = None) -> tuple[TrainConfig, SpeechInput]:
    """The settings with the width of the dataset's audio tokens, and what the network listens to; of `initial` where given, its
    sizes and everything that its weights were trained for.

    Raises:
        TalkingHeadsError: the dataset holds another encoder's features, or frames at another rate, than the settings or the
            weights name.
    """
    if initial is not None:
        return initial.resolved(config, data)
    if config.encoder is not None:
        data.expect(config.encoder, config.layer)
    form = data.format
    speech = SpeechInput(form.encoder, form.layer, form.rate, form.dim, config.stack)
    return replace(config, denoiser=replace(config.denoiser, cond_feature_dim=speech.token_dim)), speech


def counted(report: Report, done: int, total: int) -> Report:
    """The report of a part of the training, that begins after `done` of `total` steps."""
    return lambda step, _, info, preview: report(done + step, total, info, preview)


def fitting(config: TrainConfig, device: torch.device, group: SingleProcess, memory_gb: float | None) -> TrainConfig:
    """The settings with pieces that fit into memory; see `train_atom`."""
    check_batch(config, group)
    plan = planned(lambda windows, way: needed(config, windows, device, group.size), config.batch // group.size,
                   least=config.accumulation, memory_gb=memory_gb, device=device, able=False)
    told(plan, "AToM")
    return replace(config, accumulation=plan.accumulation)


def _own_mean() -> np.ndarray:
    from ...media_core.face.pose.canonical import mean_face

    return mean_face()


def _description(config: TrainConfig, speech: SpeechInput, data: MotionDataset, mixture: Mixture, seed: int, licence: str,
                 processes: int, initial: Initial | None) -> AToMConfig:
    people = {clip.identity for clip in data.clips}
    record = {"preset": config.preset, "seed": seed, "steps": config.steps, "batch": config.batch, "optimizer": config.optimizer,
              "lr": config.lr, "clips": len(data), "seconds": round(data.seconds, 1), "people": len(people),
              "processes": processes, **({"mix": mixture.record()} if mixture.datasets else {}),
              **({} if initial is None else {"begun with": dict(initial.training)})}
    return AToMConfig(denoiser=config.denoiser, speech=speech, fps=data.fps, clip=config.clip, guidance=config.guidance,
                      sampler=config.sampler, steps=config.sampler_steps, eta=config.eta, reference=config.reference,
                      licence=licence or (initial.licence if initial is not None else ""), training=record,
                      shown=initial.shown if initial is not None else AToMConfig.shown,
                      mouth_noise=initial.mouth_noise if initial is not None else AToMConfig.mouth_noise)


def _warn_of_clip(clip: float | None, held_out: HeldOut | None) -> None:
    """A warning of motion that sampling would clip (docs/moditalker.md#clip)."""
    if clip is not None and held_out is not None and (largest := float(held_out.x0.abs().max())) > clip:
        log.warning("Points of the held-out clips move by up to %.2f cm; samples are clipped at %.2f cm", largest, clip)
