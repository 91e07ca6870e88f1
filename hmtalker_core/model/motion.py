"""What moves the Gaussians: speech and action units in, offsets of the raw parameters out.

`FaceMotionNet` is HM-Talker's hybrid face net: an implicit code from speech and an explicit code from lower-face
action units, fused by a gate; upper-face action units act beside them. `MouthMotionNet` is the inside-mouth net.
Positions never change after training, so everything that depends on them alone is cached: `cache`,
`deform_cached`. TalkingGaussian's own face net is in `published.py`.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError
from .audio_net import AudioAttNet, make_audio_net
from .fusion import MotionKind, fuse, fusion_net
from .layers import DISPLACEMENT, MLP
from .triplane import GridConfig, TriPlane

Path = Literal["audio", "masked", "vanilla"]
MOUTH_SIDEWAYS = 5.0   # the mouth's x and z displacements are divided by this: motion is mostly vertical in head space
FACE_OUTPUTS = 11      # displacement 3, rotation 4, opacity 1, scale 3
LR, LR_GRID, LR_ATTENTION = 5e-4, 5e-3, 2.5e-3            # docs/hmtalker.md#optimisers
AUDIO_PARTS = "audio_net", "audio_att_net"
MIXED_UNITS = (0, 2, 3, 4, 5)  # of the 7 upper-face action units, those TalkingGaussian mixes: AU01, 04, 05, 06, 07
UPPER_ENCODER_HIDDEN = 16
DECAY_GRID, DECAY_ATTENTION = 0.01, 1e-4                  # AdamW weight decay; 0 for everything else


@dataclass(frozen=True)
class FaceDims:
    """Widths of the face net that the paper fixes or leaves open (docs/hmtalker.md#networks)."""
    code: int = 32           # implicit, explicit and fused lower-face codes
    upper: int = 7           # upper-face action units
    lower: int = 10          # lower-face action units, the last channels of an explicit code; or numbers of another cue
    au_hidden: int = 32      # hidden width of the action-unit encoder (Eq. 5)
    a2am_hidden: int = 64    # hidden width of the audio-to-AU mapping (Eq. 6)
    gate_hidden: int = 32    # hidden width of the gate (Eq. 7)
    upper_hidden: int = 16   # hidden width of the upper region attention (Eq. 8)
    deform_layers: int = 3   # linear layers of the deformation net (Eq. 9)


@dataclass(frozen=True)
class MotionOutput:
    """Output of the face net for N Gaussians in B frames."""
    d_xyz: Tensor                       # [B, N, 3] metres
    d_rot: Tensor                       # [B, N, 4] added to the raw quaternion
    d_opacity: Tensor                   # [B, N, 1] predicted, never applied; regularised only
    d_scale: Tensor                     # [B, N, 3] added to the raw scale
    att_lower: Tensor                   # [N, 32] region attention of speech
    att_upper: Tensor                   # [N, 7] region attention of the upper-face action units, >= 0
    ambient_lower: Tensor               # [B, N, 1] channel norm of att_lower (the same in every frame)
    ambient_upper: Tensor               # [B, N, 1] channel norm of att_upper
    c_implicit: Tensor                  # [B, 32] code of speech, masked on the masked path
    c_audio_au: Tensor                  # [B, 32] explicit code predicted from speech; its last 10 channels are action units
    c_visual_au: Tensor | None          # [B, 32] explicit code of the measured action units, None without them
    c_fused: Tensor                     # [B, 32]
    alpha: Tensor                       # [B, 32] in 0..1, fraction of the explicit code; NaN where the fusion has none
    align_loss: Tensor | None           # [] mean |c_audio_au - c_visual_au|, None without measured action units


@dataclass(frozen=True)
class FaceCache:
    """What depends on the positions alone."""
    first: Tensor        # [N, hidden] H's part of the deformation net's first layer
    attention: Tensor    # [N, 7 + 32] att_upper, att_lower


@dataclass(frozen=True)
class MouthCache:
    """What depends on the positions alone."""
    first: Tensor        # [N, hidden] H's part of the first layer


class FaceCodes(TypedDict):
    """What the face net knows of B frames before it looks at the Gaussians; described at `MotionOutput`."""
    c_implicit: Tensor            # [B, 32]
    c_audio_au: Tensor            # [B, 32]
    c_visual_au: Tensor | None    # [B, 32]
    c_fused: Tensor               # [B, 32]
    alpha: Tensor                 # [B, 32] in 0..1
    align_loss: Tensor | None     # []


class SpeechMotionNet(TriPlane):
    """What both branches share: a tri-plane over positions and the speech branch.

    Args:
        grid: layout of the three planes.
        audio_kind: "conv" (rows of features) or "fc" (one vector per frame).
        audio_dim: C, width of a feature row.
        audio_window: W, rows per frame.
        code: width of the code of speech.
    """

    def __init__(self, grid: GridConfig, audio_kind: str, audio_dim: int, audio_window: int, code: int):
        super().__init__(grid)
        self.audio_net = make_audio_net(audio_kind, audio_dim, audio_window, code)
        self.audio_att_net = AudioAttNet(code)

    def encode_audio(self, windows: Tensor) -> Tensor:  # [B, 8, C, W] -> [B, code]
        """The implicit code: eight frames around each wanted one, as `audio_net.audio_windows` cuts them."""
        return self.audio_att_net(self.audio_net(windows))

    def optimizer_groups(self, lr: float = LR, uniform: bool = False, audio: float = 1.0) -> list[dict]:
        """Groups for AdamW(betas=(0.9, 0.99), eps=1e-8): `params`, `lr`, `weight_decay`, `name`.

        Args:
            lr: learning rate of the perceptrons; grids and audio attention keep their multiples of it.
            uniform: one learning rate for everything, the paper's literal reading.
            audio: multiplies that of the speech branch.
        """
        special = {"encoder_xy": (LR_GRID, DECAY_GRID), "encoder_yz": (LR_GRID, DECAY_GRID), "encoder_xz": (LR_GRID, DECAY_GRID),
                   "audio_att_net": (LR_ATTENTION, DECAY_ATTENTION)}
        groups = []
        for name, child in self.named_children():
            own_lr, decay = special.get(name, (LR, 0.0))
            rate = (lr if uniform else own_lr * lr / LR) * (audio if name in AUDIO_PARTS else 1.0)
            groups.append({"params": list(child.parameters()), "lr": rate, "weight_decay": decay, "name": name})
        return groups


class FaceMotionNet(SpeechMotionNet):
    """HM-Talker's face motion (Eqs. 5-9) with the readings of docs/hmtalker.md#networks.

    Args:
        audio_dim, audio_window, audio_kind: the speech features; see `SpeechMotionNet`.
        bound: metres; half the edge of the cube in which the head lies.
        hidden: width of the deformation net.
        att_hidden: hidden width of the lower region attention.
        dims: the remaining widths.
        grid: layout of the tri-plane; by default TalkingGaussian's face settings at `bound`.
        kind: how the codes are fused, and what the explicit one is made of; None: the gate and `dims.lower` action units.
    """

    def __init__(self, audio_dim: int = 80, audio_window: int = 16, audio_kind: str = "conv", bound: float = 0.15,
                 hidden: int = 64, att_hidden: int = 32, *, dims: FaceDims = FaceDims(), grid: GridConfig | None = None,
                 kind: MotionKind | None = None):
        super().__init__(grid or GridConfig.face(bound), audio_kind, audio_dim, audio_window, dims.code)
        dims = dims if kind is None else replace(dims, lower=kind.width)
        width, code = self.position_width, dims.code
        self.dims = dims
        self.fusion, self.cue = ("gate", "au") if kind is None else (kind.fusion, kind.cue)
        self.au_enc = MLP(dims.lower, code - dims.lower if self.cue == "au" else code, dims.au_hidden, 2)
        # its bias: no unit starts dead behind the last ReLU
        self.a2am = _two_layers((code, dims.a2am_hidden, code), nn.ReLU(), bias=0.1)
        learned = fusion_net(self.fusion, code, dims.gate_hidden, _two_layers)
        if learned is not None:
            self.add_module(self.fusion, learned)
        self.att_lower = MLP(width, code, att_hidden, 2)
        self.att_upper = MLP(width, dims.upper, dims.upper_hidden, 2)
        self.deform = MLP(width + dims.upper + code, FACE_OUTPUTS, hidden, dims.deform_layers, zero_last=True)
        if kind is not None and kind.upper == "encoded":
            self.exp_encode_net = MLP(len(MIXED_UNITS), len(MIXED_UNITS), UPPER_ENCODER_HIDDEN, 2)

    def encode_upper(self, au_upper: Tensor) -> Tensor:  # [B, 7] -> [B, 7]
        """Upper-face action units as they act: as they are, or with five of them mixed by TalkingGaussian's little net, which
        does not know AU02 (0)."""
        if not hasattr(self, "exp_encode_net"):
            return au_upper
        out = torch.zeros_like(au_upper)
        out[:, list(MIXED_UNITS)] = self.exp_encode_net(au_upper[:, list(MIXED_UNITS)])
        out[:, -1] = au_upper[:, -1]
        return out

    def encode_au(self, au_lower: Tensor) -> Tensor:  # [B, 10] intensities 0..5, or [B, D] of another cue -> [B, 32]
        """Eq. 5: the explicit code. Its last 10 channels are the action units themselves; other cues leave no such trace."""
        learned = torch.relu(self.au_enc(au_lower))
        return torch.cat([learned, au_lower], dim=-1) if self.cue == "au" else learned

    def fuse(self, c_implicit: Tensor, c_explicit: Tensor) -> tuple[Tensor, Tensor]:  # [B, 32] x 2 -> c_fused, alpha [B, 32]
        """Eq. 7: each channel mixes the two codes in a learned proportion; other fusions as `fusion.py` has them."""
        return fuse(getattr(self, self.fusion, None), self.fusion, c_implicit, c_explicit)

    def codes(self, windows: Tensor, au_lower: Tensor | None = None, path: Path = "audio",
              mask: Tensor | None = None) -> FaceCodes:
        """The codes of one training path (docs/hmtalker.md#training-paths); the arguments of `forward` without the positions.

        Raises:
            TalkingHeadsError: the path is unknown, or lacks the action units or the mask it needs.
        """
        return self.codes_of(self.encode_audio(windows), au_lower, path, mask)

    def codes_of(self, c_implicit: Tensor, au_lower: Tensor | None = None, path: Path = "audio",
                 mask: Tensor | None = None) -> FaceCodes:
        """`codes` from what `encode_audio` gives, [B, 32]."""
        _check_path(path, au_lower, mask)
        c_audio_au = self.a2am(c_implicit)
        c_visual_au = None if au_lower is None else self.encode_au(au_lower)
        used = c_implicit
        if path == "masked":
            assert mask is not None  # _check_path
            used = c_implicit * mask
        explicit = c_audio_au if path == "audio" else c_visual_au
        assert explicit is not None  # _check_path
        c_fused, alpha = self.fuse(used, explicit)
        align = None if c_visual_au is None else (c_audio_au - c_visual_au.detach()).abs().mean()
        return {"c_implicit": used, "c_audio_au": c_audio_au, "c_visual_au": c_visual_au, "c_fused": c_fused, "alpha": alpha,
                "align_loss": align}

    def forward(self, xyz: Tensor, windows: Tensor, au_upper: Tensor, au_lower: Tensor | None = None, path: Path = "audio",
                mask: Tensor | None = None) -> MotionOutput:
        """Motion of N Gaussians in B frames.

        Args:
            xyz: [N, 3] metres, the same in every frame.
            windows: [B, 8, C, W] speech features around each frame.
            au_upper: [B, 7] intensities of action units 1, 2, 4, 5, 6, 7, 45.
            au_lower: [B, 10] intensities of 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, or the numbers of another cue; needed by
                "masked" and "vanilla", and for the alignment loss.
            path: "audio" (inference), "masked" or "vanilla" (training).
            mask: [B, 32] or [1, 32] of 0 and 1, multiplies the implicit code on the masked path.
        """
        return self.moved(xyz, self.codes(windows, au_lower, path, mask), au_upper)

    def moved(self, xyz: Tensor, codes: FaceCodes, au_upper: Tensor) -> MotionOutput:
        """`forward` from the frames' codes."""
        features = self.encode_position(xyz)
        att_lower, att_upper = self._attention(features)
        frames, c_fused = len(au_upper), codes["c_fused"]
        upper = self.encode_upper(au_upper)
        entering = [features.expand(frames, -1, -1), upper[:, None] * att_upper, c_fused[:, None] * att_lower]
        h = self.deform(torch.cat(entering, dim=-1))
        return MotionOutput(
            d_xyz=DISPLACEMENT * h[..., :3], d_rot=h[..., 3:7], d_opacity=h[..., 7:8], d_scale=h[..., 8:11],
            att_lower=att_lower, att_upper=att_upper,
            ambient_lower=att_lower.norm(dim=-1, keepdim=True).expand(frames, -1, -1),
            ambient_upper=att_upper.norm(dim=-1, keepdim=True).expand(frames, -1, -1), **codes)

    def _attention(self, features: Tensor) -> tuple[Tensor, Tensor]:  # [N, 36] -> att_lower [N, 32], att_upper [N, 7] (Eq. 8)
        return self.att_lower(features), torch.relu(self.att_upper(features))

    def cache(self, xyz: Tensor) -> FaceCache:  # [N, 3] metres
        """Computes once what every frame of an avatar shares."""
        features = self.encode_position(xyz)
        att_lower, att_upper = self._attention(features)
        weight = self.deform.first_weight[:, :self.position_width]
        return FaceCache(features @ weight.T, torch.cat([att_upper, att_lower], dim=-1))

    def deform_cached(self, cache: FaceCache, c_fused: Tensor, au_upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The offsets of `forward` from the cached part and the frames' codes.

        The codes scale the first layer's columns instead of every Gaussian's attention: one product per frame, no [B, N, 39].

        Args:
            cache: of the same positions.
            c_fused: [B, 32].
            au_upper: [B, 7].
        Returns:
            d_xyz [B, N, 3] metres, d_rot [B, N, 4], d_scale [B, N, 3].
        """
        if cache.first.device.type == "cpu" and len(c_fused) > 1:  # one frame's intermediates stay in the processor's cache
            each = [self.deform_cached(cache, c_fused[i:i + 1], au_upper[i:i + 1]) for i in range(len(c_fused))]
            d_xyz, d_rot, d_scale = (torch.cat(parts) for parts in zip(*each, strict=True))
            return d_xyz, d_rot, d_scale
        weight = self.deform.first_weight[:, self.position_width:].T                        # [39, hidden]
        scaled = torch.cat([self.encode_upper(au_upper), c_fused], dim=-1)[..., None] * weight  # [B, 39, hidden]
        h = self.deform.after_first(cache.first + cache.attention @ scaled)
        return DISPLACEMENT * h[..., :3], h[..., 3:7], h[..., 8:11]


class MouthMotionNet(SpeechMotionNet):
    """Motion of the inside of the mouth: displacements only, from speech only.

    Args:
        audio_dim, audio_window, audio_kind: the speech features; see `SpeechMotionNet`.
        bound: metres; half the edge of the cube in which the head lies.
        hidden: width of the motion net.
        code: width of the code of speech.
        att_hidden: hidden width of `aud_ch_att_net`, which the official net carries and never uses; None leaves it out.
        grid: layout of the tri-plane; by default TalkingGaussian's mouth settings at `bound`.
    """

    def __init__(self, audio_dim: int = 80, audio_window: int = 16, audio_kind: str = "conv", bound: float = 0.15,
                 hidden: int = 32, *, code: int = 32, layers: int = 3, att_hidden: int | None = None,
                 grid: GridConfig | None = None):
        super().__init__(grid or GridConfig.mouth(bound), audio_kind, audio_dim, audio_window, code)
        self.sigma_net = MLP(self.position_width + code, 3, hidden, layers, zero_last=True)
        if att_hidden is not None:
            self.aud_ch_att_net = MLP(self.position_width, code, att_hidden, 2)

    def forward(self, xyz: Tensor, windows: Tensor) -> Tensor:  # [N, 3] metres, [B, 8, C, W] -> d_xyz [B, N, 3] metres
        """Displacements of N Gaussians in B frames."""
        code = self.encode_audio(windows)
        features = self.encode_position(xyz).expand(len(code), -1, -1)
        h = self.sigma_net(torch.cat([features, code[:, None].expand(-1, features.shape[1], -1)], dim=-1))
        return _mouth_displacement(h)

    def cache(self, xyz: Tensor) -> MouthCache:  # [N, 3] metres
        """Computes once what every frame of an avatar shares."""
        return MouthCache(self.encode_position(xyz) @ self.sigma_net.first_weight[:, :self.position_width].T)

    def deform_cached(self, cache: MouthCache, code: Tensor) -> Tensor:  # [B, 32] -> d_xyz [B, N, 3] metres
        """`forward` from the cached part and the frames' codes of speech."""
        entering = code @ self.sigma_net.first_weight[:, self.position_width:].T            # [B, hidden]
        return _mouth_displacement(self.sigma_net.after_first(cache.first + entering[:, None]))


def _two_layers(widths: tuple[int, int, int], end: nn.Module, bias: float) -> nn.Sequential:
    """Two linear layers, ReLU between and `end` behind them; the second starts with this bias."""
    first, second = nn.Linear(widths[0], widths[1]), nn.Linear(widths[1], widths[2])
    nn.init.constant_(second.bias, bias)
    return nn.Sequential(first, nn.ReLU(), second, end)


def _mouth_displacement(h: Tensor) -> Tensor:  # [..., 3] -> [..., 3] metres
    return DISPLACEMENT * h / h.new_tensor([MOUTH_SIDEWAYS, 1.0, MOUTH_SIDEWAYS])


def _check_path(path: str, au_lower: Tensor | None, mask: Tensor | None) -> None:
    if path not in ("audio", "masked", "vanilla"):
        raise TalkingHeadsError("The path must be 'audio', 'masked' or 'vanilla'", repr(path), "Use 'audio' outside training")
    if path != "audio" and au_lower is None:
        raise TalkingHeadsError(f"The {path} path needs measured lower-face action units", "none",
                                "Pass `au_lower`, or use path 'audio'")
    if path == "masked" and mask is None:
        raise TalkingHeadsError("The masked path needs a mask", "none", "Draw one with `schedules.draw_mask`")
