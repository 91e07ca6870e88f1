"""What an AToM checkpoint says about itself: sizes of its network, the speech it listens to, how it wants to be sampled."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ...media_core.audio import FPS
from ...media_core.errors import TalkingHeadsError
from ...media_core.schema import RATES, WIDEST, is_json_object
from ...media_core.speech import Speech, SpeechEncoder
from ..config import MOST_LAYERS, REFERENCES, SHOWN, known
from .diffusion import SAMPLERS, STEPS

TOKENS_PER_FRAME = 2
MOST_ROWS = 10_000.0  # Hz, of speech features


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the network; the defaults are the published ones (docs/moditalker.md#atom-network)."""

    nfeats: int = 204  # 68 points x 3, point-major
    seq_len: int = 156  # T, most frames in a window
    latent_dim: int = 512  # C
    ff_size: int = 1024  # hidden width of the encoders' feed-forward nets
    num_layers: int = 8  # decoder layers
    num_heads: int = 8  # H
    dropout: float = 0.1  # in training
    cond_feature_dim: int = 1024  # numbers an audio token
    rotary_base: float = 10000.0  # of the position angles; ours: `octave_base`
    residual: bool = False  # each layer adds to what it was given (ours); published: it replaces it, so that speech reaches the
    # next layer only through attention weights on the face's tokens, which learns slowly and hardly opens the mouth

    def __post_init__(self) -> None:
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        bad = [f"{name} {value!r}" for name, value in whole.items()
               if type(value) is not int or not 1 <= value <= (MOST_LAYERS if name == "num_layers" else WIDEST)]
        if bad or self.nfeats != 204 or self.latent_dim % 4 or self.latent_dim % self.num_heads:
            raise TalkingHeadsError(f"The network's sizes must be whole numbers above 0 (layers up to {MOST_LAYERS}, others to "
                                    f"{WIDEST}), nfeats 204, latent_dim a multiple of 4 and of num_heads",
                                    ", ".join(bad) or f"{whole}", "Correct the sizes")
        if not 0 <= self.dropout < 1 or not 1 < self.rotary_base < math.inf or type(self.residual) is not bool:
            raise TalkingHeadsError("Dropout must lie in 0..1, rotary_base above 1, and residual be true or false",
                                    f"{self.dropout}, {self.rotary_base} and {self.residual}", "Correct them")


def octave_base(width: int, steps: int | None = None) -> float:
    """The rotary base for which audio token 2 i turns as frame i does, `steps` channel pairs further on: base^(2 steps / C) = 2.

    With two tokens per frame, matching a frame to its audio asks for rotations at half the rate; only then are there any that
    match exactly. Our choice, for networks too small to learn around it; None takes the nearest to the official 10000.
    """
    steps = max(1, round(width * math.log(2) / (2 * math.log(10000)))) if steps is None else steps
    return 2.0 ** (width / (2 * steps))


@dataclass(frozen=True)
class SpeechInput:
    """The speech a checkpoint was trained on. Two tokens per video frame; token k stands for the time (k + 1/2) / (2 fps)."""

    encoder: str = "hubert-large-ls960-ft"  # id of the encoder
    layer: str = "last"  # which of its layers
    rate: float = 50.0  # Hz, rows per second
    dim: int = 1024  # numbers per row
    stack: int = 1  # neighbouring rows joined into one token

    def __post_init__(self) -> None:
        texts, numbers = (self.encoder, self.layer), (self.dim, self.stack)
        if (not all(isinstance(value, str) for value in texts) or not 0 < self.rate <= MOST_ROWS
                or any(type(value) is not int or not 1 <= value <= WIDEST for value in numbers)):
            raise TalkingHeadsError(f"Speech needs an encoder, a layer, a rate up to {MOST_ROWS:g} Hz, and whole numbers dim and "
                                    f"stack up to {WIDEST}", f"{self!r}", "Correct them")

    def __str__(self) -> str:
        return f"{self.encoder}, layer {self.layer}, {self.rate:g} Hz, {self.dim} numbers per row"

    @property
    def token_dim(self) -> int:
        return self.dim * self.stack

    def check(self, speech: Speech) -> None:
        """Raises:
            TalkingHeadsError: the speech was made by another encoder, layer or rate, or has another width.
        """
        self._refuse_others(speech.encoder, speech.layer, speech.rate, speech.features.shape[1])
        if not torch.isfinite(speech.features).all():
            raise TalkingHeadsError("Speech features must be finite", "NaN or inf among them", "Encode the audio again")

    def check_encoder(self, encoder: SpeechEncoder) -> None:
        """What `check` refuses, before anything is encoded.

        Raises:
            TalkingHeadsError: the network was trained on another encoder or layer.
        """
        self._refuse_others(encoder.facts.id, encoder.layer, encoder.facts.rate, encoder.facts.dim)

    def _refuse_others(self, encoder: str, layer: str, rate: float, dim: int) -> None:
        if (encoder, layer, dim) != (self.encoder, self.layer, self.dim) or abs(rate - self.rate) > 1e-6:
            came = f"{encoder}, layer {layer}, {rate:g} Hz, {dim} numbers per row"
            raise TalkingHeadsError(f"This AToM listens to {self}", came, f"Encode the audio with '{self.encoder}', layer "
                                    f"{self.layer}, or load an AToM trained on '{encoder}', layer {layer}")

    def tokens(self, speech: Speech, fps: float, start: int, stop: int) -> Tensor:  # float32 [2 (stop - start), stack * dim]
        """Audio tokens of video frames `start` to `stop`; outside the audio stands real silence, never zeros."""
        tokens = torch.arange(TOKENS_PER_FRAME * start, TOKENS_PER_FRAME * stop, dtype=torch.float64)
        middle = (tokens + 0.5) / (TOKENS_PER_FRAME * fps) * self.rate  # in rows, as in Speech.frame_windows
        first = torch.floor(middle - self.stack / 2 + 0.5 + 1e-9).long()
        rows = first[:, None] + torch.arange(self.stack)
        inside = (rows >= 0) & (rows < len(speech.features))
        picked = speech.features[rows.clamp(0, len(speech.features) - 1)].float()
        if not bool(inside.all()):  # silence is searched for once in all of the audio, not for every window
            picked = torch.where(inside[..., None], picked, speech.silence_row())
        return picked.flatten(1)


