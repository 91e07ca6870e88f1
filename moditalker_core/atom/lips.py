"""The lip network: a small convolutional net beside AToM's denoiser, from speech to the mouth's motion (docs/moditalker.md#lips).

It hears half a second around each frame and nothing else, so it follows voices that it has never heard better than the denoiser
does. What it says replaces a part of the denoiser's mouth, in the few directions in which speech moves a mouth; everything else
stays the denoiser's. Ours, no paper's.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...media_core.chance import Dropout
from ...media_core.errors import TalkingHeadsError
from ...media_core.mouth import INNER_PAIRS, closed_mouth, smooth_step
from ...media_core.mouth_gate import gated
from ...media_core.speech import Speech
from .config import TOKENS_PER_FRAME, LipConfig, SpeechInput

BLOCK = 4096  # frames heard at once
MOST_GAIN = 2.4  # how much wider than the network says a voice may open the mouth
WIDER = 1.5  # power of the spread learnt from over that of a voice: real people, of whom the network is unsure, move their lips
# wider than the synthetic ones it knows (benchmarks/real_voices.py: amplitude)
STRANGE = 1.5  # that spread over that of a voice that has not spoken yet: as of people never heard
DOUBT = 25.0  # speaking frames until a voice's own spread counts as much as that
SOUGHT, SURE = 0.24, 0.70  # certainty of closed lips from which on they close, and at which they are shut
SUREST, LEAST_SURE = 0.98, 0.5  # quantile of the probabilities of a speech that counts as certain, and the least that may
JAW = 0.5  # how far the jaw goes along when P, B or M shut the lips; it goes all the way when a mouth comes to rest


class LipNetwork(nn.Module):
    """`config.members` nets side by side, each with weights of its own; their mean counts.

    Args:
        config: sizes. speech: what it listens to.
    """

    mean: Tensor  # [2D] of the speech, D numbers per row
    scale: Tensor  # [2D]
    shapes: Tensor  # [K, 204] of length 1: the directions in which the mouth moves
    level: Tensor  # [K] cm, mean of the coefficients
    reach: Tensor  # [K] cm, their standard deviation

    def __init__(self, config: LipConfig, speech: SpeechInput):
        super().__init__()
        self.config, rows = config, TOKENS_PER_FRAME * speech.dim
        wide, members = config.width * config.members, config.members
        self.enter = nn.Conv1d(rows, wide, 1)
        self.layers = nn.ModuleList(nn.Conv1d(wide, wide, config.kernel, padding=config.kernel // 2, groups=members)
                                    for _ in range(config.layers))
        self.leave = nn.Conv1d(wide, (config.shapes + 1) * members, 1, groups=members)
        self.drop = Dropout(config.dropout)
        for name, size in (("mean", (rows,)), ("scale", (rows,)), ("shapes", (config.shapes, 204)), ("level", (config.shapes,)),
                           ("reach", (config.shapes,))):
            self.register_buffer(name, torch.zeros(size))

    @property
    def halo(self) -> int:
        """Frames on either side that an answer depends on."""
        return self.config.layers * (self.config.kernel // 2)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What each member says.

        Args:
            rows: [B, T, 2D] of the speech, see `per_frame`.
        Returns:
            Coefficients of `shapes`, [B, T, members, K] cm from the mouth at rest; logits [B, T, members] of lips shut by a P, B
            or M.
        """
        x = self.enter(((rows - self.mean) / self.scale).transpose(1, 2))
        for layer in self.layers:
            x = x + self.drop(functional.gelu(layer(x)))
        out = self.leave(x).transpose(1, 2).unflatten(-1, (self.config.members, -1))
        return out[..., :-1] * self.reach + self.level, out[..., -1]

    def opening(self, coefficients: Tensor) -> Tensor:  # [..., K] -> [...]
        """How far the inner lips stand further apart than at rest, in cm."""
        return coefficients @ opening_of(self.shapes)


def per_frame(tokens: Tensor, dim: int) -> Tensor:  # [..., 2T, stack * dim] -> [..., T, 2 * dim]
    """Audio tokens as `SpeechInput.tokens` gives them, those of a frame side by side; rows stacked in a token are averaged."""
    rows = tokens.unflatten(-1, (-1, dim)).mean(-2)
    return rows.unflatten(-2, (-1, TOKENS_PER_FRAME)).flatten(-2)


def opening_of(moved: Tensor) -> Tensor:  # [..., 204] -> [...]
    """How far a displacement of the face's points parts the inner lips upwards."""
    points = moved.unflatten(-1, (68, 3))
    upper, lower = ([pair[k] for pair in INNER_PAIRS] for k in (0, 1))
    return (points[..., upper, 1] - points[..., lower, 1]).mean(-1)


