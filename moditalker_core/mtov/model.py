"""A whole MToV: two autoencoders, the denoiser, and their description."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ...media_core.audio import FPS
from ...media_core.errors import TalkingHeadsError
from ...media_core.schema import RATES, SIDE, is_json_object
from ..config import REFERENCES
from .autoencoder import VideoAutoencoder
from .config import AutoencoderConfig, DenoiserConfig, Grid, check_residual, known
from .denoiser import MToVDenoiser
from .diffusion import CALLS, RATIO, STEPS, check_sampling
from .rasters import RADIUS, SIZE

MARGIN = 1.6  # side of the square face crop over the face's own size


@dataclass(frozen=True)
class RasterSettings:
    """How landmarks are drawn for the landmark autoencoder; the defaults are the published ones."""

    size: int = SIZE      # px, side of the images
    radius: int = RADIUS  # px, of the discs in the image that is drawn, `finer` times as large
    finer: int = 1        # drawn so many times larger, then averaged (ours): discs move by less than a pixel; 1: official

    def __post_init__(self) -> None:
        values = (self.size, self.radius, self.finer)
        if (any(type(value) is not int for value in values) or min(self.size, self.finer, self.radius + 1) < 1
                or max(self.size * self.finer, self.radius) > SIDE):
            raise TalkingHeadsError("Rasters need whole numbers: size and finer above 0, radius 0 or more, none drawn larger "
                                    f"than {SIDE} px", f"{values}", "Correct them")


@dataclass(frozen=True)
class MToVConfig:
    """A whole checkpoint's description."""

    rgb: AutoencoderConfig = field(default_factory=AutoencoderConfig)        # of images
    landmarks: AutoencoderConfig = field(default_factory=AutoencoderConfig)  # of rasters of landmarks
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    prediction: str = "epsilon"     # what the denoiser predicts, one of diffusion.PREDICTIONS
    clip: float | None = 1.0        # predicted latents are kept within +-clip in every step; None: not at all
    sampler: str = "ddim"           # one of diffusion.SAMPLERS
    calls: int = CALLS              # sampling steps per clip (num_inference_steps)
    ratio: float = RATIO            # strength: the sampler starts from the identity noised to 1000 ratio; 1: from pure noise
    eta: float = 1.0                # fraction of fresh noise in DDIM
    overlap: int = 4                # frames that neighbouring clips share
    raster: RasterSettings = field(default_factory=RasterSettings)
    reference: str = "first"        # identity trained with: "first" frame of the clip (published), or "any" of the person
    margin: float = MARGIN          # of the face crop of the training images
    fps: float = FPS                # frames per second of the video
    licence: str = ""               # what may be done with the weights
    training: Mapping[str, Any] = field(default_factory=dict)  # how they were made
    anchored: bool = False          # portraits: with the detail residual (ours, for weak networks): what they miss of the image
    times: tuple[int, int] = (0, 1000)  # steps of noise that the last training learnt, from (included) and to (not included):
    # sampling begins within them

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(self.times) if isinstance(self.times, (list, tuple)) else (self.times,))
        check_sampling(self.sampler, self.calls, self.ratio, self.prediction, self.clip, self.eta)
        self.check_start(self.ratio)
        check_residual(self.denoiser, self.prediction)
        rgb, landmarks = self.rgb, self.landmarks
        if rgb.grid != landmarks.grid or {rgb.embed_dim, landmarks.embed_dim} != {self.denoiser.channels}:
            raise TalkingHeadsError("Both autoencoders must make planes of one size, with as many channels as the denoiser takes",
                                    f"{rgb.grid} x {rgb.embed_dim}, {landmarks.grid} x {landmarks.embed_dim}, a denoiser of "
                                    f"{self.denoiser.channels}", "Put networks together that were trained together")
        if len({rgb.height, rgb.width, landmarks.height, landmarks.width, self.raster.size}) > 1:
            raise TalkingHeadsError("Images and rasters must be squares of one size", f"{rgb.height} x {rgb.width}, "
                                    f"{landmarks.height} x {landmarks.width} and {self.raster.size} px", "Correct the sizes")
        self.denoiser.fits(rgb.grid)
        if not isinstance(self.licence, str) or not is_json_object(self.training) or type(self.anchored) is not bool:
            raise TalkingHeadsError("An MToV's licence must be text, its training notes an object, and `anchored` true "
                                    "or false", f"{type(self.licence).__name__}, {type(self.training).__name__}, "
                                    f"{self.anchored!r}", "Correct them")
        if (type(self.overlap) is not int or not 0 <= self.overlap <= rgb.frames // 2 or self.reference not in REFERENCES
                or not 0 < self.margin < math.inf or not RATES[0] <= self.fps <= RATES[1]):
            raise TalkingHeadsError(f"An MToV needs an overlap of 0 to {rgb.frames // 2} frames, a reference 'first' or 'any', "
                                    f"a margin above 0, and fps in {RATES[0]:g}..{RATES[1]:g}",
                                    f"{self.overlap}, {self.reference}, {self.margin}, "
                                    f"{self.fps}", "Correct them")

    def check_start(self, ratio: float) -> None:
        """Raises:
            TalkingHeadsError: no two steps, or sampling would begin with more noise than the denoiser has learnt from.
        """
        if len(self.times) != 2 or any(type(t) is not int for t in self.times) or not 0 <= self.times[0] < self.times[1] <= STEPS:
            raise TalkingHeadsError(f"An MToV's trained steps must be two whole numbers in 0..{STEPS}, the first below the "
                                    "second", f"{self.times}", "Correct them")
        if not self.times[0] < round(STEPS * ratio) <= self.times[1]:
            raise TalkingHeadsError(f"These weights were trained to start from a strength (denoise) of {self.times[1] / STEPS:g} "
                                    f"at most, and above {self.times[0] / STEPS:g}", f"{ratio:g}",
                                    "Choose one of these strengths, or weights trained on more")

    @property
    def grid(self) -> Grid:
        return self.rgb.grid

    @property
    def frames(self) -> int:
        """T of a clip."""
        return self.rgb.frames

    @property
    def size(self) -> int:
        """Side of the images, px."""
        return self.rgb.height

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "denoiser": self.denoiser.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MToVConfig:
        """The inverse of `to_dict`.

        Raises:
            TalkingHeadsError: names or values that no MToV has.
        """
        told = known(cls, values, "An MToV's description")
        parts = {"rgb": AutoencoderConfig, "landmarks": AutoencoderConfig, "denoiser": DenoiserConfig, "raster": RasterSettings}
        for name, part in parts.items():
            told[name] = part(**known(part, told.get(name, {}), f"Its part '{name}'"))
        return cls(**told)


