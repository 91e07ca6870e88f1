"""What a training of AToM is made of: one frozen record, and three presets.

`published` holds the numbers of docs/moditalker.md; `demo` is what a CPU can do in an hour or two, on mel features; `standard`
lies between: for one graphics card.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...media_core.errors import TalkingHeadsError
from ...training_core.optim import USUAL_BETAS
from ..config import known as known_fields
from .config import REFERENCES, DenoiserConfig, check_sampling, octave_base

PRECISIONS, SCHEDULES, OPTIMIZERS = ("fp32", "bf16"), ("constant", "cosine"), tuple(USUAL_BETAS)
FREE = ("accumulation", "save_every", "val_every", "log_every", "clip", "guidance", "sampler", "sampler_steps",
        "eta")  # do not change what is learnt, so they may change between a run and its continuation


@dataclass(frozen=True)
class TrainConfig:
    """A whole training. The width of an audio token follows from the data set's features and `stack`."""

    preset: str = "custom"  # name shown to the user
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    encoder: str | None = None  # speech encoder the data set must hold; None: whichever it holds
    layer: str = "last"  # of the encoder
    stack: int = 1  # neighbouring rows joined into one audio token
    steps: int = 10000  # optimisation steps
    batch: int = 64  # windows a step, over all processes
    accumulation: int = 1  # pieces in which a process computes its share of a batch
    optimizer: str = "adamw"  # one of OPTIMIZERS
    lr: float = 1e-3
    betas: tuple[float, ...] | None = None  # None: the optimiser's usual ones
    weight_decay: float = 0.01
    warm_up: int = 0  # steps in which the rate climbs
    schedule: str = "cosine"  # of the rate, after warm-up: one of SCHEDULES
    gradient_clip: float | None = 1.0  # largest norm of the gradient; None: not limited
    ema: float | None = 0.999  # share of the old in the averaged weights, which are what is kept; None: the last weights are
    ema_warm_up: bool = True  # a smaller share at the beginning
    precision: str = "fp32"  # one of PRECISIONS; bf16: autocast
    cond_drop: float = 0.25  # share of windows that learn without speech and face
    attention_dropout: float | None = None  # on the attention's probabilities; None: as on everything else. 0 is half the work
    clip: float | None = 1.0  # cm, kept in the file for sampling
    guidance: float = 2.0  # kept in the file for sampling, as are the next three
    sampler: str = "ddim"  # one of diffusion.SAMPLERS
    sampler_steps: int = 50
    eta: float = 1.0  # share of fresh noise in DDIM
    reference: str = "first"  # face of a window: its "first" frame, or "any" frame of the clip
    mirror: float = 0.0  # share of windows with left and right exchanged (ours)
    voice: float = 0.0  # strength of level, colour and noise added to mel features (ours); 0: none
    save_every: int = 500  # steps between savings of the unfinished run
    val_every: int = 500  # steps between samples on clips not trained on
    log_every: int = 10  # steps averaged in one line of the log

    def __post_init__(self) -> None:
        whole = {name: getattr(self, name) for name in ("stack", "steps", "batch", "accumulation", "save_every", "val_every",
                                                        "log_every")}
        _require(all(type(v) is int and v >= 1 for v in whole.values()) and type(self.warm_up) is int and self.warm_up >= 0,
                 "Steps, batch, stack and intervals must be whole numbers above 0", f"{whole}, warm_up {self.warm_up}")
        choices = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS, "reference": REFERENCES}
        for name, known in choices.items():
            _require(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}", f"'{getattr(self, name)}'")
        shares = {name: getattr(self, name) for name in ("cond_drop", "mirror")} | ({} if self.ema is None else {"ema": self.ema})
        _require(all(0 <= share <= 1 for share in shares.values()), "Shares must lie in 0..1", f"{shares}")
        _require(0 < self.lr < math.inf and self.weight_decay >= 0 and self.voice >= 0,
                 "lr must be above 0, weight_decay and voice not below", f"{self.lr}, {self.weight_decay}, {self.voice}")
        _require(self.gradient_clip is None or self.gradient_clip > 0, "gradient_clip must be above 0", f"{self.gradient_clip}")
        _require(self.attention_dropout is None or 0 <= self.attention_dropout < 1, "attention_dropout must lie in 0..1",
                 f"{self.attention_dropout}")
        count = len(USUAL_BETAS[self.optimizer])
        _require(self.betas is None or len(self.betas) == count and all(0 <= beta < 1 for beta in self.betas),
                 f"betas of {self.optimizer} must be {count} numbers in 0..1", f"{self.betas}")
        check_sampling(self.sampler, self.sampler_steps, self.eta, self.guidance, self.clip)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; `from_dict` takes it back."""
        return asdict(self)

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

    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished training to go on."""
        return {k: v for k, v in self.to_dict().items() if k not in FREE}


def _require(holds: bool, must: str, came: str) -> None:
    if not holds:
        raise TalkingHeadsError(must, came, "Correct the training's settings")


def presets() -> dict[str, TrainConfig]:
    """`demo`, `standard` and `published`, by name."""
    small = DenoiserConfig(latent_dim=128, ff_size=256, num_layers=4, num_heads=4, seq_len=64, cond_feature_dim=320,
                           rotary_base=octave_base(128), residual=True, dropout=0.0)
    demo = TrainConfig(preset="demo", denoiser=small, encoder="mel", stack=4, steps=2500, batch=32, lr=1e-3, warm_up=100,
                       clip=2.5, cond_drop=0.1, guidance=1.0, sampler="ddim0", sampler_steps=10, eta=0.0, reference="any",
                       mirror=0.5, voice=1.0, attention_dropout=0.0)
    middle = DenoiserConfig(latent_dim=256, ff_size=512, num_layers=6, num_heads=8, seq_len=100, rotary_base=octave_base(256),
                            residual=True)
    standard = replace(demo, preset="standard", denoiser=middle, attention_dropout=None, encoder=None, steps=40000, batch=64,
                       lr=5e-4, warm_up=1000, ema=0.9995, precision="bf16", save_every=2000, val_every=2000)
    published = TrainConfig(preset="published", encoder="hubert-large-ls960-ft", steps=400000, batch=64, optimizer="adan",
                            lr=4e-4, weight_decay=0.02, schedule="constant", gradient_clip=None, ema=0.9999, ema_warm_up=False,
                            save_every=2000, val_every=2000)
    return {c.preset: c for c in (demo, standard, published)}


def preset(name: str) -> TrainConfig:
    """The preset called `name`; a three-part error lists the names otherwise."""
    known = presets()
    if name not in known:
        raise TalkingHeadsError("The preset must be one of " + ", ".join(known), repr(name), "Choose one of these names")
    return known[name]
