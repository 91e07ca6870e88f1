"""Images of a motion dataset's clips, for MToV: a square around the face, its landmarks in px of that square, and its parts.

    <clip>.frames uint8 [bytes], <clip>.frame_offsets int64 [T + 1]  JPEG images one after the other (quality 97, full colour)
    <clip>.masks uint8 [bytes], <clip>.mask_offsets int64 [T + 1]    PNG, one byte per pixel: a place in CLASSES; empty where
                                                                     masks were not asked for: no training here needs them
    <clip>.pixels float32 [T, 68, 2]                                 landmarks, px of the square
    <clip>.crops float64 [1 | T, 2, 3]                               source px to px of the square, as in `FaceCrop`

They are coded one by one into files beside the shard that is in the making, and copied into it piece by piece: neither writing
nor reading holds more than a few of them.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.face.crop import FaceCrop, following_crop, still_crop
from ...media_core.face.masks.masks import FrameMasks
from ...media_core.files import load_tensors, save_tensors
from ...media_core.schema import described, note, record
from ...media_core.tensor_schema import Numbers, fitting
from ..choices import CROPS

CLASSES = ("background", "face", "neck", "torso", "mouth", "hair")  # as the synthetic subject's
SMALLEST, LARGEST = 32, 1024
JPEG_QUALITY = 97  # with full colour 44.6 dB on faces of 128 px; with halved colour, as is usual, 42.4
KIND, VERSION = "clip_pictures", 1
_TENSORS = {"frame_offsets": Numbers(("T + 1",), (torch.int64,)), "mask_offsets": Numbers(("T + 1",), (torch.int64,)),
            "pixels": Numbers(("", 68, 2)), "crops": Numbers(("", 2, 3))}


@dataclass(frozen=True)
class PictureSettings:
    """Which images a motion dataset holds."""

    size: int             # px, sides of the square
    margin: float = 1.6   # side of the square over the longer side of the points' box
    crop: str = "still"   # "still": one square per clip; "following": it follows the face slowly
    masks: bool = False   # also find the parts of every image, which takes longer than all else

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise TalkingHeadsError(f"Images of a motion dataset must be {SMALLEST} to {LARGEST} px", f"{self.size}",
                                    "Take 128 or 256, as the network will be")
        if not 1.0 <= self.margin <= 10.0:
            raise TalkingHeadsError("The margin around the face must be 1 to 10 times the face", f"{self.margin:g}",
                                    "1.6 shows the face, 2.5 the head")
        if self.crop not in CROPS:
            raise TalkingHeadsError(f"The square around the face must be one of {', '.join(CROPS)}", f"'{self.crop}'",
                                    "Choose one of those")

    def to_dict(self) -> dict[str, Any]:
        """What images depend on, for a shard's header."""
        told = {"version": VERSION, **asdict(self)}
        if not self.masks:  # not named: folders of before, which hold masks, hold all that is asked for
            del told["masks"]
        return told

    def square(self, points: np.ndarray, image_size: tuple[int, int], fps: float) -> FaceCrop:
        """The square for a clip's landmarks [T, 68, 2], px of images of `image_size` (H, W)."""
        if self.crop == "following" and len(points) > 1:
            return following_crop(points, image_size, self.size, fps, margin=self.margin)
        return still_crop(points, image_size, self.size, margin=self.margin)


@dataclass(frozen=True)
class Pictures:
    """The encoded images of one clip, before they are in its shard."""

    frames: Path              # JPEG after JPEG
    masks: Path               # PNG after PNG
    tensors: Mapping[str, Tensor]  # frame_offsets, mask_offsets, pixels, crops
    facts: Mapping[str, Any]  # size, margin, crop, source_size (H, W)

    def __len__(self) -> int:
        return len(self.tensors["pixels"])

    def parts(self, clip: str) -> dict[str, Tensor | Path]:
        """As `save_tensors` takes them."""
        return {f"{clip}.frames": self.frames, f"{clip}.masks": self.masks,
                **{f"{clip}.{name}": value for name, value in self.tensors.items()}}


def spooled(folder: Path, name: str, key: Mapping[str, Any]) -> Pictures | None:
    """What `spool` wrote there before, if it was finished and made from `key`."""
    frames, masks, rest = _files(folder, name)
    if not (frames.is_file() and masks.is_file() and rest.is_file()):
        return None
    try:
        tensors, config = load_tensors(rest, kind=KIND, version=VERSION)
        described(config, record({"key": note(), "facts": note()}), rest.name, "Build it again")
        fitting(tensors, _TENSORS, rest.name, "Build it again")
    except FileFormatError:  # truncated or garbled: made again
        return None
    whole = config.get("key") == dict(key) and all(path.stat().st_size == int(tensors[part][-1]) for path, part in
                                                   ((frames, "frame_offsets"), (masks, "mask_offsets")))
    return Pictures(frames, masks, tensors, config["facts"]) if whole else None