class MToV:
    """Motion, a face and poses in, video out; see `generation.talk`.

    Args:
        rgb: the autoencoder of images.
        landmarks: that of rasters; it may lack its decoder, which nothing here uses.
        denoiser: the network of the diffusion. All three are put into evaluation mode.
        config: their description; its parts must be the networks' own.
    Raises:
        TalkingHeadsError: the descriptions differ, or the images' autoencoder cannot decode.
    """

    def __init__(self, rgb: VideoAutoencoder, landmarks: VideoAutoencoder, denoiser: MToVDenoiser, config: MToVConfig):
        for name, given, told in (("rgb", rgb.config, config.rgb), ("landmarks", landmarks.config, config.landmarks),
                                  ("denoiser", (denoiser.config, denoiser.grid), (config.denoiser, config.grid))):
            if given != told:
                raise TalkingHeadsError(f"An MToV's description of '{name}' must be that of its network", f"{told} for {given}",
                                        "Build the networks from the description")
        if not rgb.can_decode:
            raise TalkingHeadsError("An MToV needs the whole autoencoder of images", "its encoder alone",
                                    "Load the autoencoder with its decoder")
        self.rgb, self.landmarks, self.denoiser, self.config = rgb.eval(), landmarks.eval(), denoiser.eval(), config

    @property
    def networks(self) -> dict[str, torch.nn.Module]:
        """The three by the names under which a checkpoint holds their tensors."""
        return {"rgb": self.rgb, "landmarks": self.landmarks, "denoiser": self.denoiser}

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.denoiser.device

    @property
    def dtype(self) -> torch.dtype:
        """The networks' number format."""
        return self.denoiser.dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MToV:
        """Moves the networks in place, as torch modules do; None leaves as it is."""
        for network in self.networks.values():
            network.to(device=device, dtype=dtype)
        return self

    def __repr__(self) -> str:
        size = sum(p.numel() for network in self.networks.values() for p in network.parameters())
        config = self.config
        return f"MToV({size} parameters, clips of {config.frames} frames of {config.size} px at {config.fps:g})"
