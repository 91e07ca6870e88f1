"""Training of an avatar: a dataset folder in, an avatar file out.

Four phases follow each other: `warmup` (audio nets alone, on the alignment loss), `face`, `mouth`, `fuse`. A step depends on
(seed, phase, step) and the state before it, so a training that was stopped and resumed ends with the same weights as one that was
not (to the bit on the CPU; a GPU adds up in changing order). The state stands beside the avatar file (`trainer`) until the avatar
is saved.
"""
from __future__ import annotations

import logging
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...media_core.captions import SPEECH
from ...media_core.claims import claimed
from ...media_core.motion import AU_NAMES
from ...media_core.progress import Enough, Report, never, silent
from ...media_core.speech import EncoderChoice, SpeechEncoder, full_name, opened, opens_by_name
from ...training_core import trainer
from ...training_core.process_group import SingleProcess
from ...training_core.trainer import Trainer, checked_seed, finished, same_run, unfinished_path
from ..avatar import Avatar
from ..checkpoints import save_avatar
from ..data.dataset import AvatarDataset
from ..rasterizer import drawing_device, probe_pending, wait_for_trial
from .batches import Clip, open_clip
from .config import NEWER, TrainConfig
from .config import preset as find_preset
from .finish import build_avatar, held_out_quality, validation
from .lpips import load_lpips
from .prior import SHIPPED, SHIPPED_ENCODER
from .start import AUTO, StartNets, load_start, shipped_start
from .state import load_training
from .steps import COLUMNS, AvatarTraining

__all__ = ["TrainConfig", "train_avatar", "unfinished_path"]
log = logging.getLogger(__name__)


@claimed("out", group="process_group")
def train_avatar(dataset: str | os.PathLike[str], out: str | os.PathLike[str], *, preset: str | TrainConfig = "demo",
                 steps: float = 1.0, seed: int = 0, size: int | None = None, encoder: EncoderChoice = "mel",
                 device: str | torch.device = "cpu", speech_prior: str | os.PathLike[str] | None = SHIPPED,
                 start_from: str | os.PathLike[str] | Avatar | None = None,
                 lpips_weights: str | os.PathLike[str] | None = None, resume: bool = True, report: Report = silent,
                 log_folder: str | os.PathLike[str] | None = None, process_group: SingleProcess | None = None,
                 enough: Enough = never) -> Avatar:
    """Trains an avatar, saves it, and returns it.

    Args:
        dataset: folder in the TalkingGaussian layout (see `dataset`).
        out: the avatar file to write (.safetensors).
        preset: "demo", "standard", "published", or a `TrainConfig` of one's own: `preset("demo").with_steps(2000)` has a number
            of steps, `replace` changes batch, precision, gradient_clip and intervals.
        steps: multiplies every schedule of the preset.
        seed: of everything random.
        size: training resolution in pixels (square); None keeps the dataset's.
        encoder: speech encoder: "mel", a model folder, or an open one (`media_core.speech.open_encoder`).
        device: where to train; the CPU does, as a whole, where it must draw for that device (see `rasterizer.drawing_device`).
        speech_prior: file the audio nets start from when the preset wants one (see `prior`); the shipped one serves "mel".
        start_from: an avatar, its file, or an avatar prior (see `start`), whose motion nets this one begins with: seconds of a
            new person's video are then enough. "auto": the shipped avatar prior, where these settings can start from it.
            None: from the speech prior alone.
        lpips_weights: file for the LPIPS terms (see `lpips`); without one they are left out.
        resume: continue an unfinished training of the same data, settings and seed; False starts over.
        report: once a step, with phase, loss, psnr (dB, EMA; when it draws), points, val_psnr (dB, of the head on held-out
            frames) once it is known, at times a preview (target | render); also now and then while validating, with the phase,
            while a model encodes the speech, with phase "speech" alone, and while finishing, with phase "finish" alone.
        log_folder: where log.csv and TensorBoard's files go; None: `<name>_log` beside `out`.
        process_group: the processes that train together; None: this one alone.
        enough: asked between two steps; true: the training ends there, what it has learnt is saved and returned, and its state
            stays, so that it can go on. What a later phase would have trained is then as it begins.
    Raises:
        TalkingHeadsError: unusable data, a full disk, an unfinished training of other settings at `out`, or a loss that is not
            finite; the state before that step is saved first.
        Whatever `report` raises; the training's state is saved first.
    """
    config = (find_preset(preset) if isinstance(preset, str) else preset).scaled(steps)
    group = process_group or SingleProcess()
    data = AvatarDataset.open(Path(dataset), size=size)
    if probe_pending(device):
        wait_for_trial(device, "auto", report, config.steps)
    listener = opened(encoder)
    clip = open_clip(data, listener, drawing_device(torch.device(device)), _encoding(listener, group, report, config.steps),
                     config.cue, config.window)
    _tell_left_out(clip)
    lpips = load_lpips(lpips_weights).to(clip.device) if lpips_weights else None
    start = _start(start_from, clip, config)
    prior = None if start else _prior(config, speech_prior, listener.facts.id)
    if prior is None and start is None and config.audio_lr != 1:  # audio nets that know nothing have nothing to keep
        config = replace(config, audio_lr=1.0)
    identity = run_identity(clip.dataset, config, seed, full_name(listener))
    identity |= {"lpips": lpips is not None, "speech_prior": prior is not None}
    identity["start_from"] = None if start is None else start.checksum
    nets = None if start is None else (start.face, start.mouth)
    if clip.cue is not None:
        identity["cue"] = zlib.crc32(np.ascontiguousarray(clip.cue.cpu().numpy()).tobytes())
    state = unfinished_path(out)
    if resume and state.exists():
        run = load_training(state, clip, config, seed, lambda saved: same_run(identity, _completed(saved), state), group)
    else:
        run = AvatarTraining.fresh(clip, config, checked_seed(seed), prior, group, nets)
    run.lpips, run.start = lpips, nets
    Trainer(run, validation(run), path=state, identity=identity, report=report, folder=trainer.log_folder(out, log_folder),
            columns=COLUMNS, enough=enough).run()
    avatar = build_avatar(run, lambda: report(run.step, run.steps, {"phase": "finish"}, None))
    avatar = avatar.with_config(speech_prior=prior is not None or start is not None, quality=held_out_quality(avatar, clip))
    if group.main:
        save_avatar(avatar, out)
        finished(run.step, run.steps, state)
    group.wait()
    return avatar


