"""The settings of a training of AToM: one frozen record, and its presets.

`published` holds the numbers of docs/moditalker.md; `demo` is what a CPU can do in an hour or two, on mel features; `standard`
lies between: for one GPU. `finetune` continues good weights for some minutes, on a user's own videos.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ...media_core.errors import TalkingHeadsError
from ...training_core import settings
from ...training_core.settings import TrainSettings, require
from ..choices import FINE_TUNING
from ..config import known as known_fields
from .config import REFERENCES, DenoiserConfig, check_sampling, octave_base

FINE = 0.2  # fraction of a preset's learning rate for weights that were trained before


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings):
    """A whole training. The width of an audio token follows from the dataset's features and `stack`."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    encoder: str | None = None  # speech encoder the dataset must hold; None: whichever it holds
    layer: str = "last"  # of the encoder
    stack: int = 1  # neighbouring rows joined into one audio token
    batch: int = 64  # windows per step, over all processes
    lr: float = 1e-3
    schedule: str = "cosine"
    gradient_clip: float | None = 1.0
    ema: float | None = 0.999
    cond_drop: float = 0.25  # probability of a window without speech and face
    attention_dropout: float | None = None  # on the attention's weights; None: as on everything else. 0 is half the work
    clip: float | None = 1.0  # cm, kept in the file for sampling
    guidance: float = 2.0  # kept in the file for sampling, as are the next three
    sampler: str = "ddim"  # one of diffusion.SAMPLERS
    sampler_steps: int = 50
    eta: float = 1.0  # share of fresh noise in DDIM
    reference: str = "first"  # face of a window: its "first" frame, or "any" frame of the clip
    mirror: float = 0.0  # probability of a window with left and right exchanged (ours)
    voice: float = 0.0  # strength of level, colour and noise added to mel features (ours); 0: none
    noisy: float = 0.0  # fraction of the windows that are learnt at noisy steps only, above the even draw of all steps (ours)
    mouth: float = 1.0  # weight of jaw and lips in the loss over that of the other points (ours)
    closures: float = 1.0  # times that at moments in which the lips close (ours)
    neutral: float = 0.0  # probability of a window that is shown the mean face, its motion measured from the person's own face at
    # rest: as in use, of weights whose `shown` is "mean" (ours)
    keep_start: float = 0.0  # fraction of the weights that the training began with in those that are saved (ours)
    lips: float = 0.0  # steps of the lip network (`lips.py`), as a fraction of `steps`; 0: none is trained (ours)
    save_every: int = 500
    val_every: int = 500

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    free: ClassVar[tuple[str, ...]] = (*settings.FREE, "clip", "guidance", "sampler", "sampler_steps", "eta")

    @property
    def lip_steps(self) -> int:
        """Of the lip network."""
        return math.ceil(self.lips * self.steps)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(("stack",))
        self.check_choices({"reference": REFERENCES})
        self.check_fractions(("cond_drop", "mirror", "noisy", "neutral", "keep_start"))
        require(0 < self.mouth < math.inf and 0 < self.closures < math.inf, "mouth and closures must be above 0",
                f"{self.mouth}, {self.closures}")
        require(0 <= self.lips < math.inf, "lips must not be below 0", f"{self.lips}")
        require(self.voice >= 0, "voice must not be below 0", f"{self.voice}")
        require(self.attention_dropout is None or 0 <= self.attention_dropout < 1, "attention_dropout must lie in 0..1",
                f"{self.attention_dropout}")
        check_sampling(self.sampler, self.sampler_steps, self.eta, self.guidance, self.clip)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Raises:
            TalkingHeadsError: names or values that no training has.
        """
        known = known_fields(cls, values, "A training")
        if "denoiser" in known:
            known["denoiser"] = DenoiserConfig(**known_fields(DenoiserConfig, known["denoiser"], "Its part 'denoiser'"))
        if known.get("betas") is not None:
            known["betas"] = tuple(known["betas"])
        return cls(**known)


def presets() -> dict[str, TrainConfig]:
    """`demo`, `standard`, `published` and `finetune`, by name."""
    small = DenoiserConfig(latent_dim=128, ff_size=256, num_layers=4, num_heads=4, seq_len=64, cond_feature_dim=320,
                           rotary_base=octave_base(128), residual=True, dropout=0.0)
    demo = TrainConfig(preset="demo", denoiser=small, stack=4, steps=2500, batch=32, lr=1e-3, warm_up=100,
                       clip=2.5, cond_drop=0.1, guidance=1.0, sampler="ddim0", sampler_steps=10, eta=0.0, reference="any",
                       mirror=0.5, voice=1.0, attention_dropout=0.0, lips=0.5)
    middle = DenoiserConfig(latent_dim=256, ff_size=512, num_layers=6, num_heads=8, seq_len=100, rotary_base=octave_base(256),
                            residual=True)
    standard = replace(demo, preset="standard", denoiser=middle, attention_dropout=None, steps=40000, batch=64,
                       lr=5e-4, warm_up=1000, ema=0.9995, precision="bf16", lips=0.05, save_every=2000, val_every=2000)
    published = TrainConfig(preset="published", encoder="hubert-large-ls960-ft", steps=400000, batch=64, optimizer="adan",
                            lr=4e-4, weight_decay=0.02, schedule="constant", gradient_clip=None, ema=0.9999, ema_warm_up=False,
                            save_every=2000, val_every=2000)
    gentle = replace(demo, preset=FINE_TUNING, steps=60, batch=16, lr=8e-5, warm_up=10, schedule="constant", ema=0.95,
                     neutral=1.0, keep_start=0.4, lips=2.0, save_every=30, val_every=30)
    return {c.preset: c for c in (demo, standard, published, gentle)}


def preset(name: str) -> TrainConfig:
    """The preset called `name`; a three-part error lists the names otherwise."""
    known = presets()
    if name not in known:
        raise TalkingHeadsError("The preset must be one of " + ", ".join(known), repr(name), "Choose one of these names")
    return known[name]


def gentler(config: TrainConfig) -> TrainConfig:
    """The same with the learning rate of fine-tuning: weights that are good already are not thrown far."""
    return replace(config, lr=FINE * config.lr)
