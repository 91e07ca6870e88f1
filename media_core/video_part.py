"""A rectangle of a decoded frame, cut out before its colours are converted: of a large frame that is most of the time."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import av

_KINDS = {"yuv420p", "yuvj420p"}  # of which the planes are cut: a byte per sample, colour at half the size


class Part(NamedTuple):
    """Columns `left` to `right` and rows `top` to `bottom` (both exclusive) of an image, px."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, picture: np.ndarray) -> np.ndarray:  # [H, W, C] -> [h, w, C]
        """The part of an image; a view."""
        return picture[self.top:self.bottom, self.left:self.right]


def frame_part(frame: av.VideoFrame, part: Part) -> tuple[av.VideoFrame, Part]:
    """A smaller frame that holds the part, and where it is in there; the frame itself where it is of another kind.

    The samples stay what they are, so the colours come out as those of the whole frame.
    """
    wide = Part(part.left // 2 * 2, part.top // 2 * 2, min(part.right + part.right % 2, frame.width),
                min(part.bottom + part.bottom % 2, frame.height))
    width, height = wide.right - wide.left, wide.bottom - wide.top
    upside_down = any(plane.line_size < 0 for plane in frame.planes)
    if frame.format.name not in _KINDS or width % 2 or height % 2 or upside_down:
        return frame, part
    import av

    out = av.VideoFrame(width, height, frame.format.name)
    for plane, own, half in zip(frame.planes, out.planes, (1, 2, 2)):
        source, target = (np.asarray(memoryview(each)).reshape(-1, each.line_size) for each in (plane, own))
        rows, columns = slice(wide.top // half, wide.bottom // half), slice(wide.left // half, wide.right // half)
        target[:height // half, :width // half] = source[rows, columns]
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    return out, Part(part.left - wide.left, part.top - wide.top, part.right - wide.left, part.bottom - wide.top)
