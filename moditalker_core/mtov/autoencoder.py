"""MToV's autoencoder: a clip of video <-> three planes of numbers (docs/moditalker.md; architecture of PVDM, arXiv 2302.07685).

A clip becomes tokens, one per patch and frame; transformers over time and over the image work on them; pooling over each axis
in turn leaves the planes xy, yt and xt, four numbers per place, within -1..1. The way back adds the planes up.
"""
from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError
from ...training_core.checkpointing import layered
from .attention import Attention, FeedForward, PoolingTransformer, frame_angles, in_parts, parts, picture_angles, turning
from .config import PLANES, AutoencoderConfig


class TrunkLayer(nn.Module):
    """Attention over time, attention over the image, feed-forward net; each adds to what it was given."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        sizes = (config.channels, config.heads, config.dim_head)
        self.time, self.space = Attention(*sizes), Attention(*sizes)
        self.feed_forward = FeedForward(config.channels, config.ff_mult * config.channels, gated=True)

    def forward(self, x: Tensor, frames: tuple[Tensor, Tensor], picture: tuple[Tensor, Tensor]) -> Tensor:
        """Tokens [B, T, N, C] -> the same, in place where `in_parts` says so."""
        if in_parts(x):
            for clip in x:
                self._add(clip, frames, picture)
            return x
        x = x + self.time(x.transpose(1, 2), frames).transpose(1, 2)
        x = x + self.space(x, picture)
        return x + self.feed_forward(x)

    def _add(self, clip: Tensor, frames: tuple[Tensor, Tensor], picture: tuple[Tensor, Tensor]) -> None:  # [T, N, C]
        for part in parts(clip.transpose(0, 1)):
            part += self.time(part, frames)
        for part in parts(clip):
            part += self.space(part, picture)
            part += self.feed_forward(part)


class Trunk(nn.Module):
    """The layers of the encoder, or of the decoder.

    Attributes:
        checkpointing: in training, keep only what enters each layer and compute the rest again: less memory, more time.
    """

    frame_cos: Tensor    # float32 [T, D], see `turning`
    frame_sin: Tensor
    picture_cos: Tensor  # float32 [N, D / 2]
    picture_sin: Tensor

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        grid = config.grid
        self.layers = nn.ModuleList(TrunkLayer(config) for _ in range(config.depth))
        self.checkpointing = False
        self.positions = nn.Parameter(torch.zeros(grid.h * grid.w, config.channels)) if config.positions else None
        with torch.device("cpu"):  # no file holds them: a network without numbers yet (torch's meta device) needs them too
            turns = (*turning(frame_angles(grid.t, config.dim_head)), *turning(picture_angles(grid.h, grid.w, config.dim_head)))
        for name, value in zip(("frame_cos", "frame_sin", "picture_cos", "picture_sin"), turns):
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # [B, T' <= T, N, C] -> the same
        frames = self.frame_cos[:x.shape[1]], self.frame_sin[:x.shape[1]]
        picture = self.picture_cos, self.picture_sin
        x = x.clone() if in_parts(x) else x
        x = x if self.positions is None else x + self.positions.to(x.dtype)
        for layer in self.layers:
            x = layered(layer, x, frames, picture, checkpointing=self.checkpointing)
        return x


class VideoAutoencoder(nn.Module):
    """Clips [B, 3, T, H, W] in -1..1 <-> latents [B, 4, L] in -1..1, L = h w + t w + t h.

    Two instances work in MToV: one for images (RGB) and one for rasters of landmarks.

    Args:
        config: sizes.
        decoder: False builds the encoder alone, which is all that MToV needs for rasters.
    """

    def __init__(self, config: AutoencoderConfig, decoder: bool = True):
        super().__init__()
        self.config, grid, c = config, config.grid, config.channels
        self.patch_in = nn.Linear(3 * config.patch ** 2, c)
        self.encoder = Trunk(config)
        pooled = {"xy": grid.t, "yt": grid.h, "xt": grid.w}
        sizes = (c, config.pool_depth, config.pool_heads, config.pool_dim_head, config.pool_hidden)
        self.pool = nn.ModuleDict({plane: PoolingTransformer(length, *sizes) for plane, length in pooled.items()})
        self.to_plane = nn.ModuleDict({plane: nn.Linear(c, config.embed_dim) for plane in PLANES})
        self.can_decode = decoder
        if decoder:
            self.decoder = Trunk(config)
            self.from_plane = nn.ModuleDict({plane: nn.Linear(config.embed_dim, c) for plane in PLANES})
            self.to_pixels = nn.ConvTranspose2d(c, 3, config.patch + 2 * config.reach, config.patch, config.reach)

    @property
    def device(self) -> torch.device:
        return self.patch_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.patch_in.weight.dtype

    @property
    def checkpointed(self) -> list[Trunk | PoolingTransformer]:
        """The parts with a switch `checkpointing`."""
        return [part for part in self.modules() if isinstance(part, (Trunk, PoolingTransformer))]

    def encode(self, clips: Tensor) -> Tensor:  # [B, 3, T, H, W] -> [B, embed_dim, L]
        """Raises:
            TalkingHeadsError: clips of another size than the network's.
        """
        self._check(clips, self.config.frames)
        return self._pooled(self.encoded(clips))

    def encode_still(self, pictures: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, embed_dim, L]
        """The latent of a clip that is one image in all frames.

        Attention among equal frames changes nothing, so only one is computed: a sixteenth of the time, the same numbers.

        Raises:
            TalkingHeadsError: images of another size than the network's.
        """
        clips = pictures[:, :, None]
        self._check(clips, 1)
        return self._pooled(self.encoded(clips), still=True)

    def decode(self, latents: Tensor) -> Tensor:  # [B, embed_dim, L] -> [B, 3, T, H, W] in -1..1
        """Raises:
            TalkingHeadsError: latents of another size than the network's, or a network without a decoder.
        """
        summed = self._summed(latents)
        return self._pixels(self.decoder(summed))

    def decode_frame(self, latents: Tensor, frame: int) -> Tensor:  # [B, embed_dim, L] -> [B, 3, H, W] in -1..1
        """One frame for a preview, as if the others were equal to it: a T-th of the time, and nearly the same image.

        Raises:
            TalkingHeadsError: as `decode`.
        """
        summed = self._summed(latents)[:, frame:frame + 1]
        return self._pixels(self.decoder(summed))[:, :, 0]

    def _summed(self, latents: Tensor) -> Tensor:  # [B, embed_dim, L] -> [B, T, h w, C]
        """The planes added up, for the decoder."""
        if not self.can_decode:
            raise TalkingHeadsError("Decoding needs a whole autoencoder", "its encoder alone", "Load it with its decoder")
        grid, wanted = self.config.grid, (self.config.embed_dim, self.config.grid.length)
        if latents.ndim != 3 or latents.shape[1:] != wanted:
            raise TalkingHeadsError(f"Latents of this autoencoder must be [B, {wanted[0]}, {wanted[1]}]",
                                    f"{list(latents.shape)}", "Use latents of networks of the same size")
        xy, yt, xt = (self.from_plane[plane](part.transpose(1, 2).unflatten(1, shape))
                      for plane, part, shape in zip(PLANES, latents.split(grid.lengths, -1), grid.shapes))
        return (xy[:, None] + yt[:, :, None] + xt[:, :, :, None]).flatten(2, 3)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Clips -> what comes back of them, and their latents."""
        latents = self.encode(clips)
        return self.decode(latents), latents

    def encoded(self, clips: Tensor) -> Tensor:  # [B, 3, T, H, W] -> [B, T, h w, C]
        """The encoder's tokens, before they are pooled."""
        p = self.config.patch
        return self.encoder(self.patch_in(rearrange(clips, "b c t (h p) (w q) -> b t (h w) (p q c)", p=p, q=p)))

    def _pooled(self, tokens: Tensor, still: bool = False) -> Tensor:  # [B, T or 1, h w, C] -> [B, embed_dim, L]
        grid = self.config.grid
        tokens = tokens.unflatten(2, (grid.h, grid.w))
        over_time = tokens.expand(-1, grid.t, -1, -1, -1)
        pooled = {"xy": rearrange(over_time, "b t h w c -> (b h w) t c"), "yt": rearrange(tokens, "b t h w c -> (b t w) h c"),
                  "xt": rearrange(tokens, "b t h w c -> (b t h) w c")}
        planes = []
        for plane, shape in zip(PLANES, grid.shapes):
            values = self.to_plane[plane](self.pool[plane](pooled[plane])).tanh()
            values = values.unflatten(0, (len(tokens), -1, shape[1]))  # [B, rows (1 of a still image's yt and xt), columns, 4]
            values = values.expand(-1, shape[0], -1, -1) if still and plane != "xy" else values
            planes.append(values.flatten(1, 2))
        return torch.cat(planes, 1).transpose(1, 2).contiguous()

    def _pixels(self, tokens: Tensor) -> Tensor:  # [B, T, h w, C] -> [B, 3, T, H, W]
        """The transposed convolution; where its squares do not overlap, it is one product."""
        grid, p = self.config.grid, self.config.patch
        if self.config.reach:
            painted = self.to_pixels(rearrange(tokens, "b t (h w) c -> (b t) c h w", h=grid.h))
            return rearrange(painted, "(b t) c h w -> b c t h w", b=len(tokens)).mul(0.5).tanh()
        assert self.to_pixels.bias is not None
        squares = tokens @ self.to_pixels.weight.flatten(1)
        pictures = rearrange(squares, "b t (h w) (c p q) -> b c t (h p) (w q)", h=grid.h, p=p, q=p)
        return (pictures + self.to_pixels.bias[:, None, None, None]).mul(0.5).tanh()  # = 2 sigmoid - 1

    def _check(self, clips: Tensor, frames: int) -> None:
        config = self.config
        if clips.ndim != 5 or clips.shape[1:] != (3, frames, config.height, config.width):
            raise TalkingHeadsError(f"This autoencoder takes clips [B, 3, {config.frames}, {config.height}, {config.width}]",
                                    f"{list(clips.shape)}", "Resize the images to the size of the weights")
