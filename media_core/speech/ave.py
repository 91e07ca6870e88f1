"""The audio-visual encoder (AVE) of SyncTalk: log-mel windows of 0.2 s -> 512 numbers, a row per video frame at 25 fps.

Thirteen convolutions with batch normalisation, the audio half of a lip-sync expert, narrow 80 bands x 16 mel rows to one vector,
never below 0. Frame i takes the 16 rows from int(3.2 (i - 2)): they lie around it, 0.1 s to each side. No weights are shipped
(the official ones may not be used commercially, CC BY-NC 4.0). The state dict has their names, so they load as they are.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import FileFormatError, TalkingHeadsError
from ..files import UNREADABLE
from ..progress import Report, silent
from .facts import SAMPLE_RATE
from .mel import BANDS, HOP, mel_spectrogram

DIM = 512
WINDOW = 16                                # mel rows of a window
FPS = 25                                   # windows per second
ROWS_PER_FRAME = SAMPLE_RATE / HOP / FPS   # 3.2
EDGE = 2                                   # first and last windows stand for so many frames more
BATCH = 64                                 # windows computed at once
PREFIX = "audio_encoder."
# in, out, kernel, stride (of bands, of rows), padding, adds its input
BLOCKS = ((1, 32, 3, 1, 1, False), (32, 32, 3, 1, 1, True), (32, 32, 3, 1, 1, True),
          (32, 64, 3, (3, 1), 1, False), (64, 64, 3, 1, 1, True), (64, 64, 3, 1, 1, True),
          (64, 128, 3, 3, 1, False), (128, 128, 3, 1, 1, True), (128, 128, 3, 1, 1, True),
          (128, 256, 3, (3, 2), 1, False), (256, 256, 3, 1, 1, True),
          (256, 512, 3, 1, 0, False), (512, DIM, 1, 1, 0, False))


class Block(nn.Module):
    """Convolution, batch normalisation, the input added or not, ReLU: [B, in, H, W] -> [B, out, H', W']."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int | tuple[int, int], padding: int, residual: bool):
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(narrow, wide, kernel, stride, padding), nn.BatchNorm2d(wide))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv_block(x)
        return torch.relu(made + x if self.residual else made)


class AudioVisualEncoder(nn.Module):
    """Mel windows to features: [B, 1, 80, 16] -> [B, 512]. In evaluation mode, which alone is published."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = nn.Sequential(*(Block(*block) for block in BLOCKS))
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        if windows.ndim != 4 or windows.shape[1:] != (1, BANDS, WINDOW):
            raise TalkingHeadsError(f"The audio-visual encoder reads windows [B, 1, {BANDS}, {WINDOW}]",
                                    f"{list(windows.shape)}", "Cut the mel spectrogram with mel_windows")
        return self.audio_encoder(windows).flatten(1)


def mel_windows(mel: Tensor) -> Tensor:  # [T, 80] -> [n, 1, 80, 16], n = int((T - 16) / 80 * 25) + 2
    """What the encoder reads of audio; a window that would run over the end takes the last 16 rows.

    Raises:
        TalkingHeadsError: fewer than 16 rows, or rows of another width.
    """
    if mel.ndim != 2 or mel.shape[1] != BANDS or len(mel) < WINDOW:
        raise TalkingHeadsError(f"The mel spectrogram must be [T, {BANDS}] with at least {WINDOW} rows, 0.2 s",
                                f"{list(mel.shape)}", "Put silence at the end of the audio")
    count = int((len(mel) - WINDOW) / (SAMPLE_RATE // HOP) * FPS) + 2  # rounded and cut off as in the original
    first = (torch.arange(count, dtype=torch.float64) * ROWS_PER_FRAME + 1e-9).long().clamp(max=len(mel) - WINDOW)
    return mel[first[:, None] + torch.arange(WINDOW)].transpose(1, 2)[:, None]


def edged(features: Tensor) -> Tensor:  # [n, D] -> [n + 4, D]
    """Windows as frames: the first and the last are repeated, so that row i lies around frame i."""
    return torch.cat([features[:1].expand(EDGE, -1), features, features[-1:].expand(EDGE, -1)])


@torch.inference_mode()
def ave_features(net: AudioVisualEncoder, mono: np.ndarray, report: Report = silent) -> Tensor:  # [N] -> float32 [n + 4, 512]
    """The features of the audio's frames at 25 per second; a few more than it has. Audio shorter than 0.2 s ends in silence.

    Args:
        net: on any device.
        mono: float32 at 16 kHz, N >= 1.
        report: called after each batch of windows; may cancel.
    """
    short = WINDOW * HOP - len(mono)
    mel = mel_spectrogram(np.pad(mono, (0, short)) if short > 0 else mono)
    device = next(net.parameters()).device
    windows, made = mel_windows(torch.from_numpy(mel)), []
    for at in range(0, len(windows), BATCH):
        made.append(net(windows[at:at + BATCH].to(device)).float().cpu())
        report(min(at + BATCH, len(windows)), len(windows), {}, None)
    return edged(torch.cat(made))


def encoder_of_state(state: Mapping[str, Tensor], name: str = "the checkpoint") -> AudioVisualEncoder:
    """The encoder with official weights, every tensor accounted for.

    Args:
        state: official names, with the module's prefix `audio_encoder.` or, as in the file, without.
        name: of the file, for messages.
    Raises:
        FileFormatError: tensors are missing, unknown, of another shape, or not finite.
    """
    net, given = AudioVisualEncoder(), {PREFIX + key.removeprefix(PREFIX): value for key, value in state.items()}
    wanted = {key: value.shape for key, value in net.state_dict().items()}
    odd = sorted(key for key in wanted.keys() ^ given.keys())
    odd += sorted(f"{key} {list(given[key].shape)}, not {list(wanted[key])}" for key in wanted.keys() & given.keys()
                  if given[key].shape != wanted[key])
    odd = odd or sorted(key for key, value in given.items() if not bool(torch.isfinite(value).all()))
    if odd:
        raise FileFormatError(f"An audio-visual encoder must have {len(wanted)} finite tensors of the official names and shapes",
                              f"{name}: {', '.join(odd[:3])}{' ...' if len(odd) > 3 else ''}", "Give the whole checkpoint")
    net.load_state_dict(given)
    return net


def load_ave(path: str | os.PathLike) -> AudioVisualEncoder:
    """Reads the user's weights.

    Raises:
        FileFormatError: no such file, not safetensors, or what `encoder_of_state` refuses.
    """
    try:
        state = load_file(path)
    except UNREADABLE as error:
        raise FileFormatError("The audio-visual encoder must be a safetensors file", f"{Path(path).name} ({error})",
                              "Save the official state dict as safetensors") from error
    return encoder_of_state(state, Path(path).name)
