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
from ...media_core.motion import LOWER_AUS, LOWER_INDEX
from ...media_core.progress import Report, silent
from ...media_core.schema import COUNT, described, record, text, whole
from ...media_core.speech import encoders
from ...media_core.tensor_schema import all_finite
from ...training_core.state import check_finite_step
from ..avatar_checks import AUDIO
from ..model.audio_net import FRAMES, HALF, audio_windows, net_arguments
from ..model.motion import FaceMotionNet
from .augment import augment_windows
from .branches import strip
from .curriculum import step_seed

KIND, VERSION = "speech prior", 1
PARTS = ("audio_net", "audio_att_net", "a2am")
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "speech_prior.safetensors"
SHIPPED_ENCODER = "mel"
_SETTINGS = record({"encoder": text(200)}, {"audio": AUDIO, "steps": whole(0, COUNT)})
LR, DECAY, STEPS = 2e-3, 1e-2, 20000
RUNS, RUN = 8, 25  # runs of neighbouring frames in a step, and frames in each; odd
MOUTH = [LOWER_AUS.index("AU25"), LOWER_AUS.index("AU26")]
LIPS, SHUT = 3.0, 3.0  # weight of lips and jaw over the other units, and of P, B and M over other frames


@dataclass(frozen=True)
class SpokenClip:
    """Speech with its action units."""

    features: Tensor  # float [F, C, W] speech features around each frame; half precision will do
    au: Tensor  # float32 [F, 17] intensities 0..5
    outside: Tensor | None = None  # [8, C, W] see `audio_windows`; None: the encoder's silence, where it has one
    shut: Tensor | None = None  # bool [F] frames of P, B and M, whose lips weigh more; None: none
    often: float = 1.0  # how often it is drawn, over a clip of 1


def train_prior(clips: Sequence[SpokenClip], path: str | os.PathLike, encoder: str, *, steps: int = STEPS, seed: int = 0,
                augment: float = 1.0, report: Report = silent) -> Path:
    """Trains a prior on some clips and saves it.

    Args:
        clips: of any people and lengths, from one encoder.
        path: file to write.
        encoder: its id.
        steps: optimisation steps of eight times 25 neighbouring frames each.
        seed: of all randomness.
        augment: strength of `augment.augment_windows`.
        report: called once per step with the loss (weighted mean squared action-unit error, EMA).
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
        heard, au, weights = _batch(clips, generator)
        predicted = _units(net, augment_windows(heard, augment, generator, spectral))
        loss = ((predicted - au).square() * weights).mean()
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
    """The clip with what is heard beside it as far as a run reaches: [32, C, W], the outermost frames repeated."""
    known, outside = encoders().get(encoder), clip.outside
    if outside is None and known is not None and known.silence is not None:
        outside = clip.features.new_full((2 * HALF, *clip.features.shape[1:]), known.silence)
    if outside is None:
        return clip
    more = RUN // 2
    far = [one.expand(more, *one.shape[1:]) for one in (outside[:1], outside[-1:])]
    return replace(clip, outside=torch.cat([far[0], outside, far[1]]).to(clip.features))


def _batch(clips: Sequence[SpokenClip], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(what is heard in runs of frames [R, 32, C, W], lower action units of the 25 in the middle [R * 25, 10], their weights)."""
    heard, au, weights = [], [], []
    often = torch.tensor([clip.often for clip in clips])
    for pick in torch.multinomial(often, RUNS, replacement=True, generator=generator).tolist():
        clip, count = clips[pick], len(clips[pick].au)
        least = min(RUN // 2, count // 2)
        middle = torch.randint(least, max(count - RUN // 2, least + 1), (1,), generator=generator)
        frames = middle + torch.arange(RUN) - RUN // 2
        there, frames = ((frames >= 0) & (frames < count)).float(), frames.clamp(0, count - 1)
        heard.append(audio_windows(clip.features, middle, RUN + FRAMES - 1, clip.outside).float())
        au.append(clip.au[frames][:, list(LOWER_INDEX)])
        weights.append(_weights(clip, frames) * there[:, None])
    return torch.cat(heard), torch.cat(au), torch.cat(weights)


def _weights(clip: SpokenClip, frames: Tensor) -> Tensor:  # [n] -> [n, 10]
    """Lips and jaw weigh more than what speech tells little of, and at P, B and M they weigh most."""
    weights = torch.ones(len(frames), len(LOWER_INDEX))
    weights[:, MOUTH] = LIPS
    weights = weights / weights.mean()
    if clip.shut is not None:
        weights[:, MOUTH] *= torch.where(clip.shut[frames], SHUT, 1.0)[:, None]
    return weights


def _units(net: FaceMotionNet, heard: Tensor) -> Tensor:  # [R, 32, C, W] -> [R * 25, 10]
    """Lower action units of the frames in the middle of each run: every frame is encoded once for all its windows."""
    codes = net.audio_net(heard).unfold(1, FRAMES, 1).transpose(-1, -2).flatten(0, 1)
    return net.a2am(net.audio_att_net(codes))[:, -len(LOWER_INDEX):]


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
        for name in PARTS if net.cue == "au" else PARTS[:2]:  # A2AM predicts action units
            getattr(net, name).load_state_dict(strip(tensors, f"{name}."))
    except RuntimeError as error:
        raise FileFormatError("The speech prior must fit the face net", f"{name} does not ({error})", again) from error
