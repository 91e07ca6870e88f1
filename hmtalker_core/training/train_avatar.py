"""Training of an avatar: a data set folder in, an avatar file out.

Four phases follow each other: `warmup` (audio nets alone, on the alignment loss), `face`, `mouth`, `fuse`. A step depends on
(seed, phase, step) and the state before it, so a run that was stopped and resumed ends with the same weights as one that was
not (to the bit on the CPU; a card adds up in changing order). The state is saved beside the avatar file at the start, every so
many steps, whenever the report stops the run, and before the avatar is put together; it goes when the avatar is saved.
"""
from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...media_core.captions import COMPILE, SHOWS
from ...media_core.claims import claimed
from ...media_core.errors import TalkingHeadsError
from ...media_core.json_files import as_json
from ...media_core.motion import AU_NAMES
from ...media_core.progress import Report, silent
from ...media_core.speech import EncoderChoice, full_name, opened
from ..avatar import Avatar
from ..checkpoints import save_avatar
from ..data.dataset import AvatarDataset
from ..rasterizer import drawing_device, must_compile, probe_pending
from .batches import Clip, open_clip
from .config import TrainConfig
from .config import preset as find_preset
from .finish import build_avatar, held_out_quality
from .lpips import load_lpips
from .prior import SHIPPED, SHIPPED_ENCODER
from .state import load_run, save_run
from .steps import PHASES, Run, steps_of

PREVIEW_EVERY = 25  # steps between preview pictures
log = logging.getLogger(__name__)


@claimed("out")
def train_avatar(dataset: str | os.PathLike, out: str | os.PathLike, *, preset: str | TrainConfig = "preview", steps: float = 1.0,
                 seed: int = 0, size: int | None = None, encoder: EncoderChoice = "mel",
                 device: str | torch.device = "cpu",
                 speech_prior: str | os.PathLike | None = SHIPPED, lpips_weights: str | os.PathLike | None = None,
                 resume: bool = True, report: Report = silent) -> Avatar:
    """Trains an avatar, saves it, and returns it.

    Args:
        dataset: folder in the TalkingGaussian layout (see `dataset`).
        out: the avatar file to write (.safetensors).
        preset: "preview", "standard", "paper", or a `TrainConfig` of one's own.
        steps: multiplies every schedule of the preset.
        seed: of everything random.
        size: training resolution in pixels (square); None keeps the data set's.
        encoder: speech encoder: "mel", a model folder, or an open one (`media_core.speech.open_encoder`).
        device: where to train; the CPU does, as a whole, where it must draw for that device (see `rasterizer.drawing_device`).
        speech_prior: file the audio nets start from when the preset wants one (see `prior`); the shipped one serves "mel".
        lpips_weights: file for the LPIPS terms (see `lpips`); without one they are left out.
        resume: go on with an unfinished run of the same data, settings and seed; False starts afresh.
        report: once a step, with phase, loss, psnr (dB, EMA; when it draws), points, at times a preview (target | render);
            also now and then while finishing, with phase "finish" alone.
    Raises:
        TalkingHeadsError: unusable data, a full disk, an unfinished run of other settings at `out`, or a loss that is not
            finite; the state before that step is saved first.
        Whatever `report` raises; the run's state is saved first.
    """
    config = (find_preset(preset) if isinstance(preset, str) else preset).scaled(steps)
    data = AvatarDataset.open(dataset, size=size)
    if probe_pending(device):
        report(0, sum(steps_of(config)), {"phase": COMPILE}, None)
    listener = opened(encoder)
    clip = open_clip(data, listener, drawing_device(torch.device(device)), silent)
    _tell_left_out(clip)
    lpips = load_lpips(lpips_weights).to(clip.device) if lpips_weights else None
    prior = _prior(config, speech_prior, listener.facts.id)
    identity = run_identity(clip.dataset, config, seed, full_name(listener))
    identity |= {"lpips": lpips is not None, "speech_prior": prior is not None}
    state_path = unfinished_path(out)
    run = _resumed(state_path, clip, config, seed, identity) if resume else None
    run = run or Run.fresh(clip, config, seed, prior)
    run.lpips = lpips
    save_run(run, state_path, identity)  # a folder that is full or read-only shows before the work, not after it
    _drive(run, state_path, identity, report)
    avatar = build_avatar(run, lambda: report(run.total_steps, run.total_steps, {"phase": "finish"}, None))
    avatar = avatar.with_config(speech_prior=prior is not None, quality=held_out_quality(avatar, clip))
    save_avatar(avatar, out)
    state_path.unlink(missing_ok=True)
    return avatar