@dataclass(frozen=True)
class LipCurves:
    """What the lip network hears in a whole speech."""

    shapes: Tensor  # [K, 204]
    coefficients: Tensor  # [F, K] cm
    closing: Tensor  # [F] 0..1, how far P, B and M shut the lips
    centre: Tensor  # [K] cm, mean while somebody speaks
    gain: float  # about `centre`, at least 1
    weight: float  # 0..1 of these curves; the rest is AToM's own mouth

    def moved(self, motion: Tensor, at: int) -> Tensor:  # [n, 204] cm -> the same
        """Motion of frames `at` and following with the mouth moved towards these curves; what no shape moves stays.

        Without a matrix product, whose last bits depend on the number of frames.
        """
        moved = motion.double()
        for shape, said, centre in zip(self.shapes.double(), self.coefficients.T[:, at:at + len(motion)].double(), self.centre):
            own = (motion * shape).sum(-1)
            change = centre + self.gain * (torch.lerp(own, said, self.weight) - centre) - own
            moved = moved + change[:, None] * shape
        return moved.float()


@torch.inference_mode()
def lip_curves(network: LipNetwork, speech: SpeechInput, heard: Speech, fps: float, strength: float = 1.0) -> LipCurves:
    """The curves of all of a speech: the same whichever frames are made from them.

    Args:
        network: in evaluation mode. speech: what it listens to. heard: the speech. fps: frames per second of the motion.
        strength: 0..1, how far the curves are followed: 0 not at all.
    Raises:
        TalkingHeadsError: the network gives NaN or infinity.
    """
    frames = heard.frame_count(fps)
    coefficients, closed = torch.empty(frames, network.config.shapes), torch.empty(frames)
    for at in range(0, frames, BLOCK):
        stop, halo = min(at + BLOCK, frames), network.halo
        rows = per_frame(speech.tokens(heard, fps, at - halo, stop + halo), speech.dim)
        found, logits = network(rows[None].to(network.mean))
        coefficients[at:stop] = found[0, halo:len(found[0]) - halo].mean(1).float().cpu()
        closed[at:stop] = logits[0, halo:len(logits[0]) - halo].sigmoid().mean(1).float().cpu()
    if not bool(torch.isfinite(coefficients).all() and torch.isfinite(closed).all()):
        raise TalkingHeadsError("What the lip network says must be finite", "NaN or infinity", "Make or copy the weights again")
    spoken, shapes = ~heard.silent_frames(fps)[:frames], network.shapes.float().cpu()
    some = coefficients[spoken]
    return LipCurves(shapes=shapes, coefficients=coefficients,
                     closing=strength * certain(closed),
                     centre=some.mean(0) if len(some) else torch.zeros(network.config.shapes),
                     gain=1 + strength * (spread_gain(some @ opening_of(shapes), network.config.spread) - 1),
                     weight=strength * network.config.weight)


def certain(closed: Tensor) -> Tensor:  # [F] 0..1 -> [F] 0..1
    """How far lips shut that are closed with these probabilities. In a voice that it does not know a network is never quite sure,
    and misses closures rather than inventing them: its probabilities count beside the highest of the speech, squared."""
    surest = min(max(float(np.quantile(closed.double().numpy(), SUREST)), LEAST_SURE), 1.0)
    return smooth_step((closed / surest ** 2 - SOUGHT) / (SURE - SOUGHT))


def spread_gain(opening: Tensor, spread: float) -> float:  # [n] cm
    """How much wider than the network says a voice moves the lips: a network is unsure, most of all of voices that it has never
    heard, and an unsure answer lies near the mean.

    Args:
        opening: of the lips in every frame in which somebody speaks. spread: its standard deviation in the motion learnt from.
    """
    count = len(opening)
    if not count or not spread:
        return 1.0
    own = float(opening.double().var(correction=0))
    deviation = ((count * own + DOUBT * (spread / STRANGE) ** 2) / (count + DOUBT)) ** 0.5
    return min(max(spread / deviation, 1.0) ** WIDER, MOST_GAIN)


def lips_shut(points: Tensor, closing: Tensor) -> Tensor:  # [n, 68, 3], [n] 0..1 -> [n, 68, 3]
    """The same faces with their lips shut as far as P, B and M ask for."""
    out, outline = gated(points, closing), slice(0, 17)
    out[:, outline] = torch.lerp(points[:, outline], out[:, outline], JAW)
    return out


def uncrossed(points: Tensor, rest: Tensor) -> Tensor:  # [n, 68, 3], [68, 3] dm -> [n, 68, 3]
    """The same faces with inner lips that do not cross: a mouth that is further closed than at rest is as closed as there, and no
    pair of points is nearer than there."""
    apart = lambda faces, pair: faces[..., pair[0], 1] - faces[..., pair[1], 1]
    crossed = torch.stack([apart(points, pair) - apart(rest, pair) for pair in INNER_PAIRS]).sum(0) < 0
    out = torch.where(crossed[:, None, None], closed_mouth(points), points)
    for pair in INNER_PAIRS:
        out[:, pair[1], 1] -= (apart(rest, pair) - apart(out, pair)).clamp(min=0)
    return out