def spool(folder: Path, name: str, key: Mapping[str, Any], settings: PictureSettings, crop: FaceCrop, points: np.ndarray,
          pictures: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> Pictures:
    """Codes a clip's images into files in `folder`.

    Args:
        folder: made when absent; a file there of the same name is replaced.
        key: what they are made from, JSON; `spooled` compares it.
        crop: the square.
        points: [T, 68, 2] px of the source.
        pictures: T times the square, uint8 [S, S, 3] RGB, and its parts, uint8 [S, S] in CLASSES, or None.
    Raises:
        TalkingHeadsError: not T images, or the disk is full.
        OSError: as the file system reports it.
    """
    frames, masks, rest = _files(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    rest.unlink(missing_ok=True)
    frame_ends, mask_ends = [0], [0]
    with frames.open("wb") as colours, masks.open("wb") as parts:
        for frame, classes in pictures:
            frame_ends.append(frame_ends[-1] + colours.write(jpeg(frame)))
            mask_ends.append(mask_ends[-1] + (0 if classes is None else parts.write(png(classes))))
    if len(frame_ends) != len(points) + 1:
        raise TalkingHeadsError(f"{name} must have {len(points)} images, one for each row of landmarks",
                                f"{len(frame_ends) - 1}", "Track the video again; it may have changed")
    pixels = np.stack([crop.to_crop(row, i) for i, row in enumerate(points)])
    tensors = {"frame_offsets": torch.tensor(frame_ends), "mask_offsets": torch.tensor(mask_ends),
               "pixels": torch.from_numpy(pixels.astype(np.float32)), "crops": torch.from_numpy(crop.matrices)}
    facts = {**settings.to_dict(), "source_size": list(crop.source_size)}
    save_tensors(rest, tensors, kind=KIND, version=VERSION, config={"key": dict(key), "facts": facts})
    return Pictures(frames, masks, tensors, facts)


def _files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / f"{name}.frames", folder / f"{name}.masks", folder / f"{name}.pictures.safetensors"


# coding -------------------------------------------------------------------------------------------------------------------------

def jpeg(picture: np.ndarray) -> bytes:  # uint8 [H, W, 3] RGB
    """An image as JPEG, colours at full resolution."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def png(classes: np.ndarray) -> bytes:  # uint8 [H, W]
    """An image of one channel as PNG, without loss."""
    import cv2

    return cv2.imencode(".png", classes, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def decoded(blobs: np.ndarray, offsets: np.ndarray, colour: bool) -> np.ndarray:  # -> uint8 [n, H, W, 3] RGB or [n, H, W]
    """Images [offsets[i], offsets[i + 1]) of `blobs`, uint8 [bytes].

    Raises:
        FileFormatError: what stands there is no image, or they differ in size.
    """
    import cv2

    kind = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    out = np.empty(0, np.uint8)
    for i, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:])):
        blob = blobs[begin:end]
        picture = cv2.imdecode(blob, kind) if 0 < len(blob) == end - begin else None
        if picture is None or i and picture.shape != out.shape[1:]:
            raise FileFormatError("Every image of a motion dataset must be readable, and of its clip's size",
                                  f"image {i} of {len(offsets) - 1} that were read is not",
                                  "Delete index.json and that shard, and build the dataset again")
        out = out if i else np.empty((len(offsets) - 1, *picture.shape), np.uint8)
        out[i] = picture[..., ::-1] if colour else picture
    return out


def class_crop(crop: FaceCrop, classes: np.ndarray, frame: int = 0) -> np.ndarray:  # uint8 [H, W] -> uint8 [size, size]
    """The square of an image of CLASSES: the nearest pixel's; beyond the image its edge."""
    import cv2

    return cv2.warpAffine(classes, crop.matrix(frame), (crop.size, crop.size), flags=cv2.INTER_NEAREST,
                          borderMode=cv2.BORDER_REPLICATE)


def mask_classes(masks: FrameMasks) -> np.ndarray:  # [H, W] -> uint8 [H, W]
    """The parts that face/masks.py finds, as CLASSES."""
    out = np.zeros(masks.head.shape, np.uint8)
    for name, region in (("torso", masks.torso), ("neck", masks.neck), ("face", masks.head), ("hair", masks.hair),
                         ("mouth", masks.mouth)):
        out[region] = CLASSES.index(name)
    return out
