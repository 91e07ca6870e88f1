"""AToM's network: from a noisy motion window, the speech and a face to the clean motion (spec/moditalker.md 2.1-2.4).

Nothing that comes from speech and face depends on the diffusion step, so it is computed once (`condition`) and every step reads
it (`denoise`). Quirks of the published network that its checkpoints need are kept and marked A1-A3 (spec 13 A).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..landmarks import LIP_RELATED, UPPER
from .attention import Attention, EncoderLayer, rotary_tables
from .config import DenoiserConfig

TIME_TOKENS = 2
Memory = tuple[Tensor, Tensor]  # keys, values [B, H, M, d]


@dataclass(frozen=True)
class Condition:
    """What speech and face say, ready for every step. B samples, H heads, d channels a head."""

    summary: Tensor  # [B, C] 2 f + a of the FiLM vector
    audio: tuple[Memory, ...]  # per layer: keys, values [B, H, 2T, d] of the audio tokens
    face_after_audio: tuple[Memory, ...]  # per layer, [B, H, T, d]: landmark tokens behind audio and time tokens
    face: tuple[Memory, ...]  # the same behind the time tokens alone
    frames: int  # T


class FiLM(nn.Linear):
    """tau [B, C] -> (scale, shift), each [B, 1, C]."""

    def __init__(self, width: int):
        super().__init__(width, 2 * width)

    def forward(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = super().forward(F.mish(tau))[:, None].chunk(2, dim=-1)
        return 1 + scale, shift


class DecoderLayer(nn.Module):
    """One decoder layer; lips and the rest of the face share every weight (A3: no feed-forward net).

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
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, tau: Tensor, tables: Tensor, audio_memory: Memory,
                face_memory: Memory) -> Tensor:
        """h [B, T, 2C] -> the same; memories are (keys, values) [B, H, M, d]; `tables` are those of T positions."""
        lip, upper = h.chunk(2, dim=-1)
        both = torch.cat([lip, upper])  # one call for the two branches
        (scale, shift), (scale2, shift2), (scale3, shift3) = self.film1(tau), self.film2(tau), self.film3(tau)
        moved = self.dropout(self.self_attn.within(self.norm1(both), tables))
        lip1, upper1 = torch.addcmul(both.unflatten(0, (2, -1)) + shift, moved.unflatten(0, (2, -1)), scale)
        heard = self.dropout(self.cross_attn.across(self.norm2(lip1), tables, *audio_memory))
        seen = self.dropout(self.self_attn.within(self.norm2(upper1), tables))
        lip2, upper2 = torch.addcmul(lip1 + shift2, heard, scale2), torch.addcmul(upper1 + shift2, seen, scale2)
        z = self.dropout(self.cross_attn.across(self.norm3(lip2 + upper2), tables, *face_memory))
        out = self.linear3(torch.addcmul(shift3, z, 1 + scale3))  # z + FiLM(z)
        return torch.cat([lip2, upper2], -1) + out if self.residual else out


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
            audio: [B, 2T, cond_feature_dim] two tokens a frame.
            keep: bool [B], False drops speech and face together (classifier-free guidance); None keeps all.
        """
        frames = face.shape[1]
        keep = torch.ones(len(face), dtype=torch.bool, device=face.device) if keep is None else keep
        heard = self._encoded(self.audio_encoder, self.audio_in(audio))
        summary = torch.where(keep[:, None], self.audio_summary(heard.mean(1)), self.null_audio_summary)
        heard = torch.where(keep[:, None, None], heard, self.null_audio[:, :2 * frames])
        seen = torch.where(keep[:, None, None], self._encoded(self.face_encoder, self.face_in(face)), self.null_face[:, :frames])
        summary = summary + 2 * self.face_summary(seen.mean(1))  # A1: the published code adds f twice, to both branches
        heard, seen = self.memory_norm(heard), self.memory_norm(seen)
        tables = self._tables(3 * frames + TIME_TOKENS, face)
        behind = tables[2 * frames + TIME_TOKENS:]  # A2: positions run through the concatenated memory
        near = tables[TIME_TOKENS:TIME_TOKENS + frames]
        attentions = [layer.cross_attn for layer in self.layers]
        return Condition(summary, tuple(a.keys_values(heard, tables[:2 * frames]) for a in attentions),
                         tuple(a.keys_values(seen, behind) for a in attentions),
                         tuple(a.keys_values(seen, near) for a in attentions), frames)

    def denoise(self, x: Tensor, times: Tensor, condition: Condition) -> Tensor:
        """x [B, T, nfeats] noisy residual, times int64 [B] 0..999 -> the clean residual [B, T, nfeats]."""
        points = x.unflatten(-1, (-1, 3))
        lip, upper = points[:, :, list(LIP_RELATED)].flatten(2), points[:, :, list(UPPER)].flatten(2)
        h = torch.cat([self.lip_in(lip), self.upper_in(upper)], -1)
        hidden = F.mish(self.time_in(self._sinusoids(times).to(x.dtype)))
        tau = self.time_summary(hidden) + condition.summary
        tokens = self.memory_norm(self.time_tokens(hidden).unflatten(-1, (TIME_TOKENS, -1)))
        frames = condition.frames
        tables = self._tables(2 * frames + TIME_TOKENS, x)
        for i, layer in enumerate(self.layers):
            late = layer.cross_attn.keys_values(tokens, tables[2 * frames:])
            early = layer.cross_attn.keys_values(tokens, tables[:TIME_TOKENS])
            heard = _joined(condition.audio[i], late, condition.face_after_audio[i])
            h = layer(h, tau, tables[:frames], heard, _joined(early, condition.face[i]))
        return self.out(h)

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


def _joined(*parts: Memory) -> Memory:
    return torch.cat([k for k, _ in parts], 2), torch.cat([v for _, v in parts], 2)