def _tell_left_out(clip: Clip) -> None:
    """One log line on the action units that are not trained on, when there are any."""
    names = [name for name, known in zip(AU_NAMES, clip.au_known) if not known]
    if names:
        log.warning("Action units not trained on, since unreliable or unknown in this data set: %s (measured by %s)",
                    " ".join(names), clip.dataset.au_source or "what the data set does not say")


def _prior(config: TrainConfig, path: str | os.PathLike | None, encoder: str) -> tuple | None:
    """(file, encoder) of the prior to use. The shipped one serves its own encoder only; a file the caller names must fit."""
    if not config.speech_prior or path is None or (Path(path) == SHIPPED and encoder != SHIPPED_ENCODER):
        return None
    return path, encoder


def unfinished_path(out: str | os.PathLike) -> Path:
    """Where the state of an unfinished run of `out` stands."""
    return Path(out).with_suffix(".training.safetensors")


def run_identity(data: AvatarDataset, config: TrainConfig, seed: int, encoder: str) -> dict[str, Any]:
    """What must be equal for a run to be continued. The pictures are taken on trust: reading them all takes too long."""
    poses = np.asarray(data.poses, dtype=np.float32)
    return {"config": config.to_json(), "seed": seed, "encoder": encoder, "frames": len(data), "size": list(data.size),
            "poses": float(np.abs(poses).sum()), "action units": zlib.crc32(np.ascontiguousarray(data.au).tobytes()),
            "trust in action units": list(data.au_reliability or ()),
            "sound": zlib.crc32(data.sound_path.read_bytes())}


def _resumed(path: Path, clip: Clip, config: TrainConfig, seed: int, identity: dict[str, Any]) -> Run | None:
    if not path.exists():
        return None

    def check(came: dict[str, Any]) -> None:
        differing = sorted(k for k in identity if k in came and as_json(identity[k]) != came[k])
        if differing:
            told = [f"config ({_differing(identity[k], came[k])})" if k == "config" else k for k in differing]
            raise TalkingHeadsError("An unfinished run can only be continued with the same data set and settings",
                                    f"another {', '.join(told)} in {path.name}",
                                    "Restore the settings, choose another name, or start afresh (resume off)")

    return load_run(path, clip, config, seed, check)


def _differing(mine: dict[str, Any], theirs: Any) -> str:
    """The settings that two configurations do not share."""
    theirs, mine = theirs if isinstance(theirs, dict) else {}, as_json(mine)
    return ", ".join(k for k in mine if k not in theirs or mine[k] != theirs[k])


def _drive(run: Run, state_path: Path, identity: dict[str, Any], report: Report) -> None:
    total, since = run.total_steps, 0

    def tell(info: Mapping[str, Any], picture: np.ndarray | None) -> None:
        try:
            report(run.done, total, info, picture)
        except BaseException:  # whatever stops the run (cancelling included) passes on; the work done so far is kept
            save_run(run, state_path, identity)
            raise

    while run.phase < len(PHASES):
        if run.draws and must_compile(run.clip.device, gradients=True):
            tell({"phase": COMPILE}, None)
        wants_picture = run.done % PREVIEW_EVERY == 0
        try:
            info, picture = run.step(wants_picture)
        except TalkingHeadsError:  # refused before anything moved: what was learnt since the last saving is kept
            _kept(run, state_path, identity)
            raise
        since += 1
        if since >= run.config.checkpoint_every:
            save_run(run, state_path, identity)
            since = 0
        tell(info if picture is None else {**info, SHOWS: "truth | avatar"}, picture)
    save_run(run, state_path, identity)  # finishing may fail too (a full disk): only the finishing is then done again


def _kept(run: Run, state_path: Path, identity: dict[str, Any]) -> None:
    """Saves the state while something worse is being told."""
    if not run.between:
        log.warning("The state of the training was not saved: it stopped in the middle of a step; the one saved before is kept")
        return
    try:
        save_run(run, state_path, identity)
    except TalkingHeadsError as error:
        log.warning("The state of the training was not saved: %s", error)
