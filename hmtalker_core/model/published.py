"""Nets of official checkpoints: TalkingGaussian's face net, and rebuilding any motion net from the shapes of its state dict.

docs/hmtalker.md#official-checkpoints. Nothing about a checkpoint's widths is assumed: they are read off its tensors.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...media_core.errors import FileFormatError
from .audio_net import AudioArguments, AudioAttNet, AudioNet, AudioNetAVE
from .fusion import MotionKind
from .layers import DISPLACEMENT, MLP, mlp_sizes
from .motion import FACE_OUTPUTS, FaceDims, FaceMotionNet, MouthMotionNet, SpeechMotionNet
from .triplane import GridConfig, grid_levels


class SpeechBranch(AudioArguments):
    """What the tensors of a motion net's speech branch tell of it."""
    code: int


@dataclass(frozen=True)
class PublishedMotion:
    """Output of TalkingGaussian's face net for N Gaussians in B frames."""
    d_xyz: Tensor            # [B, N, 3] metres
    d_rot: Tensor            # [B, N, 4] added to the raw quaternion
    d_opacity: Tensor        # [B, N, 1] never applied
    d_scale: Tensor          # [B, N, 3] added to the raw scale
    ambient_audio: Tensor    # [N, 1] channel norm of the speech attention
    ambient_eye: Tensor      # [N, 1] channel norm of the upper-face attention


class TalkingGaussianFaceNet(SpeechMotionNet):
    """TalkingGaussian's (and InsTaG's) face motion: speech and six upper-face action units, no explicit lower-face code.

    Args:
        audio_dim, audio_window, audio_kind: the speech features; see `SpeechMotionNet`.
        bound: metres; half the edge of the cube in which the head lies.
        hidden, layers: width and depth of the motion net.
        expressions: action units (1, 4, 5, 6, 7, 45); all but the last pass through a small net.
        code: width of the code of speech.
        att_hidden, eye_hidden, expression_hidden: hidden widths of the attentions and of that small net.
        grid: layout of the tri-plane; by default the official face settings at `bound`.
    """

    def __init__(self, audio_dim: int = 29, audio_window: int = 16, audio_kind: str = "conv", bound: float = 0.15,
                 hidden: int = 64, *, layers: int = 3, expressions: int = 6, code: int = 32, att_hidden: int = 32,
                 eye_hidden: int = 16, expression_hidden: int = 16, grid: GridConfig | None = None):
        super().__init__(grid or GridConfig.face(bound), audio_kind, audio_dim, audio_window, code)
        width = self.position_width
        self.exp_encode_net = MLP(expressions - 1, expressions - 1, expression_hidden, 2)
        self.eye_att_net = MLP(width, expressions, eye_hidden, 2)
        self.sigma_net = MLP(width + code + expressions, FACE_OUTPUTS, hidden, layers)
        self.aud_ch_att_net = MLP(width, code, att_hidden, 2)

    def forward(self, xyz: Tensor, windows: Tensor, expression: Tensor) -> PublishedMotion:
        """Motion of N Gaussians in B frames.

        Args:
            xyz: [N, 3] metres.
            windows: [B, 8, C, W] speech features.
            expression: [B, 6] intensities of action units 1, 4, 5, 6, 7, 45.
        """
        code = self.encode_audio(windows)
        features = self.encode_position(xyz)
        att_audio, att_eye = self.aud_ch_att_net(features), torch.relu(self.eye_att_net(features))
        encoded = torch.cat([self.exp_encode_net(expression[:, :-1]), expression[:, -1:]], dim=-1)
        entering = [features.expand(len(code), -1, -1), code[:, None] * att_audio, encoded[:, None] * att_eye]
        h = self.sigma_net(torch.cat(entering, dim=-1))
        return PublishedMotion(d_xyz=DISPLACEMENT * h[..., :3], d_rot=h[..., 3:7], d_opacity=h[..., 7:8], d_scale=h[..., 8:11],
                               ambient_audio=att_audio.norm(dim=-1, keepdim=True),
                               ambient_eye=att_eye.norm(dim=-1, keepdim=True))


