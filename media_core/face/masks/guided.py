"""A guided filter: a rough mask takes over the edges of the colour image it belongs to (He, Sun, Tang 2010; fast form 2015).

In every window the mask is taken for a linear function of the colours. The functions are found on an image of half the size and
applied to the image itself, or to a larger one, so that the mask comes out at full size. Colour planes are kept apart: that is
several times faster.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .guided_kernels import applied, colour_statistics, linear_functions, outlined, unclear

RADIUS = 4         # pixels: half the window
_SURE = 0.1        # of a mask: less, and as much below 1, is no outline
_ROW = 256         # places looked up at once are drawn up in rows of so many
_SMOOTH = 1e-3     # squared colour difference (0..1) below which nothing counts as an edge


def planes(image: np.ndarray) -> list[np.ndarray]:  # uint8 [H, W, 3] -> 3 of float32 [H, W], 0..1
    import cv2
    return [plane * np.float32(1 / 255) for plane in cv2.split(image)]


class Guide:
    """What the filter needs of an image, used for any number of masks.

    Args:
        image: three planes, float32 [h, w], 0..1.
    """

    def __init__(self, image: Sequence[np.ndarray], radius: int = RADIUS):
        self._image, self._window = np.stack(image), radius + 1 - radius % 2
        self._reduced = np.stack([_halved(plane) for plane in image])
        self._known = colour_statistics(self._reduced, self._window, _SMOOTH)
        self._near = np.ones((2 * radius + 3,) * 2, np.uint8)

    def __call__(self, mask: np.ndarray) -> np.ndarray:  # float32 [h, w] -> [h, w]
        """The mask with the image's edges, at its own size."""
        return applied(self._functions(mask), self._image)

    def enlarged(self, mask: np.ndarray, image: np.ndarray,
                 where: np.ndarray | None = None) -> np.ndarray:  # float32 [h, w], uint8 [H, W, 3], bool [h, w] -> bool [H, W]
        """Where the mask is over one half, at the full image's size: looked at only near its outline, and only in `where`."""
        import cv2
        rough, unsure = unclear(mask, _SURE)
        near = cv2.max(cv2.morphologyEx(rough, cv2.MORPH_GRADIENT, self._near), unsure)
        near = near if where is None else np.minimum(near, where)
        return outlined(self._functions(mask), np.ascontiguousarray(image), rough, near).view(bool)

    def _functions(self, mask: np.ndarray) -> np.ndarray:  # -> float32 [4, h / 2, w / 2]: the colours' factors, an offset
        return linear_functions(_halved(mask), self._reduced, self._known, self._window)


def _halved(plane: np.ndarray) -> np.ndarray:  # [h, w] -> float32 [h / 2, w / 2]
    import cv2
    return np.asarray(cv2.resize(np.asarray(plane, np.float32), None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA))


def between(planes: np.ndarray, at: np.ndarray) -> np.ndarray:  # float32 [h, w, C], [N, 2] -> float32 [N, C]
    """Values at some places, x and y in pixels, linear between pixels."""
    import cv2
    rows = -(-len(at) // _ROW)
    places = np.zeros((2, rows * _ROW), np.float32)  # OpenCV takes an image of places, of less than 32768 rows
    places[:, :len(at)] = at.T
    x, y = places.reshape(2, rows, _ROW)
    values = cv2.remap(planes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values).reshape(-1, planes.shape[2])[:len(at)]
