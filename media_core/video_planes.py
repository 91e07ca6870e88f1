"""A decoded frame kept as it was stored, in planes of luma and colour difference; only what is wanted of it becomes RGB, exactly.

FFmpeg's usual conversion takes each colour difference for two pixels as it is and drops fractions: it is 0.9 to 1.3 of 255 too
dark. Here colour differences are interpolated from where they were taken, and results are rounded: within 0.2 of the exact value
before that. A part comes out as it does in the whole frame.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .orientation import Orientation
from .video_part import Part

if TYPE_CHECKING:
    import av

    from .video_colour import Colour

_KINDS = {"yuv420p": (2, 2), "yuvj420p": (2, 2), "yuv422p": (1, 2), "yuvj422p": (1, 2), "yuv444p": (1, 1), "yuvj444p": (1, 1)}
_WEIGHTS = {1: (.2126, .0722), 4: (.30, .11), 7: (.212, .087), 9: (.2627, .0593)}  # of red and blue, by number of ITU-T H.273
_OLD = (.299, .114)  # BT.601's, for all others
_FULL = 2            # number of the range 0 to 255
_MARGIN = 2          # colour differences beside a part that its own depend on
_FINER = 64          # steps of an 8-bit level while something is averaged
_BESIDE = 0.25       # of their distance: colour differences are taken above the left one of two pixels, not between them


@dataclass(frozen=True)
class Planes:
    """A frame, upright."""

    luma: np.ndarray                 # uint8 [H, W]
    others: tuple[np.ndarray, np.ndarray]  # uint8 [h, w] each: blue's and red's difference
    aside: tuple[float, float]       # down and across: where they were taken, of their distance off the middle of their pixels
    matrix: np.ndarray               # float64 [3, 4], to RGB

    @classmethod
    def of(cls, frame: av.VideoFrame, colour: Colour, orientation: Orientation) -> Planes | None:
        """Of a decoded frame; None where it is of another kind, or its colours need more than a matrix."""
        name = frame.format.name
        if not colour.plain or name not in _KINDS or any(plane.line_size < 0 for plane in frame.planes):
            return None
        (down, across), full = _KINDS[name], name.startswith("yuvj") or int(frame.color_range) == _FULL
        sizes = (frame.height, frame.width), *[(-(-frame.height // down), -(-frame.width // across))] * 2
        luma, blue, red = (np.asarray(memoryview(plane)).reshape(-1, plane.line_size)[:size[0], :size[1]]
                           for plane, size in zip(frame.planes, sizes))
        left = -_BESIDE if across == 2 and not name.startswith("yuvj") else 0.0
        number = 1 if colour.matrix == "ITU709" else int(frame.colorspace)
        moved = (left, 0.0) if orientation.transposed else (0.0, left)
        aside = moved[0] * (-1 if orientation.top_bottom else 1), moved[1] * (-1 if orientation.left_right else 1)
        luma, blue, red = (orientation.view(plane) for plane in (luma, blue, red))
        return cls(luma, (blue, red), aside, matrix_of(number, full))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the RGB image."""
        return (*self.luma.shape[:2], 3)

    def part(self, part: Part) -> np.ndarray:  # uint8 [h, w, 3]
        """A part of the image."""
        luma = np.ascontiguousarray(part.of(self.luma))
        return _converted([luma, *(self._enlarged(plane, part) for plane in self.others)], self.matrix)

    def whole(self) -> np.ndarray:  # uint8 [H, W, 3]
        return self.part(Part(0, 0, self.luma.shape[1], self.luma.shape[0]))

    def sampled(self, every: int) -> np.ndarray:  # uint8 [H / every, W / every, 3]
        """The first pixel of each `every` x `every`, with the nearest colour differences: for thumbnails."""
        height, width = (n // every for n in self.luma.shape)
        luma, (down, across) = np.ascontiguousarray(self.luma[:height * every:every, :width * every:every]), self._steps
        if every % down or every % across:
            rows, columns = np.arange(height) * every // down, np.arange(width) * every // across
            others = [plane[rows[:, None], columns] for plane in self.others]
        else:
            others = [np.ascontiguousarray(plane[::every // down, ::every // across][:height, :width]) for plane in self.others]
        return _converted([luma, *others], self.matrix)

    def averaged(self, part: Part, size: tuple[int, int]) -> np.ndarray:  # (H, W) px -> uint8 [H, W, 3]
        """A part reduced to (H, W) px, each the mean of what it covers. Where the part's borders lie between colour differences,
        it is converted first."""
        import cv2

        down, across = self._steps
        if any(edge % step for edge, step in zip(part, (across, down) * 2)):
            return cv2.resize(self.part(part), size[::-1], interpolation=cv2.INTER_AREA)
        own = Part(part.left // across, part.top // down, part.right // across, part.bottom // down)
        luma = cv2.resize(part.of(self.luma), size[::-1], interpolation=cv2.INTER_AREA)
        return _converted([luma, *(self._reduced(plane, own, size) for plane in self.others)], self.matrix)

    @property
    def _steps(self) -> tuple[int, int]:
        """Rows and columns of the image for one of the colour differences."""
        own = self.others[0].shape
        return 2 if own[0] < self.luma.shape[0] else 1, 2 if own[1] < self.luma.shape[1] else 1

    def _enlarged(self, plane: np.ndarray, part: Part) -> np.ndarray:  # uint8 [h, w] -> [part's]
        """The part's colour differences, one for each pixel."""

        down, across = self._steps
        if down == across == 1:
            return np.ascontiguousarray(part.of(plane))
        left, top = max(part.left // across - _MARGIN, 0), max(part.top // down - _MARGIN, 0)
        right, bottom = (min(-(-end // step) + _MARGIN, n) for end, step, n in
                         zip((part.right, part.bottom), (across, down), plane.shape[::-1]))
        fine = plane[top:bottom, left:right]
        for axis, step in enumerate((down, across)):
            fine = _doubled(fine, axis, self.aside[axis]) if step == 2 else fine
        x, y = part.left - left * across, part.top - top * down
        return fine[y:y + part.bottom - part.top, x:x + part.right - part.left]

    def _reduced(self, plane: np.ndarray, own: Part, size: tuple[int, int]) -> np.ndarray:  # uint8 [h, w] -> [H, W]
        """Colour differences of a part, as if taken in the middle of their pixels, at another size; rounded once."""
        import cv2

        here, shift = own.of(plane), 1
        for axis, away in enumerate(self.aside):
            if away:
                beside, shift = self._beside(plane, own, axis, 1 if away < 0 else -1), _FINER
                here = cv2.addWeighted(here, (1 - abs(away)) * shift, beside, abs(away) * shift, 0, dtype=cv2.CV_16U)
        shrinks = here.shape[0] >= size[0] and here.shape[1] >= size[1]
        here = cv2.resize(here, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return here if shift == 1 else cv2.convertScaleAbs(here, alpha=1 / shift)

    @staticmethod
    def _beside(plane: np.ndarray, own: Part, axis: int, step: int) -> np.ndarray:
        """What lies one further; the last one's own at the edge."""
        first, stop = (own.left, own.right) if axis else (own.top, own.bottom)
        inside = slice(max(first + step, 0), min(stop + step, plane.shape[axis]))
        beside = plane[own.top:own.bottom, inside] if axis else plane[inside, own.left:own.right]
        if inside.stop - inside.start == stop - first:
            return beside
        outermost = np.take(beside, [-1 if step > 0 else 0], axis)
        return np.concatenate([beside, outermost] if step > 0 else [outermost, beside], axis)


Image = np.ndarray | Planes  # uint8 [H, W, 3] RGB, now or when it is wanted


def part_of(image: Image, part: Part) -> np.ndarray:  # -> uint8 [h, w, 3]
    """A part as RGB; of an array a view."""
    return image.part(part) if isinstance(image, Planes) else part.of(image)


def as_array(image: Image) -> np.ndarray:  # -> uint8 [H, W, 3]
    """All of it as RGB."""
    return image.whole() if isinstance(image, Planes) else image


def sampled(image: Image, every: int) -> np.ndarray:  # uint8 [H / every, W / every, 3]
    """The first pixel of each `every` x `every`."""
    if isinstance(image, Planes):
        return image.sampled(every)
    height, width = (n // every * every for n in image.shape[:2])
    return np.ascontiguousarray(image[:height:every, :width:every])


def averaged(image: Image, part: Part, size: tuple[int, int]) -> np.ndarray:  # (H, W) px -> uint8 [H, W, 3]
    """A part reduced to (H, W) px."""
    import cv2

    if isinstance(image, Planes):
        return image.averaged(part, size)
    return cv2.resize(part.of(image), size[::-1], interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=16)
def matrix_of(number: int, full: bool) -> np.ndarray:  # -> float64 [3, 4]
    """From 8-bit luma, blue's and red's difference to RGB.

    Args:
        number: of the colour matrix in ITU-T H.273.
        full: codes fill 0 to 255; else 16 to 235 and 240.
    """
    red, blue = _WEIGHTS.get(number, _OLD)
    green, light, shade, black = 1 - red - blue, 1.0 if full else 255 / 219, 1.0 if full else 255 / 224, 0 if full else 16
    by_red, by_blue = 2 * (1 - red) * shade, 2 * (1 - blue) * shade
    turn = np.array([[light, 0, by_red], [light, -by_blue * blue / green, -by_red * red / green], [light, by_blue, 0]])
    return np.column_stack([turn, -turn @ (black, 128, 128)])


def _doubled(plane: np.ndarray, axis: int, aside: float) -> np.ndarray:  # uint8 [h, w] -> [2 h, w] or [h, 2 w]
    """Colour differences for each of two pixels along an axis, from between them or, `aside`, from one of them."""
    import cv2

    plane = np.ascontiguousarray(plane)
    if not aside:
        return cv2.resize(plane, None, fx=1 + axis, fy=2 - axis, interpolation=cv2.INTER_LINEAR)
    first, last = np.split(plane, [1], axis)[0], np.split(plane, [-1], axis)[1]
    beside = np.concatenate([np.split(plane, [1], axis)[1], last] if aside < 0 else [first, np.split(plane, [-1], axis)[0]], axis)
    between = cv2.addWeighted(plane, 0.5, np.ascontiguousarray(beside), 0.5, 0)
    pair = (plane, between) if aside < 0 else (between, plane)
    if axis:
        return cv2.merge(pair).reshape(len(plane), -1)
    return np.stack(pair, 1).reshape(-1, plane.shape[1])


def _converted(planes: Sequence[np.ndarray], matrix: np.ndarray) -> np.ndarray:  # 3 of uint8 [H, W] -> uint8 [H, W, 3]
    import cv2

    return cv2.transform(cv2.merge(planes), matrix)