def audio_arguments(state: Mapping[str, Tensor], window: int | None = None, prefix: str = "audio_net.") -> SpeechBranch:
    """What the speech branch in `state` is.

    Args:
        window: rows per frame; the convolutions' shapes do not tell. None: 16 for them, 1 for the
            fully connected form.
    Raises:
        FileFormatError: there is no speech branch under `prefix`.
    """
    fc = sorted(k for k in state if k.startswith(prefix + "encoder_fc1.") and k.endswith(".weight"))
    if not fc:
        raise FileFormatError("The motion net must hold a speech branch", f"no '{prefix}encoder_fc1'",
                              "Choose a motion checkpoint")
    convolution = state.get(prefix + "encoder_conv.0.weight")
    code = state[fc[-1]].shape[0]
    if convolution is not None:
        return {"audio_kind": "conv", "audio_dim": convolution.shape[1], "audio_window": window or 16, "code": code}
    return {"audio_kind": "fc", "audio_dim": state[fc[0]].shape[1] // (window or 1), "audio_window": window or 1, "code": code}


def audio_net_of_state(state: Mapping[str, Tensor], window: int | None = None, prefix: str = "audio_net.") -> nn.Module:
    """The speech net under `prefix`, of whatever widths, loaded."""
    own = _under(state, prefix)
    arguments = audio_arguments(state, window, prefix)
    widths = tuple(len(own[name]) for name in _weights(own))
    if arguments["audio_kind"] == "conv":
        net: nn.Module = AudioNet(arguments["audio_dim"], arguments["audio_window"], widths[-1], widths[:-1])
    else:
        net = AudioNetAVE(arguments["audio_dim"] * arguments["audio_window"], widths[-1], (widths[0], widths[-2]))
    net.load_state_dict(own)
    return net


def audio_attention_of_state(state: Mapping[str, Tensor], prefix: str = "audio_att_net.") -> AudioAttNet:
    """The attention over a window's frames under `prefix`, of whatever widths, loaded."""
    own = _under(state, prefix)
    convolutions = [name for name in _weights(own) if name.startswith("attentionConvNet.")]
    net = AudioAttNet(own[convolutions[0]].shape[1], len(own["attentionNet.0.weight"]),
                      tuple(len(own[name]) for name in convolutions[:-1]))
    net.load_state_dict(own)
    return net


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}


def _weights(state: Mapping[str, Tensor]) -> list[str]:
    """Weights of a chain of layers in the order in which they run: convolutions before linear layers, then by number."""
    names = [name for name in state if name.endswith(".weight")]
    return sorted(names, key=lambda name: ("fc" in name.split(".")[0], int(name.split(".")[1])))


def grid_of_state(state: Mapping[str, Tensor], default: GridConfig, **known: float) -> GridConfig:
    """The tri-plane layout of a state dict: levels and features from its shapes, the rest from `known` over `default`.

    Raises:
        FileFormatError: the table's rows contradict that layout (another bound or resolution is needed in `known`).
    """
    offsets, table = state["encoder_xy.offsets"], state["encoder_xy.embeddings"]
    config = GridConfig(**{**vars(default), **known, "levels": len(offsets) - 1, "features": table.shape[1]})
    expected = [level.start for level in grid_levels(config)]
    if expected != offsets[:-1].tolist():
        raise FileFormatError(f"The tri-plane's grids must start at rows {expected[:4]} ... for these settings",
                              f"they start at {offsets[:4].tolist()} ...", "Give the bound and the grid it was trained with")
    return config


