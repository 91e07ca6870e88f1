"""A guided filter: a rough mask takes over the edges of the colour image it belongs to (He, Sun, Tang 2010; fast form 2015).

In every window the mask is taken for a linear function of the colours. The functions are found on a reduced image and applied to
the full one, so that the mask comes out at full size.
"""
from __future__ import annotations

import numpy as np

RADIUS = 4         # reduced pixels: half the window
_SMOOTH = 1e-3     # squared colour difference (0..1) below which nothing counts as an edge


class Guide:
    """What the filter needs of an image, used for any number of masks.

    Args:
        image: float32 [h, w, 3], 0..1.
    """

    def __init__(self, image: np.ndarray, radius: int = RADIUS):
        self._image, self._window = image, (2 * radius + 1, 2 * radius + 1)
        r, g, b = (image[..., k] for k in range(3))
        means = self._means(np.dstack([image, r * r, r * g, r * b, g * g, g * b, b * b]))
        self._mean = means[..., :3]
        self._inverse = _inverse(self._mean, means[..., 3:])

    def __call__(self, mask: np.ndarray) -> np.ndarray:  # float32 [h, w] -> [h, w]
        """The mask with the image's edges, at its own size."""
        return _applied(self._functions(mask), self._image)

    def enlarged(self, mask: np.ndarray, image: np.ndarray) -> np.ndarray:  # [h, w], float32 [H, W, 3] -> [H, W]
        """The mask at the full image's size."""
        import cv2
        functions = cv2.resize(self._functions(mask), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return _applied(functions, image)

    def _functions(self, mask: np.ndarray) -> np.ndarray:  # -> float32 [h, w, 4]: factors of the colours and an offset
        means = self._means(np.dstack([mask, self._image * mask[..., None]]))
        x, y, z = np.moveaxis(means[..., 1:] - self._mean * means[..., :1], -1, 0)
        a, b, c, d, e, f = self._inverse
        factors = np.dstack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])
        offset = means[..., 0] - np.einsum("ijk,ijk->ij", factors, self._mean)
        return self._means(np.dstack([factors, offset]))

    def _means(self, values: np.ndarray) -> np.ndarray:
        import cv2
        return cv2.boxFilter(values, -1, self._window)


def _applied(functions: np.ndarray, image: np.ndarray) -> np.ndarray:  # [h, w, 4], [h, w, 3] -> [h, w]
    return np.einsum("ijk,ijk->ij", functions[..., :3], image) + functions[..., 3]


def _inverse(mean: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, ...]:  # [h, w, 3], [h, w, 6] -> 6 of [h, w]
    """Of the symmetric matrix of the colours' covariances, its upper triangle row by row."""
    r, g, b = (mean[..., k] for k in range(3))
    rr, rg, rb, gg, gb, bb = (squares[..., k] for k in range(6))
    rr, rg, rb = rr - r * r + _SMOOTH, rg - r * g, rb - r * b
    gg, gb, bb = gg - g * g + _SMOOTH, gb - g * b, bb - b * b + _SMOOTH
    first = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    scale = 1 / (rr * first[0] + rg * first[1] + rb * first[2])
    rest = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    return tuple(part * scale for part in (*first, *rest))
