"""Sizes of MToV's networks, and the shapes that follow from them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...media_core.errors import TalkingHeadsError
from ...media_core.schema import SIDE, WIDEST
from ..config import MOST_LAYERS, known

MOST_TOKENS = 1 << 16  # of one frame
MOST_TABLE = 1 << 24   # numbers of a table of angles: tokens of a frame, or frames, times numbers per head
MOST_LEVELS = 8        # at which the denoiser halves its planes
_COUNTS = ("depth", "pool_depth", "num_res_blocks")
PLANES = ("xy", "yt", "xt")  # the order in which a latent holds them; "yt" keeps (t, w), "xt" keeps (t, h)


@dataclass(frozen=True)
class Grid:
    """Tokens of a clip along time, rows and columns; the shapes of its three planes follow."""

    t: int
    h: int
    w: int

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of xy, yt and xt."""
        return (self.h, self.w), (self.t, self.w), (self.t, self.h)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Numbers a channel of xy, yt and xt."""
        return tuple(rows * columns for rows, columns in self.shapes)

    @property
    def length(self) -> int:
        """Numbers a channel of a whole latent."""
        return sum(self.lengths)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of an autoencoder; the defaults are the published ones (docs/moditalker.md#autoencoder)."""

    embed_dim: int = 4      # channels of a latent
    channels: int = 384     # C
    frames: int = 16        # of a clip
    height: int = 256       # px
    width: int = 256        # px
    patch: int = 8          # px, side of the square that becomes one token
    depth: int = 8          # layers of the encoder, and of the decoder
    heads: int = 8
    dim_head: int = 64
    ff_mult: int = 4        # hidden width of the feed-forward nets over C
    pool_depth: int = 4     # layers of each pooling transformer
    pool_heads: int = 4
    pool_dim_head: int = 48  # official: C // 8
    pool_hidden: int = 512  # hidden width of their feed-forward nets
    positions: bool = False  # tokens carry learned positions in the image (ours: small networks learn faces sooner)
    reach: int = 0          # px by which the square that a token paints overlaps its neighbours' (ours: no seams between them)

    def __post_init__(self) -> None:
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        bad = [f"{name} {value!r}" for name, value in whole.items()
               if type(value) is not int or not (name != "reach") <= value <= _most(name)]
        if bad or type(self.positions) is not bool:
            raise TalkingHeadsError(f"An autoencoder's sizes must be whole numbers above 0 (layers up to {MOST_LAYERS}, px up to "
                                    f"{SIDE}, others up to {WIDEST}), and positions true or false",
                                    ", ".join(bad) or f"positions {self.positions!r}", "Correct the sizes")
        if self.height % self.patch or self.width % self.patch or self.dim_head % 4:
            raise TalkingHeadsError("Height and width must be multiples of the patch, and dim_head of 4",
                                    f"{self.height} x {self.width} px, patch {self.patch}, dim_head {self.dim_head}",
                                    "Correct the sizes")
        tokens = self.grid.h * self.grid.w
        if tokens > MOST_TOKENS or max(tokens, self.frames) * self.dim_head > MOST_TABLE:
            raise TalkingHeadsError(f"A frame must have {MOST_TOKENS} tokens or fewer, and the longest axis times dim_head be "
                                    f"{MOST_TABLE} or less", f"{tokens} tokens, {self.frames} frames, dim_head {self.dim_head}",
                                    "Correct the sizes")

    @property
    def grid(self) -> Grid:
        return Grid(self.frames, self.height // self.patch, self.width // self.patch)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderConfig:
        return cls(**known(cls, values, "An autoencoder's description"))


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the denoiser; the defaults are the published ones (docs/moditalker.md#denoiser)."""

    channels: int = 4                     # of a latent; 4 times as many go in: x_t, landmarks, pose, identity
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)  # downsamplings at which planes attend to themselves
    num_heads: int = 8
    groups: int = 32                      # of every group norm
    residual: bool = False                # what it tells is added to the identity's latent (ours; predictions of the clean
    # latent only): it begins as the still identity and learns what moves. AToM predicts residuals too

    def __post_init__(self) -> None:
        for name in ("channel_mult", "attention_resolutions"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, (list, tuple)) else (value,))
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "residual"}
        numbers = [n for value in whole.values() for n in (value if isinstance(value, tuple) else (value,))]
        if (any(type(n) is not int or not 1 <= n <= WIDEST for n in numbers) or not 1 <= len(self.channel_mult) <= MOST_LEVELS
                or len(self.attention_resolutions) > MOST_LEVELS or self.num_res_blocks > MOST_LAYERS
                or type(self.residual) is not bool):
            raise TalkingHeadsError(f"A denoiser's sizes must be whole numbers from 1 to {WIDEST}, {MOST_LEVELS} levels and "
                                    f"{MOST_LAYERS} blocks or fewer, and residual true or false",
                                    f"{str({**whole, 'residual': self.residual})[:300]}", "Correct the sizes")
        widths = [self.model_channels * m for m in self.channel_mult]
        uneven = self.model_channels % 2 or any(width % self.groups or width % self.num_heads for width in widths)
        if uneven or max(widths) > WIDEST:
            raise TalkingHeadsError(f"A denoiser's widths must be even, {WIDEST} at most, and multiples of its groups and heads",
                                    f"{widths} with {self.groups} groups and {self.num_heads} heads", "Correct the sizes")

    @property
    def levels(self) -> int:
        return len(self.channel_mult)

    def fits(self, grid: Grid) -> None:
        """Raises:
            TalkingHeadsError: a plane of the grid cannot be halved as often as the network halves it.
        """
        times = 2 ** (self.levels - 1)
        if any(side % times for side in (grid.t, grid.h, grid.w)):
            raise TalkingHeadsError(f"Frames, rows and columns of tokens must be multiples of {times} for a denoiser of "
                                    f"{self.levels} levels", f"{grid.t}, {grid.h}, {grid.w}",
                                    "Choose another size, patch or number of frames, or fewer levels")

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DenoiserConfig:
        return cls(**known(cls, values, "A denoiser's description"))


def _most(name: str) -> int:
    return MOST_LAYERS if name in _COUNTS else SIDE if name in ("height", "width") else WIDEST


def check_residual(denoiser: DenoiserConfig, prediction: str) -> None:
    """Raises:
        TalkingHeadsError: a network that adds to the identity's latent, but is to predict something else than clean latents.
    """
    if denoiser.residual and prediction != "sample":
        raise TalkingHeadsError("A denoiser that adds to the identity must predict the clean latent ('sample')",
                                f"'{prediction}'", "Choose that prediction, or no residual")