def build_motion_net(state: Mapping[str, Tensor], *, bound: float = 0.15, window: int | None = None,
                     **grid: float) -> FaceMotionNet | MouthMotionNet | TalkingGaussianFaceNet:
    """Rebuilds the motion net whose state dict is `state` and loads it.

    Args:
        state: our names or the official ones (docs/hmtalker.md#networks), which tell the kind.
        bound: metres, as in training.
        window: rows of speech features per frame, where it is not 16 (conv) or 1 (fc).
        grid: fields of `GridConfig` that differ from the official settings.
    Raises:
        FileFormatError: names or shapes fit no motion net of these settings.
    """
    audio = audio_arguments(state, window)
    if "deform.net.0.weight" in state:
        net = _hm_talker(state, audio, grid_of_state(state, GridConfig.face(bound), **grid))
    elif "exp_encode_net.net.0.weight" in state:
        net = _published_face(state, audio, grid_of_state(state, GridConfig.face(bound), **grid))
    elif "sigma_net.net.0.weight" in state:
        net = _mouth(state, audio, grid_of_state(state, GridConfig.mouth(bound), **grid))
    else:
        raise FileFormatError("The state dict must be a motion net's", f"names such as {sorted(state)[:3]}",
                              "Choose a motion checkpoint")
    try:
        net.audio_net, net.audio_att_net = audio_net_of_state(state, window), audio_attention_of_state(state)
        net.load_state_dict(dict(state))
    except RuntimeError as error:
        raise FileFormatError("The motion net's tensors must fit its settings", str(error).replace("\n", " "),
                              "Give the bound and the grid it was trained with") from error
    return net


def _hm_talker(state: Mapping[str, Tensor], audio: SpeechBranch, grid: GridConfig) -> FaceMotionNet:
    fusion = next((name for name in ("gate", "concat") if f"{name}.0.weight" in state), None)
    if fusion is None:
        raise FileFormatError("A face net's state dict must have a learned fusion (gate or concat): it does not say which of the "
                              "others it had", "neither", "Load the avatar file, which says it")
    lower, learned, au_hidden, _ = mlp_sizes(state, "au_enc.")
    _, upper, upper_hidden, _ = mlp_sizes(state, "att_upper.")
    _, _, hidden, layers = mlp_sizes(state, "deform.")
    dims = FaceDims(code=audio["code"], upper=upper, lower=lower, au_hidden=au_hidden, a2am_hidden=len(state["a2am.0.weight"]),
                    gate_hidden=len(state[f"{fusion}.0.weight"]), upper_hidden=upper_hidden, deform_layers=layers)
    return FaceMotionNet(audio["audio_dim"], audio["audio_window"], audio["audio_kind"], hidden=hidden,
                         att_hidden=mlp_sizes(state, "att_lower.")[2], dims=dims, grid=grid,
                         kind=MotionKind(fusion, "au" if learned < audio["code"] else "vector", lower))


def _published_face(state: Mapping[str, Tensor], audio: SpeechBranch, grid: GridConfig) -> TalkingGaussianFaceNet:
    _, expressions, eye_hidden, _ = mlp_sizes(state, "eye_att_net.")
    _, _, hidden, layers = mlp_sizes(state, "sigma_net.")
    return TalkingGaussianFaceNet(**audio, hidden=hidden, layers=layers, expressions=expressions, eye_hidden=eye_hidden,
                                  att_hidden=mlp_sizes(state, "aud_ch_att_net.")[2],
                                  expression_hidden=mlp_sizes(state, "exp_encode_net.")[2], grid=grid)


def _mouth(state: Mapping[str, Tensor], audio: SpeechBranch, grid: GridConfig) -> MouthMotionNet:
    _, _, hidden, layers = mlp_sizes(state, "sigma_net.")
    unused = mlp_sizes(state, "aud_ch_att_net.")[2] if "aud_ch_att_net.net.0.weight" in state else None
    return MouthMotionNet(**audio, hidden=hidden, layers=layers, att_hidden=unused, grid=grid)
