"""SyncNet and what is measured with it: Sync-D, Sync-C, the offset of audio and lips (Chung, Zisserman 2016, "Out of time").

Layout of `syncnet_v2.model` (github.com/joonson/syncnet_python). The protocol is that repository's: 25 frames per second, faces
of 224 x 224 px (BGR, 0..255), windows of five frames against 20 rows of cepstra, offsets of up to 15 frames. Of the curve of mean
distances over offsets, Sync-D is the least value, Sync-C the median minus it. Where the published pipeline asks its own face
detector (S3FD) for a box, `crop_box` derives one from the 68 points.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import TalkingHeadsError
from .mfcc import mfcc

FPS = 25
SIDE = 224  # px
FRAMES, ROWS, ROWS_PER_FRAME = 5, 20, 4  # of a window
REACH = 15  # frames, offsets tried to either side
DIM = 1024
CROP = 0.40  # how far a crop reaches beyond the detector's box
GREY = 110  # what lies outside the frame
SMOOTHING = 13  # frames of the median over boxes
BATCH = 20  # windows computed at once


class SyncNet(nn.Module):
    """Audio and lips to vectors of 1024 that lie close where they belong together. In evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64), nn.MaxPool2d(1, 1), *_flat(64, 192), nn.MaxPool2d(3, (1, 2)), *_flat(192, 384), *_flat(384, 256),
            *_flat(256, 256), nn.MaxPool2d(3, 2), *_flat(256, 512, (5, 4), 0))
        self.netcnnlip = nn.Sequential(
            *_solid(3, 96, (5, 7, 7), 2, 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_solid(96, 256, (1, 5, 5), 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_solid(256, 256), *_solid(256, 256), *_solid(256, 256), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_solid(256, 512, (1, 6, 6), 1, 0))
        self.netfcaud, self.netfclip = _head(), _head()
        self.eval()

    def audio(self, x: Tensor) -> Tensor:  # [B, 1, 13, 20] -> [B, 1024]
        return self.netfcaud(self.netcnnaud(x).flatten(1))

    def lips(self, x: Tensor) -> Tensor:  # [B, 3, 5, 224, 224] -> [B, 1024]
        return self.netfclip(self.netcnnlip(x).flatten(1))


@dataclass(frozen=True)
class Sync:
    """What SyncNet says of a video."""

    distance: float  # Sync-D, LSE-D
    confidence: float  # Sync-C, LSE-C
    offset: int  # frames at 25 per second by which the lips come after the audio; negative: before
    windows: int  # compared


def _flat(narrow: int, wide: int, kernel: tuple[int, int] = (3, 3), padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, kernel, padding=padding), nn.BatchNorm2d(wide), nn.ReLU()]


def _solid(narrow: int, wide: int, kernel: tuple[int, int, int] = (1, 3, 3), stride: int = 1,
           padding: int = 1) -> list[nn.Module]:
    """Strides and padding of rows and columns alone."""
    return [nn.Conv3d(narrow, wide, kernel, (1, stride, stride), (0, padding, padding)), nn.BatchNorm3d(wide), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, DIM))


def crop_boxes(points: np.ndarray) -> np.ndarray:  # [T, 68, 2] px -> float64 [T, 3]
    """Middle (x, y) and half side of each frame's face box, smoothed by a median of 13 frames.

    A detector's box reaches from the middle of the forehead to the chin: that of the points, heightened by a quarter.
    """
    from scipy.signal import medfilt

    low, high = points[..., :2].min(axis=1).astype(np.float64), points[..., :2].max(axis=1).astype(np.float64)
    low[:, 1] -= 0.25 * (high[:, 1] - low[:, 1])
    half = (high - low).max(axis=1) / 2
    return np.stack([medfilt(curve, SMOOTHING) for curve in (*((low + high) / 2).T, half)], axis=1)


def face_crop(frame: np.ndarray, box: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] RGB, [3] -> uint8 [224, 224, 3] BGR
    """The square that the published pipeline cuts: more of what lies below the face; grey outside the frame."""
    import cv2

    x, y, half = box
    margin = int(half * (1 + 2 * CROP))
    padded = np.pad(frame, ((margin, margin), (margin, margin), (0, 0)), constant_values=GREY)
    x, y = x + margin, y + margin
    top, left = max(0, int(y - half)), max(0, int(x - half * (1 + CROP)))
    face = padded[top:int(y + half * (1 + 2 * CROP)), left:int(x + half * (1 + CROP))]
    if not face.size:
        raise TalkingHeadsError("SyncNet needs the face inside the frame", f"a box around {box.round().tolist()} px",
                                "Choose a video that shows the face")
    return np.ascontiguousarray(cv2.resize(face, (SIDE, SIDE))[..., ::-1])


@torch.inference_mode()
def sync(net: SyncNet, crops: Iterable[np.ndarray], mono: np.ndarray, device: torch.device | str = "cpu") -> Sync:
    """Sync-D, Sync-C and offset of a face video at 25 frames per second.

    Args:
        crops: uint8 [224, 224, 3] BGR, one frame at a time: five are held.
        mono: float [N] at 16 kHz, from the first frame on.
        device: where `net` is.
    Raises:
        TalkingHeadsError: fewer than six frames with audio.
    """
    heard = torch.from_numpy(mfcc(mono).T).float()  # [13, rows]
    last = len(mono) // (16000 // FPS)
    lips = [net.lips(batch.to(device)).cpu() for batch in _batches(_windows(crops, last))]
    count = sum(map(len, lips)) - 1  # the published protocol leaves the last window out
    if count < 1:
        raise TalkingHeadsError("SyncNet needs six frames with audio at least",
                                str(count + FRAMES) if lips else "fewer than five", "Give a longer video")
    starts = range(0, ROWS_PER_FRAME * count, ROWS_PER_FRAME)
    windows = (heard[None, :, at:at + ROWS] for at in starts)
    spoken = torch.cat([net.audio(batch.to(device)).cpu() for batch in _batches(windows)])
    return scored(torch.cat(lips)[:count], spoken)


def _windows(crops: Iterable[np.ndarray], most: int) -> Iterator[Tensor]:  # float32 [3, 5, 224, 224]
    """Five frames in a row, from each frame on, of the first `most` frames."""
    held: list[Tensor] = []
    for number, crop in enumerate(crops):
        if number >= most:
            return
        held = [*held[1 - FRAMES:], torch.from_numpy(crop).permute(2, 0, 1).float()]
        if len(held) == FRAMES:
            yield torch.stack(held, dim=1)


def _batches(items: Iterable[Tensor]) -> Iterator[Tensor]:
    held: list[Tensor] = []
    for item in items:
        held.append(item)
        if len(held) == BATCH:
            yield torch.stack(held)
            held = []
    if held:
        yield torch.stack(held)


def scored(lips: Tensor, audio: Tensor, reach: int = REACH) -> Sync:  # [n, D] x 2
    """The published figures from embeddings, a row per window; audio beyond its ends is a vector of zeros."""
    padded = F.pad(audio, (0, 0, reach, reach))
    distances = torch.stack([F.pairwise_distance(lips, padded[at:at + len(lips)]).mean() for at in range(2 * reach + 1)])
    least = int(distances.argmin())
    return Sync(distance=float(distances[least]), confidence=float(distances.median() - distances[least]),
                offset=reach - least, windows=len(lips))
