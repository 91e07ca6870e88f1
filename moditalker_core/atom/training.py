"""Training of AToM: a motion data set in, an AToM file out (spec/moditalker.md 2.5, 8).

The state of the run stands beside the file, `<name>.training.safetensors`: written at the beginning, every `save_every` steps,
when the report stops the run, and at the end until the file itself is saved. A run that was stopped and resumed ends with the
same weights as one that was not, to the bit on the CPU.
"""
from __future__ import annotations

import json
import logging
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np
import torch

from ...media_core.errors import Cancelled, TalkingHeadsError
from ...media_core.progress import Report, silent
from .config import AToMConfig, SpeechInput
from .dataset import MotionDataset
from .logs import TrainingLog
from .model import AToM, checked_mean_shape
from .run import Run
from .team import Alone
from .train_config import TrainConfig, preset
from .validation import Held, held_windows, judge
from .windows import Clips, Windows

__all__ = ["TrainConfig", "preset", "train_atom", "unfinished_path"]
log = logging.getLogger(__name__)


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
    if type(seed) is not int or seed < 0:
        raise TalkingHeadsError("A seed must be a whole number, 0 or above", f"{seed!r}", "Choose another number")
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
        run.load(state, lambda came: _compare(identity, came, state))
    held = held_windows(Clips(data, "val", speech, frames, mean), config, run.device) if data.indices("val") else None
    describe = lambda: AToM(run.averaged_network(), _description(config, speech, data, seed, licence, team.size), mean)
    _Driver(run, held, describe, state, identity, report, _log_folder(out, log_folder)).drive()
    atom = describe()
    if team.main:
        from ..checkpoints import save_atom

        save_atom(atom, out, half=half)
        state.unlink(missing_ok=True)
    team.wait()
    return atom


def unfinished_path(out: str | os.PathLike) -> Path:
    """Where the state of an unfinished run of `out` stands."""
    return Path(out).with_suffix(".training.safetensors")


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
    from ...media_core.face.canonical import mean_face

    return mean_face()


def _log_folder(out: str | os.PathLike, folder: str | os.PathLike | None) -> Path:
    return Path(folder) if folder is not None else Path(out).with_name(f"{Path(out).stem}_log")


def _compare(identity: Mapping[str, Any], came: Mapping[str, Any], path: Path) -> None:
    """Raises:
        TalkingHeadsError: the unfinished run at `path` is another one.
    """
    plain = json.loads(json.dumps(identity))
    differing = [k for k in plain if k != "config" and plain[k] != came.get(k)]
    theirs = came.get("config", {})
    differing += [k for k in plain["config"] if plain["config"][k] != theirs.get(k)]
    if differing:
        raise TalkingHeadsError("An unfinished training can only be continued with the same data set and settings",
                                f"another {', '.join(differing)} in {path.name}",
                                "Restore the settings, choose another name, or begin anew (resume off)")


def _description(config: TrainConfig, speech: SpeechInput, data: MotionDataset, seed: int, licence: str,
                 processes: int) -> AToMConfig:
    people = {clip.identity for clip in data.clips}
    record = {"preset": config.preset, "seed": seed, "steps": config.steps, "batch": config.batch, "optimizer": config.optimizer,
              "lr": config.lr, "clips": len(data), "seconds": round(data.seconds, 1), "people": len(people),
              "processes": processes}
    return AToMConfig(config.denoiser, speech, data.fps, config.clip, config.guidance, config.sampler, config.sampler_steps,
                      config.eta, config.reference, licence, record)


class _Driver:
    """Runs the steps, and does what is to be done between them."""

    def __init__(self, run: Run, held: Held | None, atom: Callable[[], AToM], state: Path, identity: dict[str, Any],
                 report: Report, folder: Path):
        self.run, self.held, self.atom, self.state, self.identity, self.report = run, held, atom, state, identity, report
        self.folder, self.lips = folder, {}

    def drive(self) -> None:
        run, log_lines = self.run, None
        self._look_at_clip()
        if run.team.main:
            run.save(self.state, self.identity)  # a folder that is full or read-only shows before the work, not after it
            log_lines = TrainingLog(self.folder, run.done, run.config.steps, run.config.log_every)
        try:
            while run.done < run.config.steps:
                self._step(log_lines)
            if run.team.main:
                run.save(self.state, self.identity)  # saving the file may fail too: only that is then done again
        finally:
            if log_lines is not None:
                log_lines.close()

    def _look_at_clip(self) -> None:
        """One line on motion that sampling would cut off (spec 13 B4)."""
        clip = self.run.config.clip
        if clip is not None and self.held is not None and (largest := float(self.held.x0.abs().max())) > clip:
            log.warning("Points of the held clips move by up to %.2f cm; samples are clipped at %.2f cm", largest, clip)

    def _step(self, log_lines: TrainingLog | None) -> None:
        run = self.run
        figures = run.step()
        try:
            if log_lines is not None:
                log_lines.step(run.done, figures)
            picture = self._judged(log_lines) if run.done % run.config.val_every == 0 or run.done == run.config.steps else None
            self.report(run.done, run.config.steps, {**figures, **self.lips}, picture)
        except BaseException:  # whatever stops the run (cancelling included) passes on; the work done so far is kept
            run.team.any(True)
            if run.team.main:
                run.save(self.state, self.identity)
            raise
        if run.team.any(False):
            if run.team.main:
                run.save(self.state, self.identity)
            raise Cancelled("another process of the training was stopped")
        if run.team.main and run.done % run.config.save_every == 0:
            run.save(self.state, self.identity)

    def _judged(self, log_lines: TrainingLog | None) -> np.ndarray | None:
        """Samples on held clips; the main process alone."""
        if self.held is None or log_lines is None:
            return None
        run = self.run
        watch = lambda: self.report(run.done, run.config.steps, self.lips, None)
        verdict = judge(self.atom(), self.held, watch)
        self.lips = {"lips": verdict.lips}
        log_lines.verdict(run.done, verdict.lips, verdict.loss, verdict.picture)
        log.info("Step %d: lips %.3f, held loss %.4g", run.done, verdict.lips, verdict.loss)
        return verdict.picture
