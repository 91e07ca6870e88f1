"""Windows that MToV learns from: sample `index` of step `step` is a function of (seed, step, index) and of nothing else.

So batches do not depend on how they are cut into pieces, on the number of processes, or on where a training was resumed. A
window holds T neighbouring images of one clip of a motion dataset with the conditions the networks get: discs at the
landmarks, pose frames whose lower face is hidden, and one image of the person (docs/moditalker.md). Only the window's
own bytes are read: memory does not grow with the folder.

The landmarks were stored in px of the very images, so that the row from which the pose frames are black is above the mouth; the
released preparation had them `height - 3` px lower, and its pose frames showed the mouth (docs/moditalker.md#image-height).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.face.geometry import MIRROR
from ...media_core.mouth import lip_aperture
from ..config import REFERENCES
from ..data.dataset import MotionDataset, without_pictures
from .model import RasterSettings
from .rasters import WHITE, fine_rasters
from .video_batch import StoredBatch, VideoBatch

PARTS = ("landmarks", "pose", "identity", "masks")  # of a window, beside its images
_BYTE = 15  # times that discs are drawn larger, so that what is white of a pixel still fits into a byte


@dataclass(frozen=True)
class WindowSettings:
    """What windows look like."""

    frames: int = 16          # T
    size: int = 128           # px, sides of the images; the dataset's, or smaller
    raster: RasterSettings = field(default_factory=lambda: RasterSettings(size=128, radius=2, finer=1))  # of `size`
    reference: str = "first"  # which image is the identity: the window's "first" (as published), or "any" of the clip
    still: float = 0.0        # fraction of windows whose pose is the identity's image, repeated: as with one portrait
    mirror: float = 0.5       # fraction of mirrored windows
    colour: float = 0.15      # each colour of a window is multiplied by 1 - colour .. 1 + colour
    mouth: float = 5.0        # weight of the mouth's box; 1 everywhere else
    parts: tuple[str, ...] = PARTS[:3]  # what is wanted, of PARTS
    pictures: bool = True     # False: no image is read; only the parts "landmarks" and "masks" may be wanted then
    lively: int = 1           # motion-weighted: of so many sampled windows, the one whose mouth moves most

    def __post_init__(self) -> None:
        fractions = (self.still, self.mirror, self.colour)
        blind = not self.pictures and {"pose", "identity"} & set(self.parts)
        small = min(self.frames, self.size, self.lively) < 1 or self.mouth < 0 or min(fractions) < 0 or max(fractions) > 1
        if (small or blind or self.reference not in REFERENCES or not set(self.parts) <= set(PARTS)
                or self.raster.size != self.size):
            raise TalkingHeadsError("Windows need a reference 'first' or 'any', fractions from 0 to 1, rasters as large as the "
                                    f"images, and parts of {', '.join(PARTS)}", f"{self}", "Correct the settings")


@dataclass(frozen=True)
class Sample:
    """The random choices for one window."""

    clip: int       # place among the split's clips
    start: int      # frame
    reference: int  # frame of the clip that is the identity
    mirrored: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue
    still: bool = False  # the pose is the identity's image, repeated


class VideoWindows:
    """Random windows of the clips of a split that have images, as `settings` want them.

    Args:
        dataset: a motion dataset with images.
        split: "train" or "val".
        settings: see `WindowSettings`.
        seed: of the run.
    Raises:
        TalkingHeadsError: the dataset has no images, or smaller ones; the split is empty, or its clips shorter than a window.
    """

    def __init__(self, dataset: MotionDataset, split: str, settings: WindowSettings, seed: int = 0):
        self.dataset, self.settings, self.seed = dataset, settings, seed
        clips = dataset.clips
        if not any(clip.picture_size for clip in clips):
            raise without_pictures(dataset.folder)
        self.numbers = tuple(i for i in dataset.indices(split)
                             if clips[i].picture_size and clips[i].frames >= settings.frames)
        if not self.numbers:
            raise TalkingHeadsError(f"A motion dataset must hold clips of {settings.frames} frames or more, with images, to "
                                    f"{'train' if split == 'train' else 'test'} on", f"none in its split '{split}'",
                                    "Build it from more or longer videos")
        smallest = min(clips[i].picture_size for i in self.numbers)
        if smallest < settings.size:
            raise TalkingHeadsError(f"The dataset's images must have {settings.size} px or more", f"{smallest} px",
                                    f"Build it again with --frames {settings.size}, or train a smaller network")
        self.lengths = np.array([clips[i].frames for i in self.numbers])
        self._ends = np.cumsum(self.lengths)

    def __len__(self) -> int:
        """Clips."""
        return len(self.numbers)

    @property
    def margin(self) -> float:
        """Side of the face's square over its points' box, for the network's description."""
        return float(self.dataset.clips[self.numbers[0]].facts["pictures"]["margin"])

    def sample(self, step: int, index: int) -> Sample:
        """Draws window `index` of `step`; every frame of the split is as likely as any other to choose its clip."""
        random, settings = np.random.default_rng([self.seed, step, index]), self.settings
        places = [self._place(random) for _ in range(settings.lively)]
        clip, start, reference = places[0] if len(places) == 1 else max(places, key=lambda place: self._movement(*place[:2]))
        turn, still, gains = random.random(), random.random(), random.uniform(-1, 1, 3)
        red, green, blue = 1 + settings.colour * gains
        return Sample(clip=clip, start=start, reference=start if settings.reference == "first" else reference,
                      mirrored=turn < settings.mirror, gains=(red, green, blue), still=still < settings.still)

    def _place(self, random: np.random.Generator) -> tuple[int, int, int]:
        """Clip, start and reference of a window."""
        clip = int(np.searchsorted(self._ends, random.integers(self._ends[-1]), side="right"))
        length = int(self.lengths[clip])
        return clip, int(random.integers(length - self.settings.frames + 1)), int(random.integers(length))

    def _movement(self, clip: int, start: int) -> float:
        """How much the lips' distance changes within a window."""
        pixels = self.dataset.pixels(self.numbers[clip], start, start + self.settings.frames)
        return float(lip_aperture(pixels).std())

    def spread(self, count: int) -> tuple[Sample, ...]:
        """`count` windows evenly over the split, unchanged, to validate on; with reference "any", the clip's first frame."""
        at = (np.arange(count) + 0.5) / count * self._ends[-1]
        clips = np.searchsorted(self._ends, at, side="right")
        inside = at - (self._ends - self.lengths)[clips]
        starts = np.minimum(inside, self.lengths[clips] - self.settings.frames).astype(int)
        first = self.settings.reference == "first"
        return tuple(Sample(int(clip), int(start), int(start) if first else 0) for clip, start in zip(clips, starts))

    def batch(self, step: int, indices: Sequence[int]) -> VideoBatch:
        """The windows `indices` of `step`, on the CPU."""
        return self.windows([self.sample(step, index) for index in indices])

    def windows(self, samples: Sequence[Sample]) -> VideoBatch:
        """Chosen windows, on the CPU.

        Raises:
            FileFormatError: a shard is truncated or garbled.
        """
        return StoredBatch.of([self.stored(sample) for sample in samples]).on("cpu")

    def stored(self, sample: Sample) -> StoredBatch:
        """One window, a byte per number. Errors as for `windows`."""
        parts, settings = self.settings.parts, self.settings
        stop = sample.start + settings.frames
        pixels = self._pixels(sample, sample.start, stop)
        shown = bool({"identity", "pose"} & set(parts))
        reference = sample.reference, sample.reference + 1
        frames = self._pictures(sample, sample.start, stop).transpose(0, 1)[None] if settings.pictures else None
        face = (self._pictures(sample, *reference), self._pixels(sample, *reference)[None]) if shown else (None, None)
        masks = None
        if "masks" in parts:
            masks = self._sized(self.dataset.masks(self.numbers[sample.clip], sample.start, stop), False)
            masks = torch.from_numpy(np.ascontiguousarray(masks[:, :, ::-1] if sample.mirrored else masks))[None]
        return StoredBatch(
            frames=frames, gains=torch.tensor([sample.gains]), pixels=pixels[None],
            discs=self._discs(pixels) if "landmarks" in parts else None,
            reference=face[0], reference_pixels=face[1], still=torch.tensor([sample.still]), masks=masks, size=settings.size,
            finer=settings.raster.finer, mouth=settings.mouth, parts=parts)

    def _discs(self, pixels: Tensor) -> Tensor:  # [T, 68, 2] -> uint8 or int16 [1, T, S, S]
        """How many of the pixels that are averaged into each are white."""
        raster = self.settings.raster
        drawn = fine_rasters(pixels, self.settings.size, **vars(raster))
        return (drawn * (raster.finer ** 2 / WHITE)).round().to(torch.uint8 if raster.finer <= _BYTE else torch.int16)[None]

    def _pictures(self, sample: Sample, start: int, stop: int) -> Tensor:
        """uint8 [n, 3, S, S], turned as the sample has them."""
        frames = self._sized(self.dataset.frames_of(self.numbers[sample.clip], start, stop), True)
        frames = frames[:, :, ::-1] if sample.mirrored else frames
        return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))

    def _pixels(self, sample: Sample, start: int, stop: int) -> Tensor:
        """[n, 68, 2] px of those images."""
        number, size = self.numbers[sample.clip], self.settings.size
        pixels = self.dataset.pixels(number, start, stop)
        pixels = (pixels + 0.5) * (size / self.dataset.clips[number].picture_size) - 0.5
        return mirrored(pixels, size) if sample.mirrored else pixels

    def _sized(self, pictures: np.ndarray, averaged: bool) -> np.ndarray:  # [n, H, W, ...] -> [n, S, S, ...]
        import cv2

        size = self.settings.size
        if pictures.shape[1] == size:
            return pictures
        kind = cv2.INTER_AREA if averaged else cv2.INTER_NEAREST
        return np.stack([cv2.resize(picture, (size, size), interpolation=kind) for picture in pictures])


def unchanged(settings: WindowSettings) -> WindowSettings:
    """The same without mirroring and colouring."""
    return replace(settings, mirror=0.0, colour=0.0)


def mirrored(pixels: Tensor, size: int) -> Tensor:  # [..., 68, 2] -> same
    """Landmarks of the mirrored image `size` px wide: left and right exchange their numbers too."""
    return pixels[..., MIRROR.tolist(), :] * pixels.new_tensor([-1, 1]) + pixels.new_tensor([size - 1, 0])
