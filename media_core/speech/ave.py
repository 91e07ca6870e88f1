"""The audio-visual encoder (AVE) of SyncTalk: log-mel windows of 0.2 s -> 512 numbers, a row per video frame at 25 fps
(docs/hmtalker.md#ave-encoder).

Thirteen convolutions with batch normalisation, the audio half of a lip-sync expert, narrow 80 bands x 16 mel rows to one vector,
never below 0. Frame i takes the 16 rows from int(3.2 (i - 2)): they lie around it, 0.1 s to each side. No weights are shipped
(the official ones may not be used commercially, CC BY-NC 4.0). The state dict has their names, so they load as they are, from a
safetensors file; `talking-heads import ave` makes one of the official .pth.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..audio import Sound
from ..errors import FileFormatError, TalkingHeadsError
from ..file_headers import is_ave
from ..files import UNREADABLE, save_tensors
from ..paths import is_temporary
from ..progress import Report, silent
from .encoder import FolderEncoder, LayerError, encoded
from .facts import LAST, SAMPLE_RATE, EncoderFacts
from .features import Speech
from .mel import BANDS, HOP, mel_spectrogram

DIM = 512
WINDOW = 16                                # mel rows of a window
FPS = 25                                   # windows per second
ROWS_PER_FRAME = SAMPLE_RATE / HOP / FPS   # 3.2
EDGE = 2                                   # first and last windows stand for so many frames more
BATCH = 64                                 # windows computed at once
PREFIX = "audio_encoder."
KIND, VERSION = "ave", 1                   # of a file that `save_ave` makes
OFFICIAL = "audio_visual_encoder.pth"      # SyncTalk's own
_SILENCE = 1.0                             # s of digital silence encoded to learn what it looks like
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
    weight = next(net.parameters())
    windows, made = mel_windows(torch.from_numpy(mel)), []
    for at in range(0, len(windows), BATCH):
        made.append(net(windows[at:at + BATCH].to(weight.device, weight.dtype)).float().cpu())
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
                              f"Make one of the official file once: talking-heads import ave {OFFICIAL} ave.safetensors, or the "
                              "node Import AVE") from error
    return encoder_of_state(state, Path(path).name)


def save_ave(state: Mapping[str, Tensor], path: str | os.PathLike, licence: str = "", name: str = "the checkpoint") -> Path:
    """Writes official weights as safetensors, under the names that they have in the official file.

    Args:
        state: see `encoder_of_state`. licence: kept in the file. name: of the checkpoint, for messages.
    Raises:
        FileFormatError: what `encoder_of_state` refuses.
        TalkingHeadsError: the file cannot be written.
    """
    held = encoder_of_state(state, name).state_dict()
    return save_tensors(path, {key.removeprefix(PREFIX): value for key, value in held.items()}, kind=KIND, version=VERSION,
                        config={"licence": licence})


def ave_file(path: Path) -> Path | None:
    """The weights at `path`: that file, or the one such file of a folder that is no Hugging Face model; None where there are
    none."""
    if path.is_dir() and not (path / "config.json").is_file():
        found = [file for file in sorted(path.glob("*.safetensors")) if not is_temporary(file.name) and ave_file(file)]
        return found[0] if len(found) == 1 else None
    if not path.is_file() or path.suffix.lower() != ".safetensors":
        return None
    return path if is_ave(path) else None


# ---------------------------------------------------------------------------------------------------------- as a speech encoder

FACTS = EncoderFacts(id="ave", dim=DIM, rate=float(FPS), window=1, silence=None, delay=(WINDOW - 1 - 2 * EDGE * ROWS_PER_FRAME)
                     / 2 * HOP / SAMPLE_RATE, description="SyncTalk's audio-visual encoder, 512 numbers at 25 Hz; needs its "
                                                         "weights, a safetensors file")


@dataclass(frozen=True, eq=False)
class AveEncoder:
    """The audio-visual encoder ready to encode."""

    model: AudioVisualEncoder
    facts: EncoderFacts = FACTS
    layer: str = LAST

    @classmethod
    def load(cls, folder: str | os.PathLike, device: str | torch.device = "cpu", layer: str | int = LAST,
             dtype: torch.dtype = torch.float32) -> AveEncoder:
        """Reads the user's weights from a safetensors file, or from a folder that holds one.

        Raises:
            FileFormatError: what `load_ave` refuses.
            LayerError: another layer than the last.
        """
        if str(layer) not in (LAST, "-1"):
            raise LayerError(f"A layer can be chosen of a transformer only; '{FACTS.id}' has none", f"layer {layer}",
                             "Leave the layer out, or give the folder of a HuBERT model")
        net = load_ave(ave_file(Path(folder)) or folder)
        return cls(net.to(device, dtype).requires_grad_(False))

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """See `SpeechEncoder.encode`."""
        return encoded(self, self.features, sound, report)

    def features(self, mono: np.ndarray, report: Report = silent) -> np.ndarray:  # [N] -> [T, 512]
        """A row for every frame at 25 per second, and no more."""
        frames = max(1, -(-mono.size * FPS // SAMPLE_RATE))
        return ave_features(self.model, mono, report)[:frames].numpy()

    @property
    def silence_features(self) -> Tensor:  # float32 [512]
        """What the network makes of digital silence."""
        return self._silence_features

    @cached_property
    def _silence_features(self) -> Tensor:
        rows = self.features(np.zeros(round(_SILENCE * SAMPLE_RATE), np.float32))
        return torch.from_numpy(rows[len(rows) // 2].copy())


ENCODER = FolderEncoder(FACTS, AveEncoder.load, model_type="ave", has_file=ave_file)
