"""AToM's network: from a noisy motion window, the speech and a face to the clean motion (docs/moditalker.md#atom-network).

Nothing that comes from speech and face depends on the diffusion step, so it is computed once (`condition`) and every step reads
it (`denoise`). Quirks of the published network that its checkpoints need are kept (docs/moditalker.md#kept-as-published).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...media_core.chance import Dropout
from ..landmarks import LIP_RELATED, UPPER
from .attention import Attention, EncoderLayer, rotary_tables
from .config import DenoiserConfig

TIME_TOKENS = 2
Memory = tuple[Tensor, Tensor]  # keys, values [B, H, M, d]


@dataclass(frozen=True)
class Condition:
    """What speech and face say, ready for every step. B samples, H heads, d channels per head.

    The memories keep places for the time tokens, which every step fills again: one Condition serves one sampling at a time.
    """

    summary: Tensor  # [B, C] 2 f + a of the FiLM vector
    audio: tuple[Memory, ...]  # per layer: keys, values [B, H, 2T + 2 + T, d] of audio, time, and landmark tokens
    face: tuple[Memory, ...]  # per layer, [B, H, 2 + T, d]: time and landmark tokens
    frames: int  # T
    tables: Tensor  # complex [2T + 2 + T, C / 2] rotations of all positions


@dataclass(frozen=True)
class Moment:
    """What one diffusion step says to the layers; n samples."""

    films: tuple[tuple[tuple[Tensor, Tensor], ...], ...]  # per layer three of (scale, shift), each [n, 1, C]
    tokens: tuple[tuple[Memory, Memory], ...]  # per layer: the time tokens behind the audio tokens, and first; [n, H, 2, d]


class FiLM(nn.Module):
    """tau [..., C] -> (scale, shift), each [..., 1, C]."""

    def __init__(self, width: int):
        super().__init__()
        linear = nn.Linear(width, 2 * width)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = F.linear(F.mish(tau), self.weight, self.bias).unsqueeze(-2).chunk(2, dim=-1)
        return 1 + scale, shift


class DecoderLayer(nn.Module):
    """One decoder layer; lips and the rest of the face share every weight (no feed-forward net).

    Args:
        width: C. heads: H. dropout: in training.
        residual: see `DenoiserConfig.residual`.
    """

    def __init__(self, width: int, heads: int, dropout: float, residual: bool):
        super().__init__()
        self.residual = residual
        self.self_attn, self.cross_attn = Attention(width, heads, dropout), Attention(width, heads, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.film1, self.film2, self.film3 = (FiLM(width) for _ in range(3))
        self.linear3 = nn.Linear(width, 2 * width)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor, films: tuple[tuple[Tensor, Tensor], ...], tables: Tensor, audio_memory: Memory,
                face_memory: Memory) -> Tensor:
        """h [B, T, 2C], three FiLMs [k B, 1, C] -> [k B, T, 2C], each sample under its k conditions, samples fastest.

        Memories are (keys, values) [k B, H, M, d]; `tables` are those of T positions.
        """
        pair = h.unflatten(-1, (2, -1))  # [B, T, 2, C]: one pass for the two branches
        (scale, shift), (scale2, shift2), (scale3, shift3) = films
        moved = self.dropout(self.self_attn.within(self.norm1(pair), tables))
        if len(scale) != len(h):
            pair, moved = (part.repeat(len(scale) // len(h), 1, 1, 1) for part in (pair, moved))
        pair = (pair + shift[:, None]).addcmul_(moved, scale[:, None])
        lip, upper = self.norm2(pair).unbind(2)
        heard = self.dropout(self.cross_attn.across(lip, tables, *audio_memory))
        seen = self.dropout(self.self_attn.within(upper, tables))
        lip, upper = ((part + shift2).addcmul_(found, scale2) for part, found in zip(pair.unbind(2), (heard, seen)))
        z = self.dropout(self.cross_attn.across(self.norm3(lip + upper), tables, *face_memory))
        out = self.linear3(torch.addcmul(shift3, z, 1 + scale3))  # z + FiLM(z)
        return torch.cat([lip, upper], -1) + out if self.residual else out


class AToMDenoiser(nn.Module):
    """Predicts the clean residual x0 (centimetres), not the noise.

    Args:
        config: sizes; windows shorter than `config.seq_len` work with the same weights.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config, c = config, config.latent_dim
        self.time_in, self.time_summary = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)
        self.time_tokens = nn.Linear(4 * c, TIME_TOKENS * c)
        self.lip_in, self.upper_in = nn.Linear(3 * len(LIP_RELATED), c), nn.Linear(3 * len(UPPER), c)
        self.audio_in, self.face_in = nn.Linear(config.cond_feature_dim, c), nn.Linear(config.nfeats, c)
        self.audio_encoder, self.face_encoder = (nn.ModuleList(EncoderLayer(c, config.num_heads, config.ff_size, config.dropout)
                                                               for _ in range(2)) for _ in range(2))
        self.audio_summary, self.face_summary = (nn.Sequential(nn.LayerNorm(c), nn.Linear(c, c), nn.SiLU(), nn.Linear(c, c))
                                                 for _ in range(2))
        self.memory_norm = nn.LayerNorm(c)
        self.null_audio = nn.Parameter(torch.randn(1, 2 * config.seq_len, c))
        self.null_audio_summary = nn.Parameter(torch.randn(1, c))
        self.null_face = nn.Parameter(torch.randn(1, config.seq_len, c))
        self.layers = nn.ModuleList(DecoderLayer(c, config.num_heads, config.dropout, config.residual)
                                    for _ in range(config.num_layers))
        self.out = nn.Linear(2 * c, config.nfeats)

    def forward(self, x: Tensor, face: Tensor, audio: Tensor, times: Tensor, keep: Tensor | None = None) -> Tensor:
        """One prediction, nothing remembered: `denoise(x, times, condition(face, audio, keep))`."""
        return self.denoise(x, times, self.condition(face, audio, keep))

    def condition(self, face: Tensor, audio: Tensor, keep: Tensor | None = None) -> Condition:
        """What does not change from step to step.

        Args:
            face: [B, T, nfeats] the reference face's offsets from the mean face, cm, repeated over T.
            audio: [B, 2T, cond_feature_dim] two tokens per frame.
            keep: bool [B], False drops speech and face together (classifier-free guidance); None keeps all.
        """
        frames = face.shape[1]
        keep = torch.ones(len(face), dtype=torch.bool, device=face.device) if keep is None else keep
        heard = self._encoded(self.audio_encoder, self.audio_in(audio))
        summary = torch.where(keep[:, None], self.audio_summary(heard.mean(1)), self.null_audio_summary)
        heard = torch.where(keep[:, None, None], heard, self.null_audio[:, :2 * frames])
        seen = torch.where(keep[:, None, None], self._encoded(self.face_encoder, self.face_in(face)), self.null_face[:, :frames])
        summary = summary + 2 * self.face_summary(seen.mean(1))  # the published code adds f twice, to both branches
        seen = torch.cat([seen.new_zeros(len(seen), TIME_TOKENS, seen.shape[2]), self.memory_norm(seen)], 1)
        tables = self._tables(3 * frames + TIME_TOKENS, face)  # positions run through the concatenated memory
        whole, attentions = torch.cat([self.memory_norm(heard), seen], 1), [layer.cross_attn for layer in self.decoder_layers()]
        return Condition(summary=summary, audio=tuple(a.keys_values(whole, tables) for a in attentions),
                         face=tuple(a.keys_values(seen, tables[:frames + TIME_TOKENS]) for a in attentions), frames=frames,
                         tables=tables)

    def moments(self, times: Tensor, condition: Condition) -> list[Moment]:
        """What S steps say, for all at once, so that their weights are read once.

        Args:
            times: int64 [S, B] 0..999.
            condition: of B samples or of k B, see `denoise`.
        """
        steps, frames, count = len(times), condition.frames, len(condition.summary)
        hidden = F.mish(self.time_in(self._sinusoids(times.flatten()).to(condition.summary.dtype)))
        hidden = hidden.unflatten(0, (steps, -1)).repeat(1, count // times.shape[1], 1)  # [S, k B, 4C]
        tau = self.time_summary(hidden) + condition.summary
        tokens = self.memory_norm(self.time_tokens(hidden).unflatten(-1, (TIME_TOKENS, -1))).flatten(0, 1).repeat(1, 2, 1)
        tables = condition.tables[[*range(2 * frames, 2 * frames + TIME_TOKENS), *range(TIME_TOKENS)]]
        layers = self.decoder_layers()
        films = [[film(tau) for film in (layer.film1, layer.film2, layer.film3)] for layer in layers]
        found = [[part.unflatten(0, (steps, count)).chunk(2, 3) for part in layer.cross_attn.keys_values(tokens, tables)]
                 for layer in layers]
        return [Moment(tuple(tuple((scale[s], shift[s]) for scale, shift in three) for three in films),
                       tuple(((late[s], late_values[s]), (early[s], early_values[s]))
                             for (late, early), (late_values, early_values) in found)) for s in range(steps)]

    def denoise(self, x: Tensor, times: Tensor | Moment, condition: Condition) -> Tensor:
        """One step: noisy residuals to clean ones.

        Args:
            x: [B, T, nfeats].
            times: int64 [B] 0..999, or what `moments` made of them.
            condition: of B samples, or of k B: then each x is seen under k conditions, and what is the same is computed once.
        Returns:
            [k B, T, nfeats], the first B under the first B conditions.
        """
        moment = times if isinstance(times, Moment) else self.moments(times[None], condition)[0]
        points, frames = x.unflatten(-1, (-1, 3)), condition.frames
        lip, upper = points[:, :, list(LIP_RELATED)].flatten(2), points[:, :, list(UPPER)].flatten(2)
        h = torch.cat([self.lip_in(lip), self.upper_in(upper)], -1)
        for i, layer in enumerate(self.decoder_layers()):
            late, early = moment.tokens[i]
            audio, face = _placed(condition.audio[i], late, 2 * frames), _placed(condition.face[i], early, 0)
            h = layer(h, moment.films[i], condition.tables[:frames], audio, face)
        return self.out(h)

    def decoder_layers(self) -> list[DecoderLayer]:
        """`layers` by what they are."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def _encoded(self, layers: nn.ModuleList, tokens: Tensor) -> Tensor:
        tables = self._tables(tokens.shape[1], tokens)
        for layer in layers:
            tokens = layer(tokens, tables)
        return tokens

    def _tables(self, length: int, like: Tensor) -> Tensor:  # complex [length, C / 2]
        return rotary_tables(length, self.config.latent_dim, self.config.rotary_base, like)

    def _sinusoids(self, times: Tensor) -> Tensor:  # int64 [B] -> float32 [B, C]
        half = self.config.latent_dim // 2
        rates = torch.exp(torch.arange(half, device=times.device, dtype=torch.float32) * (-math.log(10000) / (half - 1)))
        angle = times[:, None].float() * rates
        return torch.cat([angle.sin(), angle.cos()], -1)


def _placed(memory: Memory, tokens: Memory, start: int) -> Memory:
    """`memory` with the time tokens from place `start` on: in place, or in a copy where gradients flow."""
    memory = (memory[0].clone(), memory[1].clone()) if torch.is_grad_enabled() else memory
    for whole, part in zip(memory, tokens):
        whole[:, :, start:start + TIME_TOKENS] = part
    return memory
