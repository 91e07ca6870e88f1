"""Audio nets that already predict lower-face action units before any person is known.

The paper's speech encoder (AVE) comes pretrained on thousands of speakers; our mel encoder knows nothing. A *speech prior*
fills that place: AudioNet, AudioAttNet and A2AM of the face net, trained on speech with known action units of people other than
the one to be trained. A new avatar starts from it (`train_avatar`), as InsTaG (arXiv 2502.20387) starts a person from a universal
motion net (docs/hmtalker.md#speech-prior).
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ...media_core.chance import drawn
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...media_core.motion import LOWER_INDEX
from ...media_core.progress import Report, silent
from ...media_core.schema import COUNT, described, record, text, whole
from ...media_core.speech import encoders
from ...media_core.tensor_schema import all_finite
from ...training_core.state import check_finite_step
from ..avatar_checks import AUDIO
from ..model.audio_net import HALF, audio_windows, net_arguments
from ..model.motion import FaceMotionNet
from .augment import augment_windows
from .branches import strip
from .curriculum import step_seed

KIND, VERSION = "speech prior", 1
PARTS = ("audio_net", "audio_att_net", "a2am")
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "speech_prior.safetensors"
SHIPPED_ENCODER = "mel"
_SETTINGS = record({"encoder": text(200)}, {"audio": AUDIO, "steps": whole(0, COUNT)})
LR, DECAY, BATCH = 2e-3, 1e-2, 48


@dataclass(frozen=True)
class SpokenClip:
    """Speech with its action units."""

    features: Tensor  # float32 [F, C, W] speech features around each frame
    au: Tensor  # float32 [F, 17] intensities 0..5
    outside: Tensor | None = None  # [8, C, W] see `audio_windows`; None: the encoder's silence, where it has one


def train_prior(clips: Sequence[SpokenClip], path: str | os.PathLike, encoder: str, *, steps: int = 6000, seed: int = 0,
                augment: float = 1.0, report: Report = silent) -> Path:
    """Trains a prior on some clips and saves it.

    Args:
        clips: of any people and lengths, from one encoder.
        path: file to write.
        encoder: its id.
        steps: optimisation steps of 48 frames each.
        seed: of all randomness.
        augment: strength of `augment.augment_windows`.
        report: called once per step with the loss (mean squared action-unit error, EMA).
    Raises:
        TalkingHeadsError: no clips, or a loss or gradient that is not finite (then no file is written).
    """
    clips = [_with_silence(clip, encoder) for clip in clips]
    if not clips:
        raise TalkingHeadsError("A speech prior needs at least one clip", "none", "Give clips with action units")
    arguments, known = net_arguments(clips[0].features), encoders().get(encoder)
    spectral = known is not None and known.spectral
    net = drawn(step_seed(seed, 95, 0), lambda: FaceMotionNet(**arguments))
    parameters = [p for name in PARTS for p in getattr(net, name).parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY)
    mean_loss = float("nan")
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - step / steps) + 0.02 * LR
        generator = torch.Generator().manual_seed(step_seed(seed, 96, step))
        windows, au = _batch(clips, generator)
        predicted = net.a2am(net.encode_audio(augment_windows(windows, augment, generator, spectral)))[:, -len(LOWER_INDEX):]
        loss = (predicted - au).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        check_finite_step(loss, (p.grad for p in parameters), f"step {step + 1}")
        optimizer.step()
        mean_loss = float(loss.detach()) if step == 0 else 0.98 * mean_loss + 0.02 * float(loss.detach())
        report(step + 1, steps, {"phase": "speech prior", "loss": mean_loss}, None)
    tensors = {f"{name}.{k}": v for name in PARTS for k, v in getattr(net, name).state_dict().items()}
    config = {"encoder": encoder, "audio": arguments, "steps": steps}
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config=config)


def _with_silence(clip: SpokenClip, encoder: str) -> SpokenClip:
    known = encoders().get(encoder)
    if clip.outside is not None or known is None or known.silence is None:
        return clip
    return replace(clip, outside=clip.features.new_full((2 * HALF, *clip.features.shape[1:]), known.silence))


def _batch(clips: Sequence[SpokenClip], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(windows [B, 8, C, W], lower action units [B, 10]) of random frames of a few random clips."""
    windows, au = [], []
    for pick in torch.randint(len(clips), (4,), generator=generator).tolist():
        frames = torch.randint(len(clips[pick].au), (BATCH // 4,), generator=generator)
        windows.append(audio_windows(clips[pick].features, frames, outside=clips[pick].outside))
        au.append(clips[pick].au[frames][:, list(LOWER_INDEX)])
    return torch.cat(windows), torch.cat(au)


def start_from_prior(net: FaceMotionNet, path: str | os.PathLike, encoder: str) -> None:
    """Puts a prior's weights into a fresh face net.

    Raises:
        FileFormatError: absent, damaged, or not a prior.
        TalkingHeadsError: it was made for another encoder.
    """
    tensors, config = load_tensors(path, kind=KIND, version=VERSION)
    name, again = Path(path).name, "Make it again with this version"
    described(config, _SETTINGS, name, again)
    all_finite(tensors, name, again)
    if config["encoder"] != encoder:
        raise TalkingHeadsError(f"The speech prior must be made for encoder '{encoder}'", f"'{config['encoder']}'",
                                "Choose that encoder, or train without a prior")
    try:
        for name in PARTS:
            getattr(net, name).load_state_dict(strip(tensors, f"{name}."))
    except RuntimeError as error:
        raise FileFormatError("The speech prior must fit the face net", f"{name} does not ({error})", again) from error
