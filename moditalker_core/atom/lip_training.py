"""The training of AToM's lip network (`lips.py`): after the denoiser's, on the same windows."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...media_core.chance import drawn, share_chance
from ...media_core.mouth import JAW_AND_MOUTH, lip_aperture
from ...media_core.progress import Enough, Report, never
from ...training_core.network_training import STEP_METRICS, NetworkTraining, Part, seed_of
from ...training_core.process_group import SingleProcess
from ...training_core.trainer import Trainer, same_run, unfinished_path
from .config import LipConfig, SpeechInput
from .emphasis import shut_while_speaking
from .lips import LipNetwork, opening_of, per_frame
from .train_config import FINE, TrainConfig
from .windows import FEW, Clips, Piece, Windows, at_rest, cut, other_voice

if TYPE_CHECKING:
    from .mix import Mix

METRICS = ("loss", "shapes", "opening", "closing")
COLUMNS = (*METRICS, *STEP_METRICS)  # of the log
LR, WEIGHT_DECAY = 2e-3, 0.1
SHUT, OPEN = 0.1, 0.5  # cm further apart than at rest: shut lips, and those of a mouth that speaks
CLOSURES = 3.0  # weight of frames around P, B and M
CLOSING = 0.7  # weight of the loss of finding them
LAG = 3  # frames: what moves the mouth within them is speech, not a smile
MOST = 256  # clips that are measured
TUNED = 0.4  # `LipConfig.weight` of a network that was fine-tuned
LEAST = 0.05  # of the features' own unit, added to their standard deviation
_WEIGHTS, _CHANCE = 1 << 34, 1 << 35  # beside the steps: seeds of the first weights and of dropout


class LipTraining(NetworkTraining):
    """The state of a training.

    Args:
        config: its settings, as `lip_settings` makes them.
        windows: what it learns from.
        seed: of the windows and dropout.
        network: what it begins with.
        spread: cm, standard deviation of the true lips' opening.
    """

    kind, version = "lip_training", 1

    def __init__(self, config: TrainConfig, windows: Windows, seed: int, device: torch.device, group: SingleProcess,
                 network: LipNetwork, spread: float):
        network = network.to(device).train()
        super().__init__(config, {"network": Part(network, config, lr=config.lr, clip=config.gradient_clip)}, group, device)
        self.config, self.windows, self.seed, self.network, self.spread = config, windows, seed, network, spread
        self.chance, self._wrapped = share_chance(network), group.wrapped(network)
        self._truth: dict[int, tuple[Tensor, Tensor]] = {}  # by clip, `_true`

    def wrapped(self, turn: str) -> nn.Module:
        return self._wrapped

    def metric_names(self, turn: str) -> tuple[str, ...]:
        return METRICS

    def losses(self, turn: str, indices: Sequence[int]) -> Tensor:  # float32 [4]
        """Means over these windows, in parts of the batch."""
        rows, truth, opening, mask = (torch.stack(part).to(self.device) for part in zip(*map(self._window, indices)))
        self.chance.seed(seed_of(self.seed, _CHANCE + self.step, indices[0]))
        (coefficients, logits), network = self._wrapped(rows), self.network
        shut, near = (shut_while_speaking(opening, SHUT, OPEN, wider).unsqueeze(-1) for wider in (0, 1))
        mask = mask.unsqueeze(-1).float()
        weight = mask * torch.where(near, CLOSURES, 1.0)
        off = (coefficients - truth.unsqueeze(2)).square().sum(-1) / network.reach.square().sum()
        gap = (network.opening(coefficients) - opening.unsqueeze(-1)).square() / self.spread ** 2
        found = functional.binary_cross_entropy_with_logits(logits, shut.to(logits).expand_as(logits), reduction="none")
        each = torch.stack([(off * weight).mean(), (gap * weight).mean(), CLOSING * (found * mask).mean()])
        each = each * (len(indices) / self.config.batch)
        return torch.cat([each.sum()[None], each.detach()])

    def _window(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows [T, 2D], true coefficients [T, K] cm, opening of the lips [T] cm, mask bool [T]."""
        sample, windows = self.windows.sample(self.step, index), self.windows
        truth, opening = self._true(sample.clip)
        _, audio, mask = cut(windows.clips[sample.clip], sample.start, windows.clips.frames)
        rows = per_frame(audio, windows.clips.speech.dim)
        if windows.voice:
            rows = other_voice(rows, windows.voice, sample.generator)
        frames = torch.arange(sample.start, sample.start + len(rows)).clamp_max(len(truth) - 1)
        return rows, truth[frames], opening[frames], mask

    def _true(self, clip: int) -> tuple[Tensor, Tensor]:  # [F, K] cm, [F] cm
        """What the lips of a clip really do."""
        if clip not in self._truth:
            motion, opening = from_rest(self.windows.clips[clip], self.windows.clips.mean)
            self._truth[clip] = motion @ self.network.shapes.cpu().T, opening
        return self._truth[clip]


