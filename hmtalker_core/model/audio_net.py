"""Speech features of eight neighbouring frames to one code per frame (docs/hmtalker.md#networks).

`AudioNet` shortens the feature rows of each frame by strided convolutions (logits, HuBERT, mel); `AudioNetAVE` takes one
vector per frame; `AudioAttNet` weighs the eight frames. Names follow the official checkpoints.
"""
from __future__ import annotations

from itertools import pairwise
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from ...media_core.errors import TalkingHeadsError
from ...media_core.speech import Speech
from . import row_conv

FRAMES = 8         # frames in a window
HALF = FRAMES // 2  # of them before the frame itself
Window = Literal["centred", "causal"]  # frames [t - 4, t + 4) as in the papers, or [t - 7, t]: nothing after the frame itself
WINDOWS: tuple[Window, ...] = ("centred", "causal")
SLOPE = 0.02       # LeakyReLU
LONGEST = 16       # feature rows of a frame that the convolutions reduce to one


class AudioNet(nn.Module):
    """Convolutional form: [.., C, W] -> [.., code]; four stride-2 convolutions, then two linear layers.

    Args:
        dim: C, width of a feature row (29 DeepSpeech, 80 mel, 1024 HuBERT).
        window: W, rows per frame, 1..16 (longer windows lose the rows after the 16th).
        code: width of the result.
        widths: of the four convolutions and of the linear layer between.
    """

    def __init__(self, dim: int = 29, window: int = 16, code: int = 32, widths: tuple[int, ...] = (32, 32, 64, 64, 64)):
        super().__init__()
        if window < 1:
            raise TalkingHeadsError("A frame's window must hold at least 1 feature row", f"{window}", "Choose another encoder")
        self.dim, self.window = dim, window
        *convolutions, linear = widths
        layers: list[nn.Module] = []
        for narrow, wide in pairwise((dim, *convolutions)):
            layers += [nn.Conv1d(narrow, wide, kernel_size=3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.encoder_conv = nn.Sequential(*layers)
        self.encoder_fc1 = nn.Sequential(nn.Linear(convolutions[-1], linear), nn.LeakyReLU(SLOPE), nn.Linear(linear, code))

    def forward(self, x: Tensor) -> Tensor:  # [..., C, W] -> [..., code]
        lead = x.shape[:-2]
        x = x.flatten(0, -3)[..., :LONGEST]
        features = row_conv.convolved(self.encoder_conv, x) if row_conv.fits(x) else self.encoder_conv(x)  # [n, width, 1]
        return self.encoder_fc1(features.squeeze(-1)).unflatten(0, lead)


class AudioNetAVE(nn.Module):
    """Fully connected form for one vector per frame: [.., 1, dim] -> [.., code].

    Args:
        dim: width of the vector (512 for the audio-visual encoder).
        code: width of the result.
        hidden: widths between.
    """

    def __init__(self, dim: int = 512, code: int = 32, hidden: tuple[int, int] = (256, 128)):
        super().__init__()
        self.dim, self.window = dim, 1
        self.encoder_fc1 = nn.Sequential(nn.Linear(dim, hidden[0]), nn.LeakyReLU(SLOPE), nn.Linear(hidden[0], hidden[1]),
                                         nn.LeakyReLU(SLOPE), nn.Linear(hidden[1], code))

    def forward(self, x: Tensor) -> Tensor:  # [..., 1, dim] or [..., dim, 1] -> [..., code]
        return self.encoder_fc1(x.flatten(-2))


class AudioAttNet(nn.Module):
    """Self-attention over the frames of a window: [B, T, code] -> [B, code], a weighted mean of the inputs.

    Args:
        code: width of the per-frame codes.
        frames: T, frames in a window.
        widths: of the convolutions before the last, which leaves one number per frame.
    """

    def __init__(self, code: int = 32, frames: int = FRAMES, widths: tuple[int, ...] = (16, 8, 4, 2)):
        super().__init__()
        layers: list[nn.Module] = []
        for wide, narrow in pairwise((code, *widths, 1)):
            layers += [nn.Conv1d(wide, narrow, kernel_size=3, padding=1), nn.LeakyReLU(SLOPE)]
        self.attentionConvNet = nn.Sequential(*layers)
        self.attentionNet = nn.Sequential(nn.Linear(frames, frames), nn.Softmax(dim=-1))

    def scores(self, x: Tensor) -> Tensor:  # [B, T, code] -> [B, T], each row sums to 1
        x = x.transpose(-1, -2)
        looked = row_conv.convolved(self.attentionConvNet, x) if row_conv.fits(x) else self.attentionConvNet(x)
        return self.attentionNet(looked.squeeze(-2))

    def forward(self, x: Tensor) -> Tensor:  # [B, T, code] -> [B, code]
        return torch.einsum("bt,btc->bc", self.scores(x), x)


def make_audio_net(kind: str, dim: int, window: int, code: int = 32) -> nn.Module:
    """The per-frame net of a kind: "conv" (`AudioNet`) or "fc" (`AudioNetAVE`, window 1)."""
    if kind == "conv":
        return AudioNet(dim, window, code)
    if kind == "fc":
        return AudioNetAVE(dim * window, code)
    raise TalkingHeadsError("The audio net's kind must be 'conv' or 'fc'", repr(kind), "Use 'fc' for one vector per frame")


class AudioArguments(TypedDict):
    """What a motion net must know to read speech features; see `SpeechMotionNet`."""
    audio_dim: int
    audio_window: int
    audio_kind: str


def net_arguments(features: Tensor) -> AudioArguments:  # [F, C, W] speech features around each frame
    """What the motion nets must be told to read such features: `audio_dim`, `audio_window`, `audio_kind`."""
    _, channels, window = features.shape
    return {"audio_dim": channels, "audio_window": window, "audio_kind": "conv" if window > 1 else "fc"}


def audio_windows(features: Tensor, index: Tensor, frames: int = FRAMES,
                  outside: Tensor | None = None) -> Tensor:  # [F, ...], [B] -> [B, 8, ...]
    """Frames [i - 4, i + 4) around each `index`.

    Args:
        features: one entry a video frame (any trailing shape).
        index: frame numbers; those outside 0..F-1 are legal and see only what lies in the clip.
        frames: length of a window.
        outside: [frames, ...] what is heard in the frames / 2 before the clip, then in those after it; the nearest of them
            stands for what lies further out. None: zeros, as the official nets were trained. In mel 0 is loud.
    """
    half, count = frames // 2, len(features)
    at = index[:, None].to(features.device) + torch.arange(frames, device=features.device) - half
    inside = ((at >= 0) & (at < count)).view(*at.shape, *[1] * (features.ndim - 1))
    windows = features[at.clamp(0, max(count - 1, 0))]
    if outside is None:
        return windows * inside.to(features.dtype)
    edge = torch.where(at < 0, (at + half).clamp_min(0), (at - count + half).clamp(0, frames - 1))
    return torch.where(inside, windows, outside[edge])


def window_shift(window: Window) -> int:
    """Frames by which a window lies later than a centred one; below 0: earlier."""
    return HALF + 1 - FRAMES if window == "causal" else 0


def sound_around(speech: Speech, fps: float, count: int) -> Tensor:  # -> [8, C, W]
    """`outside` of `audio_windows` for video frames 0 to `count` of a speech: real silence, or audio that goes on there."""
    return torch.cat([speech.frame_windows(fps, -HALF, 0), speech.frame_windows(fps, count, count + HALF)])
