"""A square image of a face, cut out of a larger one and put back: `FaceCrop` stores the mapping there and back.

Pixels outside the feathered square come back bit for bit. One frame at a time, so videos stream.
The centre of the top-left pixel is (0, 0); `x' = (x + 1/2) * scale - 1/2` where only the size changes.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..audio import FPS
from ..errors import TalkingHeadsError
from .geometry import LEFT_EYE, RIGHT_EYE, height_width, similarity

MARGIN = 2.5  # side of the square over the longer side of the points' box: head, hair and shoulders
RAISED = 0.08  # of the points' box, by which the square's middle lies above the box's: hair needs more room than the chin
FOLLOW_HZ = 0.5  # a following square ignores faster movement
FEATHER = 0.1  # of the square's side, over which an edit fades out inwards from the edge


@dataclass(frozen=True)
class FaceCrop:
    """Where a square of `size` pixels lies in an image, or in each frame of a video."""

    matrices: np.ndarray  # float64 [T, 2, 3], source px -> crop px (turn, one scale, shift); T = 1: the same for every frame
    size: int  # px, side of the crop
    source_size: tuple[int, int]  # (H, W) px of the images it is cut from
    fps: float = FPS  # frames per second, when T > 1
    version: int = 1  # of this object's layout
    faceless: tuple[int, ...] = ()  # frames of the video in which nobody was seen: nothing is put back into them

    def __post_init__(self) -> None:
        shape, scales = np.shape(self.matrices), np.linalg.det(np.asarray(self.matrices, float)[..., :2])
        if len(shape) != 3 or shape[0] < 1 or shape[1:] != (2, 3) or not np.isfinite(self.matrices).all() or (scales <= 0).any():
            raise TalkingHeadsError("A face crop needs matrices [T, 2, 3] that neither mirror nor flatten", f"{list(shape)}",
                                    "Make it from landmarks with Face Crop")
        _check_size(self.size)

    def __len__(self) -> int:
        return len(self.matrices)

    @property
    def moves(self) -> bool:
        """Whether frames have squares of their own."""
        return len(self) > 1

    def matrix(self, frame: int = 0) -> np.ndarray:  # float64 [2, 3]
        """Source to crop of one frame.

        Raises:
            TalkingHeadsError: a moving crop has no such frame.
        """
        if not self.moves:
            return self.matrices[0]
        if not 0 <= frame < len(self):
            raise TalkingHeadsError(f"The frame must be one of the {len(self)} the face was tracked in", f"frame {frame}",
                                    "Cut and paste the same frames")
        return self.matrices[frame]

    def side(self, frame: int = 0) -> float:
        """The square's side in source px."""
        return self.size / _scale(self.matrix(frame))

    def to_crop(self, points: np.ndarray, frame: int = 0) -> np.ndarray:  # [..., 2] -> [..., 2]
        """Source px to crop px."""
        return _applied(self.matrix(frame), points)

    def to_source(self, points: np.ndarray, frame: int = 0) -> np.ndarray:  # [..., 2] -> [..., 2]
        """Crop px to source px."""
        return _applied(_inverse(self.matrix(frame)), points)

    def crop(self, image: np.ndarray, frame: int = 0) -> np.ndarray:  # [H, W, C] or [H, W] -> [size, size, C] or [size, size]
        """The square, area-averaged where it shrinks, bicubic where it grows. What lies beyond the image repeats its edge.

        Args:
            image: uint8, or float32 0..1, of `source_size`.

        Raises:
            TalkingHeadsError: another size or type.
        """
        self._check_source(image)
        return _warped(image, self.matrix(frame), (self.size, self.size))

    def crops(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """`crop` of every frame of a video, one at a time."""
        return (self.crop(image, i) for i, image in enumerate(frames))

    def paste_back(self, source: np.ndarray, edited: np.ndarray, frame: int = 0, *, feather: float = FEATHER,
                   mask: np.ndarray | None = None) -> np.ndarray:  # [H, W, C]
        """`source` with the edited square in its old place; a new array. Frames in which nobody was seen stay as they are.

        Args:
            source: [H, W, C] uint8, or float32 0..1.
            edited: [n, n, C] of the same type; n may differ from `size` (an edit that enlarged).
            feather: of the square's side, 0..0.5: the edit fades over so much, inwards from the square's edge.
            mask: [m, m] bool or float 0..1 over the square: how much of the edit is wanted, besides the fading.

        Raises:
            TalkingHeadsError: sizes or types do not fit.
        """
        self._check_source(source)
        _check_edit(source, edited, mask)
        (left, top), (right, bottom) = self._box(frame)
        out = source.copy()
        if right <= left or bottom <= top or frame in self.faceless:
            return out
        alpha = self._alpha((left, top, right, bottom), frame, feather, mask)
        region = out[top:bottom, left:right]
        back = _moved(_inverse(_resized(self.matrix(frame), edited.shape[0] / self.size)), -left, -top)
        patch = _warped(edited, back, alpha.shape).reshape(region.shape)
        weight = alpha[..., None] if region.ndim == 3 else alpha
        mixed = patch * weight + region * (1 - weight)
        region[alpha > 0] = (np.rint(mixed) if source.dtype == np.uint8 else mixed).astype(source.dtype)[alpha > 0]
        return out

    def pasted(self, sources: Iterable[np.ndarray], edits: Iterable[np.ndarray], first: int = 0,
               **options: Any) -> Iterator[np.ndarray]:
        """`paste_back` of every frame of a video from frame `first` on, one at a time; `options` as there."""
        return (self.paste_back(source, edit, i, **options) for i, (source, edit) in enumerate(zip(sources, edits), first))

    def feather_mask(self, feather: float = FEATHER) -> np.ndarray:  # float32 [size, size]
        """How much of an edit is pasted, over the crop."""
        middle = np.arange(self.size, dtype=np.float32)
        return _faded(*np.meshgrid(middle, middle), self.size, feather)

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file; `from_dict` reads it."""
        table = {"version": self.version, "size": self.size, "source_size": list(self.source_size), "fps": self.fps,
                 "matrices": self.matrices.tolist()}
        return {**table, "unseen": list(self.faceless)} if self.faceless else table

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> FaceCrop:
        """A crop from `to_dict`.

        Raises:
            TalkingHeadsError: something else, or of a newer version.
        """
        try:
            if table["version"] != 1:
                raise ValueError(f"version {table['version']}")
            return cls(matrices=np.asarray(table["matrices"], np.float64), size=int(table["size"]),
                       source_size=height_width([int(side) for side in table["source_size"]]), fps=float(table["fps"]),
                       faceless=tuple(map(int, table.get("unseen", ()))))
        except (KeyError, TypeError, ValueError) as error:
            raise TalkingHeadsError("A stored face crop must have version, size, source_size, fps and matrices", repr(error),
                                    "Cut the face out again") from error

    def _box(self, frame: int) -> np.ndarray:  # int64 [2, 2] (x, y) of the first pixel inside, and behind the last
        edge = np.array([-0.5, self.size - 0.5])
        corners = self.to_source(np.array([(x, y) for x in edge for y in edge]), frame)
        height, width = self.source_size
        return np.clip([np.floor(corners.min(0)), np.ceil(corners.max(0)) + 1], 0, [width, height]).astype(np.int64)

    def _alpha(self, box: tuple[int, int, int, int], frame: int, feather: float, mask: np.ndarray | None) -> np.ndarray:
        """How much of the edit each source pixel in the box takes, float32 [h, w]."""
        left, top, right, bottom = box
        x, y = np.meshgrid(np.arange(left, right, dtype=np.float64), np.arange(top, bottom, dtype=np.float64))
        m = self.matrix(frame)
        alpha = _faded(m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2], self.size, feather)
        if mask is None:
            return alpha
        to_mask = _resized(m, mask.shape[0] / self.size)
        wanted = _warped(mask.astype(np.float32), _moved(_inverse(to_mask), -left, -top), alpha.shape, empty=True)
        return np.minimum(alpha, np.clip(wanted, 0, 1))

    def _check_source(self, image: np.ndarray) -> None:
        if image.shape[:2] != tuple(self.source_size) or image.dtype not in (np.uint8, np.float32):
            height, width = self.source_size
            raise TalkingHeadsError(f"The image must be the one the crop was made for, {width} x {height} px, uint8 or float32",
                                    f"{image.dtype} {list(image.shape)}", "Connect the image that went into Face Crop")


def still_crop(points: np.ndarray, image_size: tuple[int, int], size: int, *, margin: float = MARGIN, upright: bool = False,
               inside: bool = True) -> FaceCrop:
    """One square for an image, or for all frames of a video: around the middle place of the face, at whole pixels.

    Args:
        points: [68, 2] or [T, 68, 2] source px; frames with NaN do not count.
        image_size: (H, W) px.
        size: px of the crop.
        margin: side of the square over the longer side of the points' box.
        upright: turn the face level.
        inside: keep the square within the image, smaller if need be; not where it is turned.

    Raises:
        TalkingHeadsError: no frame has a face, or a size or margin out of range.
    """
    middle, extent, roll, known = _places(points)
    angle = float(np.median(roll)) if upright else 0.0
    square = _square(np.median(middle, axis=0), float(np.median(extent)), angle, image_size, size, margin, inside)
    return FaceCrop(square[None], size, height_width(image_size), faceless=tuple(np.flatnonzero(~known).tolist()))


def following_crop(points: np.ndarray, image_size: tuple[int, int], size: int, fps: float = FPS, *, margin: float = MARGIN,
                   upright: bool = False, inside: bool = True, cutoff: float = FOLLOW_HZ) -> FaceCrop:
    """A square that tracks the face (zero-phase low-pass, so without its fast movement); its side stays the same.

    Args:
        points: [T, 68, 2] source px; over frames with NaN the way is straight.
        cutoff: Hz, the -3 dB point of what the square follows (`motion.low_pass`).
        image_size, size, margin, upright, inside: as for `still_crop`.

    Raises:
        TalkingHeadsError: as for `still_crop`.
    """
    import torch

    from ..motion import low_pass

    middle, extent, roll, known = _places(points)
    frames = np.arange(len(points))
    curves = [np.interp(frames, frames[known], curve) for curve in (*middle.T, np.unwrap(roll))]
    x, y, turn = low_pass(torch.from_numpy(np.stack(curves, axis=1)), fps, cutoff).numpy().T
    side = float(np.median(extent))
    squares = [_square(np.array(centre), side, angle if upright else 0.0, image_size, size, margin, inside, whole=False)
               for *centre, angle in zip(x, y, turn)]
    return FaceCrop(np.stack(squares), size, height_width(image_size), fps, faceless=tuple(np.flatnonzero(~known).tolist()))


def single_crops(points: np.ndarray, image_size: tuple[int, int], size: int, **options: Any) -> FaceCrop:
    """A square of its own for each of several images that do not belong together.

    Args:
        points: [T, 68, 2] source px.
        image_size, size, options: as for `still_crop`.

    Raises:
        TalkingHeadsError: as for `still_crop`; also where any image has no face.
    """
    return FaceCrop(np.concatenate([still_crop(one, image_size, size, **options).matrices for one in points]), size,
                    height_width(image_size))


def _places(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Middle [n, 2], extent [n] and roll [n] (rad) of the n known faces, and which of the frames those are, bool [T]."""
    points = np.asarray(points, np.float64)
    points = points[None] if points.ndim == 2 else points
    known = np.all(np.isfinite(points), axis=(1, 2))
    if not known.any():
        raise TalkingHeadsError("A face must be found before it can be cut out", f"none in {len(points)} frames",
                                "Choose an image that shows the whole face, from the front")
    there = points[known]
    low, high = there.min(axis=1), there.max(axis=1)
    extent = (high - low).max(axis=1)
    middle = (low + high) / 2 - np.stack([np.zeros_like(extent), RAISED * extent], axis=1)
    line = there[:, LEFT_EYE].mean(axis=1) - there[:, RIGHT_EYE].mean(axis=1)
    return middle, extent, np.arctan2(line[:, 1], line[:, 0]), known


def _square(middle: np.ndarray, extent: float, angle: float, image_size: tuple[int, int], size: int, margin: float, inside: bool,
            whole: bool = True) -> np.ndarray:  # float64 [2, 3]
    """Source to crop; at whole source pixels where asked and not turned."""
    _check_size(size)
    if not 1.0 <= margin <= 10.0:
        raise TalkingHeadsError("The margin around the face must be 1 to 10 times the face", f"{margin:g}", "2.5 shows the head")
    side, straight = margin * extent, abs(angle) < 1e-9
    if inside and straight:
        side = min(side, *image_size)
    side = max(1.0, float(round(side)) if whole else side)
    corner = middle + 0.5 - side / 2
    if inside and straight:
        corner = np.clip(corner, 0, np.array(image_size[::-1]) - side)
    if whole and straight:
        corner = np.rint(corner)
    half = (size - 1) / 2
    return similarity(-angle, size / side, corner - 0.5 + side / 2, (half, half)).affine


def _faded(x: np.ndarray, y: np.ndarray, size: int, feather: float) -> np.ndarray:  # crop px [...] -> float32 [...]
    """1 within the square, falling smoothly to 0 at its edge, and 0 beyond."""
    if not 0 <= feather <= 0.5:
        raise TalkingHeadsError("The feather must be 0 to 0.5 of the square's side", f"{feather:g}", "0.1 hides the seam")
    near = np.minimum(np.minimum(x, y), size - 1 - np.maximum(x, y)) + 0.5  # px to the nearest edge
    if feather == 0:
        return (near > 0).astype(np.float32)
    t = np.clip(near / (feather * size), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _warped(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int], empty: bool = False) -> np.ndarray:
    """`image` under source-to-target `matrix`, [h, w, ...] of `shape`; averaged over source pixels where it shrinks.

    Beyond the image lies its edge, or nothing (0) when `empty`, which also interpolates without overshooting.
    """
    import cv2

    finer = max(1, int(np.ceil(1 / _scale(matrix) - 1e-6)))
    kind = cv2.INTER_LINEAR if finer > 1 or empty else cv2.INTER_CUBIC
    border = cv2.BORDER_CONSTANT if empty else cv2.BORDER_REPLICATE
    height, width = shape
    out = cv2.warpAffine(np.ascontiguousarray(image), _resized(matrix, finer), (width * finer, height * finer), flags=kind,
                         borderMode=border)
    out = cv2.resize(out, (width, height), interpolation=cv2.INTER_AREA) if finer > 1 else out
    out = out[..., None] if image.ndim == 3 and out.ndim == 2 else out
    return np.clip(out, 0, 1) if out.dtype == np.float32 else out


def _scale(matrix: np.ndarray) -> float:
    return float(np.sqrt(np.linalg.det(matrix[:, :2])))


def _applied(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def _inverse(matrix: np.ndarray) -> np.ndarray:
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def _resized(matrix: np.ndarray, factor: float) -> np.ndarray:
    """`matrix` into a target image `factor` times as large."""
    return np.column_stack([matrix[:, :2] * factor, (matrix[:, 2] + 0.5) * factor - 0.5])


def _moved(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    return matrix + np.array([[0, 0, x], [0, 0, y]])


def _check_size(size: int) -> None:
    if not 16 <= size <= 8192:
        raise TalkingHeadsError("A face crop's side must be 16 to 8192 px", f"{size}", "256 or 512 is what the models use")


def _check_edit(source: np.ndarray, edited: np.ndarray, mask: np.ndarray | None) -> None:
    if edited.shape[0] != edited.shape[1] or edited.shape[2:] != source.shape[2:] or edited.dtype != source.dtype:
        raise TalkingHeadsError("The edited crop must be square, of the image's own type and number of channels",
                                f"{edited.dtype} {list(edited.shape)} for {source.dtype} {list(source.shape)}",
                                "Connect the crop after editing it, without changing its shape")
    if mask is not None and (mask.ndim != 2 or mask.shape[0] != mask.shape[1]):
        raise TalkingHeadsError("The mask must be square like the crop", f"{list(mask.shape)}", "Draw it over the crop")
