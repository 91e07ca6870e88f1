"""The settings of a training of MToV: one frozen record per stage, and three presets.

The stages follow one another: "rgb" (the images' autoencoder), "gan" (sharpens it, if wanted), "landmarks" (the rasters'
autoencoder, from the images'), "diffusion" (the denoiser, between both). `published` holds the numbers of
docs/moditalker.md#training; `demo` is what a CPU does in hours, on 128 px; `standard` lies between: for one GPU.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from ...media_core.errors import TalkingHeadsError
from ...training_core import settings
from ...training_core.settings import PRECISIONS, TrainSettings, require
from ..choices import STAGES
from ..config import REFERENCES
from .config import AutoencoderConfig, DenoiserConfig, check_residual, known
from .diffusion import check_sampling
from .model import RasterSettings

__all__ = ["PRECISIONS", "STAGES", "TrainConfig", "preset", "presets"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings):
    """One stage of a training."""

    stage: str = "rgb"  # one of STAGES
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)  # rgb: made; the others take the given file's
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)  # diffusion
    raster: RasterSettings = field(default_factory=RasterSettings)  # how landmarks are drawn; its size follows the images'
    loaders: int = 0  # threads that read the next batches meanwhile; 0: none
    encoding: str = "fp32"  # diffusion: precision of the frozen autoencoders, one of PRECISIONS
    checkpointing: bool = False  # autoencoders: compute the layers again for the gradient; less memory, more time
    lively: int = 1  # motion-weighted: a window is the one whose mouth moves most among so many (ours)
    decoder_only: bool = False  # rgb: what a latent means stays, only its decoding is learnt (ours): earlier denoisers still fit
    freeze: bool = True  # landmarks: the decoder's layers stay the images'; False: they learn too (ours)
    stills: int = 0  # rgb, landmarks: so many still frames stand for a clip in steps of stills (ours): a still costs a T-th
    still_steps: int = 0  # rgb, landmarks: the first so many steps are of still frames, with `stills`
    still_every: int = 0  # rgb, landmarks: and after them every so many-th step; 0: none
    still_shift: float = 0.0  # rgb: largest shift of a still frame, as a fraction of the side
    start: float = 1.0  # rgb: standard deviation of the pooling tokens and positions at first (published: 1)
    l1: float = 4.0  # weight of L1; the next too belong to autoencoders
    perceptual: float = 4.0  # of LPIPS on one frame of every clip, where weights for it are given
    edges: float = 0.0  # of neighbouring pixels' differences, where they are not (ours)
    coarse: float = 0.0  # of L1 of images a quarter of the size, where they are not (ours)
    mouth: float = 1.0  # what a pixel of the mouth (of a disc, in landmarks) counts (ours); 1: as all others
    penalty: float = 0.0  # of the latents' mean square (ours): keeps them from the ends of the tanh
    latent_noise: float = 0.0  # standard deviation of noise added to latents before they are decoded (ours)
    adversarial: float = 1.0  # gan: weight of what the discriminators say
    matching: float = 4.0  # gan: weight of feature matching
    judges: int = 64  # gan: channels of the discriminators' first stage
    judges_lr: float = 1e-4  # gan: the discriminators' learning rate
    judges_clip: float | None = 1.0  # gan: largest norm of their gradient
    prediction: str = "epsilon"  # diffusion: one of diffusion.PREDICTIONS
    times: tuple[int, int] = (0, 1000)  # diffusion: steps that are learnt, from (included) and to (not included)
    first_share: float = 0.0  # diffusion: probability of a clip at the highest of them, where sampling begins (ours)
    pull: float = 0.0  # diffusion: how far a noisy latent stands on its way from the identity, see diffusion.pulled_noise (ours)
    still: float = 0.0  # diffusion: probability of a clip whose pose is the still identity, as with a portrait (ours)
    lips: float = 1.0  # diffusion: what a token of the mouth counts in the loss (ours); landmarks: a pixel; 1: as all others
    cache: int = 0  # diffusion: so many windows for the whole training, their latents computed once and kept; 0: new ones
    reference: str = "first"  # identity of a window: its "first" frame, or "any" frame of the video
    mirror: float = 0.0  # probability of a window with left and right exchanged (ours)
    colour: float = 0.0  # largest change of a channel's brightness, as a fraction (ours)
    jitter: float = 0.0  # landmarks: largest shift of the rasters as a fraction of the side, and of their scale (ours)
    clip: float | None = 1.0  # diffusion: kept in the file for sampling, as are the next six
    sampler: str = "ddim"
    calls: int = 25
    ratio: float = 0.25
    eta: float = 1.0
    overlap: int = 4
    anchored: bool = False

    free: ClassVar[tuple[str, ...]] = (*settings.FREE, "loaders", "checkpointing", "clip", "sampler", "calls", "overlap",
                                       "anchored")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(("judges", "lively"), ("loaders", "cache", "stills", "still_steps", "still_every"))
        self.check_choices({"stage": STAGES, "encoding": PRECISIONS, "reference": REFERENCES})
        self.check_fractions(("mirror", "first_share", "still", "colour", "jitter", "pull", "still_shift"))
        self._check_numbers()
        check_sampling(self.sampler, self.calls, self.ratio, self.prediction, self.clip, self.eta)
        require(self.stage == "rgb" or not self.decoder_only, "The decoder alone learns in the stage 'rgb' only",
                f"'{self.stage}'")
        if self.stage == "diffusion":
            check_residual(self.denoiser, self.prediction)

    def _check_numbers(self) -> None:
        names = ("start", "l1", "perceptual", "edges", "coarse", "penalty", "latent_noise", "adversarial", "matching")
        weights = {name: getattr(self, name) for name in names}
        require(all(0 <= v < math.inf for v in weights.values()), "Weights of losses must not be below 0", f"{weights}")
        require(0 < self.judges_lr < math.inf and self.mouth > 0 and self.lips > 0,
                "judges_lr, mouth and lips must be above 0", f"{self.judges_lr}, {self.mouth}, {self.lips}")
        require(self.judges_clip is None or self.judges_clip > 0, "The gradients' largest norms (judges_clip) must be above 0",
                f"{self.judges_clip}")
        times = tuple(self.times)
        require(len(times) == 2 and all(type(t) is int for t in times) and 0 <= times[0] < times[1] <= 1000,
                "times must be two steps, the first in 0..999, the second after it and 1000 at most", f"{self.times}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; `from_dict` takes it back."""
        return {**asdict(self), "denoiser": self.denoiser.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Raises:
            TalkingHeadsError: names or values that no training has.
        """
        given = known(cls, values, "A training")
        for name, part in (("autoencoder", AutoencoderConfig), ("denoiser", DenoiserConfig), ("raster", RasterSettings)):
            if name in given:
                given[name] = part(**known(part, given[name], f"Its part '{name}'"))
        for name in ("betas", "times"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        return cls(**given)

    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished training to be continued."""
        found = super().identity()
        if self.pull == 0:  # only with `pull` does the sampler's share of fresh noise matter
            del found["eta"]
        return found


def _published() -> dict[str, TrainConfig]:
    """As published: a batch of 1 (8 in the GAN phase) gathered three times, fp16. The warm-up of the diffusion, built but never
    stepped there (docs/moditalker.md#warm-up), is stepped here, for latent diffusion's usual 10 000 steps. Lengths that no source
    gives are PVDM's, from which these trainings come. Without LPIPS weights, the substitute counts as much as L1."""
    rgb = TrainConfig(preset="published", stage="rgb", batch=3, accumulation=3, steps=1_000_000, betas=(0.5, 0.9),
                      precision="fp16", edges=4.0, coarse=4.0)
    gan = replace(rgb, stage="gan", batch=24, steps=28_000)
    diffusion = TrainConfig(preset="published", stage="diffusion", batch=10, steps=850_000, betas=(0.9, 0.999), warm_up=10_000,
                            ema=0.9999, ema_every=25, encoding="fp16", sampler="ddim", save_every=1000, val_every=5000)
    return {"rgb": rgb, "gan": gan, "landmarks": replace(rgb, stage="landmarks"), "diffusion": diffusion}


def _demo() -> dict[str, TrainConfig]:
    """For 128 px on one core: still frames first, which teach most; latents of eight channels, positions, overlapping
    squares."""
    autoencoder = AutoencoderConfig(embed_dim=8, channels=128, height=128, width=128, depth=2, heads=4, dim_head=32, ff_mult=2,
                                    pool_depth=1, pool_dim_head=32, pool_hidden=256, positions=True, reach=4)
    denoiser = DenoiserConfig(channels=8, model_channels=40, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(2,),
                              num_heads=2, groups=8, residual=True)
    rgb = TrainConfig(preset="demo", stage="rgb", autoencoder=autoencoder, denoiser=denoiser,
                      raster=RasterSettings(128, 6, 4), steps=2800, stills=8, still_steps=1300,
                      still_every=4, still_shift=0.03, lr=2e-3, betas=(0.9, 0.98), warm_up=100, schedule="cosine", floor=0.02,
                      gradient_clip=1.0, start=0.05, l1=1.0, edges=0.5, coarse=1.0, mouth=5.0, penalty=0.01, reference="any",
                      mirror=0.5, colour=0.15, save_every=200, val_every=500)
    gan = replace(rgb, stage="gan", steps=1000, lr=1e-4, betas=(0.5, 0.9), adversarial=0.1, matching=0.4, judges=32)
    landmarks = replace(rgb, stage="landmarks", steps=1500, warm_up=50, lr=1.5e-3, edges=0.0, coarse=0.0, jitter=0.05, stills=12,
                        still_steps=600, still_every=3, still_shift=0.0, freeze=False, lips=3.0)
    diffusion = replace(rgb, stage="diffusion", steps=6000, batch=16, lr=1e-3, betas=(0.9, 0.99), ema=0.998, lips=16.0,
                        prediction="sample", times=(0, 250), first_share=0.4, pull=1.0, still=0.6, lively=2, cache=8000,
                        sampler="dpm++", calls=2, eta=0.0, overlap=4, anchored=True)
    return {"rgb": rgb, "gan": gan, "landmarks": landmarks, "diffusion": diffusion}


def _standard() -> dict[str, TrainConfig]:
    small = AutoencoderConfig(channels=256, depth=6, heads=8, dim_head=32, pool_depth=2, pool_dim_head=32, positions=True,
                              reach=4)
    denoiser = DenoiserConfig(model_channels=96, channel_mult=(1, 2, 4), residual=True)
    common = {"autoencoder": small, "denoiser": denoiser, "raster": RasterSettings(256, 12, 4), "precision": "bf16", "loaders": 8,
              "preset": "standard", "save_every": 1000, "val_every": 2000}
    made = {stage: replace(config, **common) for stage, config in _demo().items()}
    made["rgb"] = replace(made["rgb"], batch=8, steps=60_000, still_steps=10_000, lr=5e-4, warm_up=1000)
    made["gan"] = replace(made["gan"], batch=8, steps=16_000, judges=64)
    made["landmarks"] = replace(made["landmarks"], batch=8, steps=20_000, lr=5e-4, warm_up=500)
    made["diffusion"] = replace(made["diffusion"], batch=32, steps=100_000, lr=2e-4, warm_up=1000, ema=0.9995, cache=0,
                                calls=6, encoding="bf16")
    return made


def presets() -> dict[str, dict[str, TrainConfig]]:
    """Stages of `demo`, `standard` and `published`, by name."""
    return {"demo": _demo(), "standard": _standard(), "published": _published()}


def preset(name: str, stage: str) -> TrainConfig:
    """The stage of the preset called `name`; a three-part error lists the names otherwise."""
    named = presets()
    if name not in named:
        raise TalkingHeadsError("The preset must be one of " + ", ".join(named), repr(name), "Choose one of these names")
    if stage not in STAGES:
        raise TalkingHeadsError("The stage must be one of " + ", ".join(STAGES), repr(stage), "Choose one of these names")
    return named[name][stage]