@dataclass(frozen=True)
class Measured:
    """What the clips tell before anything is learnt: see the buffers of `LipNetwork`."""

    mean: Tensor
    scale: Tensor
    shapes: Tensor
    level: Tensor
    reach: Tensor
    spread: float  # cm, standard deviation of the true lips' opening
    speaking: float  # the same while somebody speaks


def trained_lips(config: TrainConfig, windows: Windows, seed: int, device: torch.device, group: SingleProcess, *,
                 initial: LipNetwork | None, out: str | os.PathLike, resume: bool, identity: Mapping[str, Any], report: Report,
                 folder: Path, enough: Enough = never) -> tuple[LipNetwork | None, int]:
    """Trains a lip network for as many steps as `config` says; without any, `initial` as it is. The network, and the steps done.

    Args:
        config: of AToM's training. windows: what it learns from.
        initial: what it continues; None: a new one.
        out: AToM's file, beside which the state stands. identity: of AToM's training. folder: of the log.
        enough: ends it early (see `train_atom`).
    Raises:
        As `train_atom`.
    """
    if not config.lip_steps:
        return initial, 0
    measured, settings = measured_clips(windows.clips, LipConfig().shapes), lip_settings(config, continued=initial is not None)
    network = fresh_lips(LipConfig(), windows.clips.speech, measured, seed_of(seed, _WEIGHTS, 0)) if initial is None else initial
    begun = {name: value.clone() for name, value in network.state_dict().items()}
    gentle = initial is not None and config.keep_start > 0
    if gentle:
        held(network)
    run = LipTraining(settings, windows, seed, device, group, network, measured.spread)
    state = unfinished_lips(out)
    if resume and state.exists():
        run.load(state, lambda saved: same_run(identity, saved, state))
    Trainer(run, None, path=state, identity=identity, report=report, folder=folder, columns=COLUMNS,
            enough=enough).run()
    if gentle:
        released(network, begun, config.keep_start)
    else:
        network.config = replace(network.config, spread=round(measured.speaking, 4))
    return network.eval(), run.step


def held(network: LipNetwork) -> None:
    """Fine-tuning moves the last layer only. A tracker misses many closures of real lips: taught by two minutes of them, a whole
    network finds fewer in every other voice."""
    for layer in (network.enter, network.layers):
        layer.requires_grad_(False)


def released(network: LipNetwork, begun: Mapping[str, Tensor], kept: float) -> None:
    """Ends that: all layers can be trained again, the last is `kept` parts of what it was when it had `begun`, and says of
    closures what it said then. It counts for more than before, now that it has heard real people."""
    row = slice(network.config.shapes, None, network.config.shapes + 1)
    with torch.no_grad():
        for name, value in network.leave.named_parameters():
            old = begun[f"leave.{name}"].to(value)
            value.lerp_(old, kept)
            value[row] = old[row]
    network.requires_grad_(True)
    network.config = replace(network.config, weight=max(network.config.weight, TUNED))


