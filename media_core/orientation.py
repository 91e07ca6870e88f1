"""How a video's frames are turned and mirrored before they are shown: the container's display matrix."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import av


class Orientation(NamedTuple):
    """One of the eight: first rows and columns change places, then the image is mirrored."""

    transposed: bool = False
    left_right: bool = False
    top_bottom: bool = False

    def applied(self, picture: np.ndarray) -> np.ndarray:  # [H, W, C] as stored -> [H, W, C] or [W, H, C] as shown
        """The image as it is meant to be seen."""
        return np.ascontiguousarray(self.view(picture))

    def view(self, picture: np.ndarray) -> np.ndarray:  # [H, W, ...] -> [H, W, ...] or [W, H, ...]
        """The same, but still the stored memory."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        picture = picture[:, ::-1] if self.left_right else picture
        return picture[::-1] if self.top_bottom else picture


def orientation_of(matrix: bytes | Sequence[int] | np.ndarray) -> Orientation:  # int [9] or 36 bytes
    """Of a display matrix (a b u; c d v; x y w), which moves the pixel (p, q) to (a p + c q, b p + d q), rows downwards.

    Only quarter turns and mirrors count: of another turn the nearest one. Without sense (all zero): as stored.
    """
    values = np.frombuffer(matrix, "=i4", 9) if isinstance(matrix, (bytes, bytearray, memoryview)) else np.asarray(matrix)
    a, b, c, d = (int(values[k]) for k in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def frame_orientation(frame: av.VideoFrame) -> Orientation:
    """Of a decoded frame (PyAV's VideoFrame)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")  # `frame.rotation` knows no mirror
    return Orientation() if matrix is None else orientation_of(bytes(matrix))
