"""Windows of video in two forms: as they wait (a byte per number, a quarter of the memory and of the way to a GPU), and as
networks take them (float32, made on the device)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from ...media_core.face.geometry import MOUTH
from .rasters import WHITE, landmark_clip, lower_face_hidden, normalised

_AROUND = 32  # the mouth's box is wider by a 32nd of the image on each side
Batch = TypeVar("Batch", bound="VideoBatch | StoredBatch")


@dataclass(frozen=True)
class VideoBatch:
    """B windows of T images; what was not asked for is None."""

    frames: Tensor | None  # float32 [B, 3, T, S, S] -1..1
    weights: Tensor   # float32 [B, 1, T, S, S]: how much each pixel counts in a loss
    pixels: Tensor    # float32 [B, T, 68, 2] landmarks, px of the images
    landmarks: Tensor | None  # float32 [B, 3, T, S, S] -1..1, white discs
    pose: Tensor | None       # float32 [B, 3, T, S, S] -1..1, lower face black
    identity: Tensor | None   # float32 [B, 3, S, S] -1..1
    masks: Tensor | None      # uint8 [B, T, S, S], places in data.pictures.CLASSES

    def to(self, device: torch.device | str) -> VideoBatch:
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if value is not None})

    @classmethod
    def of(cls, windows: Sequence[VideoBatch]) -> VideoBatch:
        """Several batches one after the other as one."""
        return _joined(windows)


@dataclass(frozen=True)
class StoredBatch:
    """The same B windows before anything is computed; `on` makes the other form of them."""

    frames: Tensor | None     # uint8 [B, 3, T, S, S], as read, perhaps mirrored
    gains: Tensor             # float32 [B, 3], what red, green and blue are multiplied by
    pixels: Tensor            # float32 [B, T, 68, 2]
    discs: Tensor | None      # uint8 or int16 [B, T, S, S]: how many of the `finer` x `finer` pixels of the large image are white
    reference: Tensor | None  # uint8 [B, 3, S, S], the identity's image
    reference_pixels: Tensor | None  # float32 [B, 1, 68, 2]
    still: Tensor             # bool [B]: the pose is the identity's image, repeated
    masks: Tensor | None      # uint8 [B, T, S, S]
    size: int                 # S
    finer: int
    mouth: float              # weight of the mouth's box
    parts: tuple[str, ...]    # what is wanted, of dataset.PARTS

    @classmethod
    def of(cls, windows: Sequence[StoredBatch]) -> StoredBatch:
        """Several batches of the same settings as one."""
        return _joined(windows)

    def on(self, device: torch.device | str) -> VideoBatch:
        """As the networks take them; only bytes and points go to the device."""
        frames, shown = self._coloured(self.frames, device), self._coloured(self.reference, device)
        pose = self._pose(frames, shown, device) if "pose" in self.parts else None
        landmarks = None
        if self.discs is not None:
            drawn = self.discs.to(device).float() * WHITE / self.finer ** 2
            landmarks = landmark_clip(drawn).transpose(0, 1)
        weights = torch.stack([mouth_weights(one, self.size, self.mouth) for one in self.pixels.to(device)])
        return VideoBatch(frames=None if frames is None else normalised(frames), weights=weights, pixels=self.pixels.to(device),
                          landmarks=landmarks, pose=pose, masks=None if self.masks is None else self.masks.to(device),
                          identity=normalised(shown) if shown is not None and "identity" in self.parts else None)

    def _coloured(self, pictures: Tensor | None, device: torch.device | str) -> Tensor | None:
        """[B, 3, ...] 0..255, float32 on the device."""
        if pictures is None:
            return None
        gains = self.gains.to(device).view(*self.gains.shape, *[1] * (pictures.ndim - 2))
        return (pictures.to(device).float() * gains).clamp(0, 255)

    def _pose(self, frames: Tensor | None, shown: Tensor | None, device: torch.device | str) -> Tensor:
        assert frames is not None  # the settings refuse a pose without images
        each = [normalised(lower_face_hidden(clip.transpose(0, 1), points)).transpose(0, 1)
                for clip, points in zip(frames, self.pixels)]
        if shown is not None and self.reference_pixels is not None:
            for number in self.still.nonzero().flatten().tolist():
                hidden = lower_face_hidden(shown[number:number + 1], self.reference_pixels[number])
                each[number] = normalised(hidden)[0, :, None].expand_as(frames[number])
        return torch.stack(each)


def _joined(windows: Sequence[Batch]) -> Batch:
    """Tensors one after the other; what is no tensor is that of the first."""
    first = windows[0]
    columns = {part.name: [getattr(window, part.name) for window in windows] for part in fields(first)}
    return replace(first, **{name: torch.cat(column) for name, column in columns.items() if isinstance(column[0], Tensor)})


def mouth_weights(pixels: Tensor, size: int, weight: float) -> Tensor:  # [T, 68, 2] px -> float32 [1, T, size, size]
    """`weight` in a box around the lips' points, 1 elsewhere; on the device of `pixels`."""
    lips, around = pixels[:, MOUTH], size / _AROUND
    low, high = (lips.amin(1) - around).floor(), (lips.amax(1) + around).floor()
    place = torch.arange(size, device=pixels.device)
    x, y = ((place >= low[:, axis, None]) & (place <= high[:, axis, None]) for axis in (0, 1))  # [T, size] each
    return torch.where(y[:, :, None] & x[:, None, :], weight, 1.0)[None]