def _completed(saved: dict[str, Any]) -> dict[str, Any]:
    """The identity of an unfinished training, with what trainings of before did where it does not know an option."""
    config = saved.get("config")
    return saved | {"config": NEWER | config} if isinstance(config, dict) else saved


def _start(start_from: str | os.PathLike | Avatar | None, clip: Clip, config: TrainConfig) -> StartNets | None:
    """The nets to begin with, which fit the training."""
    if start_from is None:
        return None
    if start_from == AUTO:
        return shipped_start(clip, config)
    start = StartNets.of(start_from) if isinstance(start_from, Avatar) else load_start(start_from)
    start.check(clip, config)
    return start


def _encoding(encoder: SpeechEncoder, group: SingleProcess, report: Report, steps: int) -> Report:
    """What to report while `encoder` works: a model may take minutes. Several processes report nothing: one that stopped here
    would leave the others waiting."""
    if group.size > 1 or opens_by_name(encoder.facts.id):
        return silent
    return lambda done, total, info, preview=None: report(0, steps, {"phase": SPEECH}, None)


def _tell_left_out(clip: Clip) -> None:
    """One log line on the action units that are not trained on, when there are any."""
    names = [name for name, known in zip(AU_NAMES, clip.au_known) if not known]
    if names:
        log.warning("Action units not trained on, since unreliable or unknown in this dataset: %s (measured by %s)",
                    " ".join(names), clip.dataset.au_source or "what the dataset does not say")


def _prior(config: TrainConfig, path: str | os.PathLike | None, encoder: str) -> tuple[Any, str] | None:
    """(file, encoder) of the prior to use. The shipped one serves its own encoder and centred windows only; a file the caller
    names must fit."""
    fits = encoder == SHIPPED_ENCODER and config.window == "centred"
    if not config.speech_prior or path is None or (Path(path) == SHIPPED and not fits):
        return None
    return path, encoder


def run_identity(data: AvatarDataset, config: TrainConfig, seed: int, encoder: str) -> dict[str, Any]:
    """What must be equal for a training to be continued. The images are taken on trust: reading them all takes too long."""
    poses = np.asarray(data.poses, dtype=np.float32)
    return {"config": config.identity(), "seed": seed, "encoder": encoder, "frames": len(data), "size": list(data.size),
            "poses": float(np.abs(poses).sum()), "action units": zlib.crc32(np.ascontiguousarray(data.au).tobytes()),
            "trust in action units": list(data.au_reliability or ()),
            "audio": zlib.crc32(data.sound_path.read_bytes())}