@dataclass(frozen=True)
class LipConfig:
    """Sizes of the lip network (`lips.py`), and how far it is followed; ours."""

    width: int = 64  # channels of a member
    layers: int = 3
    kernel: int = 5  # frames that a layer looks at
    members: int = 3  # networks of which the mean counts
    shapes: int = 4  # K, directions in which speech moves the mouth
    dropout: float = 0.2  # in training
    weight: float = 0.2  # 0..1 of the mouth's motion; the rest is the denoiser's
    spread: float = 0.0  # cm, standard deviation of the lips' opening while people spoke that it learnt from; 0: unknown

    def __post_init__(self) -> None:
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        most = {"layers": MOST_LAYERS, "shapes": 111, "members": 64, "kernel": 99}
        bad = [f"{name} {value!r}" for name, value in whole.items()
               if type(value) is not int or not 1 <= value <= most.get(name, WIDEST)]
        if bad or self.kernel % 2 == 0:
            raise TalkingHeadsError("The lip network's sizes must be whole numbers above 0, its kernel odd",
                                    ", ".join(bad) or f"{whole}", "Correct the sizes")
        if not 0 <= self.dropout < 1 or not 0 <= self.weight <= 1 or not 0 <= self.spread < math.inf:
            raise TalkingHeadsError("The lip network's dropout and weight must lie in 0..1, its spread not below 0",
                                    f"{self.dropout}, {self.weight}, {self.spread}", "Correct them")


def check_sampling(sampler: str, steps: int, eta: float, guidance: float, clip: float | None) -> None:
    """What a file says of its sampling must be possible, long before it is sampled.

    Raises:
        TalkingHeadsError: it is not.
    """
    if (sampler not in SAMPLERS or type(steps) is not int or not 1 <= steps <= STEPS or not 0 <= eta <= 1
            or not math.isfinite(guidance) or (clip is not None and not 0 < clip < math.inf)):
        raise TalkingHeadsError(f"Sampling needs one of {', '.join(SAMPLERS)}, 1 to {STEPS} steps, eta 0..1, a finite guidance, "
                                "and a clip above 0 or none", f"{sampler}, {steps}, {eta}, {guidance}, {clip}", "Correct them")


@dataclass(frozen=True)
class AToMConfig:
    """A whole checkpoint's description."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    speech: SpeechInput = field(default_factory=SpeechInput)
    fps: float = FPS  # frames per second of the motion
    clip: float | None = 1.0  # cm; predictions are kept within +-clip in every step (docs/moditalker.md#clip); None: not at all
    guidance: float = 2.0  # w: unconditional + w (conditional - unconditional)
    sampler: str = "ddim"  # see diffusion.SAMPLERS
    steps: int = 50  # of the sampler
    eta: float = 1.0  # fraction of fresh noise in DDIM
    reference: str = "first"  # the face trained with: "first" frame of the window (published), or "any" frame of the person
    shown: str = "portrait"  # the face it is given in use: the "portrait" (published), or its "mean" face, where it has learnt
    # from too few kinds of faces to read a stranger's; the motion is then added to the portrait with its mouth closed
    mouth_noise: float = 1.0  # 0..1, of the noise that jaw and lips are sampled from (published: 1); less follows the speech more
    lips: LipConfig | None = None  # the lip network beside the denoiser; None: there is none
    licence: str = ""  # what may be done with the weights
    training: Mapping[str, Any] = field(default_factory=dict)  # how they were made

    def __post_init__(self) -> None:
        if self.reference not in REFERENCES or self.shown not in SHOWN or not RATES[0] <= self.fps <= RATES[1]:
            raise TalkingHeadsError("An AToM needs a reference 'first' or 'any', a shown face 'portrait' or 'mean', and fps in "
                                    f"{RATES[0]:g}..{RATES[1]:g}", f"{self.reference}, {self.shown}, {self.fps}", "Correct them")
        check_sampling(self.sampler, self.steps, self.eta, self.guidance, self.clip)
        if not 0 <= self.mouth_noise <= 1:
            raise TalkingHeadsError("An AToM's mouth_noise must lie in 0..1", f"{self.mouth_noise}", "Correct it")
        if not isinstance(self.licence, str) or not is_json_object(self.training):
            raise TalkingHeadsError("An AToM's licence must be text, and its training notes an object",
                                    f"{type(self.licence).__name__} and {type(self.training).__name__}", "Correct them")
        if self.speech.token_dim != self.denoiser.cond_feature_dim:
            raise TalkingHeadsError("An audio token must have the network's cond_feature_dim numbers",
                                    f"{self.speech.token_dim} and {self.denoiser.cond_feature_dim}", "Correct one of them")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AToMConfig:
        """The inverse of `to_dict`.

        Raises:
            TalkingHeadsError: names or values that no AToM has.
        """
        given = known(cls, values, "An AToM's description")
        parts = {"denoiser": DenoiserConfig, "speech": SpeechInput}
        for name, part in parts.items():
            given[name] = part(**known(part, given.get(name, {}), f"Its part '{name}'"))
        if given.get("lips") is not None:
            given["lips"] = LipConfig(**known(LipConfig, given["lips"], "Its part 'lips'"))
        return cls(**given)
