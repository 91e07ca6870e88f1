"""A guided filter: a rough mask takes over the edges of the colour image it belongs to (He, Sun, Tang 2010; fast form 2015).

In every window the mask is taken for a linear function of the colours. The functions are found on an image of half the size and
applied to the image itself, or to a larger one, so that the mask comes out at full size. Colour planes are kept apart: that is
several times faster.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
        self._image, self._window = image, (radius + 1 - radius % 2,) * 2
        self._reduced = r, g, b = [self._halved(plane) for plane in image]
        self._mean = mr, mg, mb = [self._local(plane) for plane in self._reduced]
        rr, rg, rb = self._local(r * r) - mr * mr + _SMOOTH, self._local(r * g) - mr * mg, self._local(r * b) - mr * mb
        gg, gb, bb = self._local(g * g) - mg * mg + _SMOOTH, self._local(g * b) - mg * mb, self._local(b * b) - mb * mb + _SMOOTH
        self._inverse = _inverse(rr, rg, rb, gg, gb, bb)
        self._near = np.ones((2 * radius + 3,) * 2, np.uint8)

    def __call__(self, mask: np.ndarray) -> np.ndarray:  # float32 [h, w] -> [h, w]
        """The mask with the image's edges, at its own size."""
        import cv2
        size = mask.shape[::-1]
        return _applied([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in self._functions(mask)], self._image)

    def enlarged(self, mask: np.ndarray, image: np.ndarray,
                 where: np.ndarray | None = None) -> np.ndarray:  # float32 [h, w], uint8 [H, W, 3], bool [h, w] -> bool [H, W]
        """Where the mask is over one half, at the full image's size: looked at only near its outline, and only in `where`."""
        import cv2
        size = image.shape[1], image.shape[0]
        rough = (mask > .5).astype(np.uint8)
        unsure = (mask > _SURE) & (mask < 1 - _SURE)
        near = np.maximum(cv2.morphologyEx(rough, cv2.MORPH_GRADIENT, self._near), unsure.view(np.uint8))
        near = near if where is None else np.minimum(near, where)
        out, near = (cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in (rough, near))
        if (places := cv2.findNonZero(near)) is not None:
            places, planes = np.asarray(places).reshape(-1, 2), cv2.merge(self._functions(mask))
            shrunk = np.divide(planes.shape[1::-1], size).astype(np.float32)
            functions = between(planes, (places + np.float32(.5)) * shrunk - np.float32(.5))
            at = places[:, 1] * size[0] + places[:, 0]
            colours = np.take(image.reshape(-1, 3), at, axis=0) * np.float32(1 / 255)
            out.reshape(-1)[at] = np.einsum("ij,ij->i", functions[:, :3], colours) + functions[:, 3] > .5
        return out.view(bool)

    def _functions(self, mask: np.ndarray) -> list[np.ndarray]:  # -> 4 of float32 [h / 2, w / 2]: the colours' factors, an offset
        mask = self._halved(mask)
        mean = self._local(mask)
        x, y, z = (self._local(plane * mask) - own * mean for plane, own in zip(self._reduced, self._mean))
        a, b, c, d, e, f = self._inverse
        factors = [a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z]
        offset = mean - sum(factor * own for factor, own in zip(factors, self._mean))
        return [self._local(plane) for plane in (*factors, offset)]

    def _local(self, plane: np.ndarray) -> np.ndarray:
        """Means over the window."""
        import cv2
        return cv2.blur(plane, self._window)

    @staticmethod
    def _halved(plane: np.ndarray) -> np.ndarray:  # [h, w] -> [h / 2, w / 2]
        import cv2
        return cv2.resize(plane, None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA)


def between(planes: np.ndarray, at: np.ndarray) -> np.ndarray:  # float32 [h, w, C], [N, 2] -> float32 [N, C]
    """Values at some places, x and y in pixels, linear between pixels."""
    import cv2
    rows = -(-len(at) // _ROW)
    places = np.zeros((2, rows * _ROW), np.float32)  # OpenCV takes an image of places, of less than 32768 rows
    places[:, :len(at)] = at.T
    x, y = places.reshape(2, rows, _ROW)
    values = cv2.remap(planes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values).reshape(-1, planes.shape[2])[:len(at)]


def _applied(functions: Sequence[np.ndarray], image: Sequence[np.ndarray]) -> np.ndarray:  # 4 and 3 of [h, w] -> [h, w]
    out = functions[3] + functions[0] * image[0]
    out += functions[1] * image[1]
    out += functions[2] * image[2]
    return out


def _inverse(rr: np.ndarray, rg: np.ndarray, rb: np.ndarray, gg: np.ndarray, gb: np.ndarray, bb: np.ndarray) -> list[np.ndarray]:
    """Of the symmetric matrix of the colours' covariances, its upper triangle row by row."""
    first = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    scale = 1 / (rr * first[0] + rg * first[1] + rb * first[2])
    rest = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    return [part * scale for part in (*first, *rest)]