def unfinished_lips(out: str | os.PathLike) -> Path:
    """Where the state of the lip network's training stands, for an AToM `out`."""
    return unfinished_path(Path(out).with_suffix(".lips.safetensors"))


def lip_settings(config: TrainConfig, *, continued: bool) -> TrainConfig:
    """The settings of the lip network's training in that of AToM."""
    steps = config.lip_steps
    return replace(config, steps=steps, optimizer="adamw", betas=None, lr=LR * (FINE if continued else 1), warm_up=steps // 10,
                   schedule="cosine", floor=0.0, weight_decay=WEIGHT_DECAY, gradient_clip=1.0, ema=None, precision="fp32")


def fresh_lips(config: LipConfig, speech: SpeechInput, measured: Measured, seed: int) -> LipNetwork:
    """A network before its first step."""
    network = drawn(seed, lambda: LipNetwork(config, speech))
    for name in ("mean", "scale", "shapes", "level", "reach"):
        getattr(network, name).copy_(getattr(measured, name))
    return network


# ----------------------------------------------------------------------------------------------------------------- measurements

def measured_clips(clips: Clips | Mix, shapes: int) -> Measured:
    """Up to MOST clips, spread evenly: mean and scale of the speech, and the `shapes` directions in which it moves the mouth,
    those in which it moves most within LAG frames. What changes slowly (a smile) is left to the denoiser."""
    mouth = torch.zeros(68, 3)
    mouth[list(JAW_AND_MOUTH)] = 1
    heard, quick = [], torch.zeros(204, 204, dtype=torch.float64)
    for piece, motion, _ in spoken_clips(clips):
        fast = (motion[LAG:] - motion[:-LAG]).double() * mouth.flatten()
        quick += fast.T @ fast
        rows = per_frame(piece.tokens[:2 * len(motion)], clips.speech.dim).double()
        heard.append((rows.mean(0), rows.square().mean(0), len(rows)))
    most = torch.linalg.eigh(quick)[1].flip(-1)[:, :shapes].T
    most = most * torch.where(opening_of(most) < 0, -1.0, 1.0)[:, None]  # their signs are arbitrary
    basis, weight = most.float(), torch.tensor([count for *_, count in heard], dtype=torch.float64)
    mean, square = (torch.stack([row[k] for row in heard]).T @ weight / weight.sum() for k in (0, 1))
    moved = torch.cat([motion @ basis.T for _, motion, _ in spoken_clips(clips)])
    opening = torch.cat([opening for *_, opening in spoken_clips(clips)])
    speaking = opening[~torch.cat([piece.silent for piece, *_ in spoken_clips(clips)])]
    return Measured(mean=mean.float(), scale=((square - mean ** 2).clamp(min=0).sqrt() + LEAST).float(), shapes=basis,
                    level=moved.mean(0), reach=moved.std(0) + 1e-3, spread=float(opening.std()) + 1e-3,
                    speaking=float(speaking.std()) if len(speaking) >= FEW else 0.0)


def spoken_clips(clips: Clips | Mix) -> Iterator[tuple[Piece, Tensor, Tensor]]:
    """Clips with what `from_rest` says of them."""
    for index in np.unique(np.linspace(0, len(clips) - 1, min(MOST, len(clips))).round().astype(int)).tolist():
        yield clips[index], *from_rest(clips[index], clips.mean)


def from_rest(piece: Piece, mean: Tensor) -> tuple[Tensor, Tensor]:  # -> [F, 204] cm, [F] cm
    """The motion of a clip from its face at rest, and how much further apart than there the inner lips stand. `mean`: in dm."""
    rest = at_rest(piece, mean)
    apart = lambda offsets: lip_aperture(offsets.unflatten(-1, (68, 3)) + 10 * mean)
    return piece.motion - rest, apart(piece.motion) - apart(rest)
