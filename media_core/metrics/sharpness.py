"""How sharp images are, without a reference: CPBD, and the variance of the Laplacian.

CPBD, the cumulative probability of blur detection: N. D. Narvekar and L. J. Karam, "A No-Reference Image Blur Metric Based on the
Cumulative Probability of Blur Detection (CPBD)", IEEE Transactions on Image Processing 20(9), 2011. Widths of upright edges
(P. Marziliano et al., ICIP 2002) are compared with the width at which blur is just noticed. The values are those of the Python
package `cpbd`; the authors' MATLAB finds other edges, with MATLAB's own Sobel and Canny.
"""
from __future__ import annotations

import numpy as np

BLOCK = 64  # px
EDGE_BLOCK = 0.002  # part of a block's pixels that are edges, from which it counts
JUST_NOTICED = ((50, 5.0), (255, 3.0))  # up to that contrast, px of an edge's width
BETA = 3.6  # slope of the probability
NOT_NOTICED = 63  # per cent
LONGEST = 100  # px that an edge reaches to one side
_LUMA = np.array([0.299, 0.587, 0.114])


def luma(frame: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] -> float64 [H, W] 0..255, whole numbers
    """Brightness (BT.601), rounded as in 8-bit images."""
    return np.rint(frame.astype(np.float64) @ _LUMA)


def sharpness(grey: np.ndarray) -> float:  # [H, W] 0..255
    """Variance of the Laplacian (4 neighbours; the border is repeated), grey levels squared."""
    import cv2

    return float(cv2.Laplacian(grey.astype(np.float64), cv2.CV_64F, borderType=cv2.BORDER_REPLICATE).var())


def cpbd(grey: np.ndarray) -> float:  # [H, W] 0..255 -> 0..1, NaN without a block that has edges
    """Fraction of upright edges at which blur is noticed with a probability of at most 63 %; 1 is sharp.

    Blocks of 64 x 64 px whose edges are less than 0.2 % do not count, nor does what is left beside whole blocks.
    """
    edges = upright_edges(grey)
    widths = edge_widths(grey, edges)
    counted = np.zeros(101)
    for top in range(0, grey.shape[0] - BLOCK + 1, BLOCK):
        for left in range(0, grey.shape[1] - BLOCK + 1, BLOCK):
            part = np.s_[top:top + BLOCK, left:left + BLOCK]
            if np.count_nonzero(edges[part]) > EDGE_BLOCK * BLOCK ** 2:
                noticed = _noticed(widths[part], int(grey[part].max() - grey[part].min()))
                counted += np.bincount(noticed, minlength=101)
    return float(counted[:NOT_NOTICED + 1].sum() / counted.sum()) if counted.any() else float("nan")


def _noticed(widths: np.ndarray, contrast: int) -> np.ndarray:
    """Probability that blur is noticed at each edge of a block, whole per cent."""
    just = next(width for most, width in JUST_NOTICED if contrast <= most)
    return np.rint(100 * (1 - np.exp(-(widths[widths > 0] / just) ** BETA))).astype(int)


def upright_edges(grey: np.ndarray) -> np.ndarray:  # [H, W] -> bool [H, W]
    """Sobel's edges along x, as the Python package `cpbd` and Octave find them: the squared gradient exceeds twice the root of
    its mean, and both neighbours in its row or in its column (outside the image: 0)."""
    import cv2

    squared = cv2.Sobel(grey.astype(np.float64), cv2.CV_64F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REFLECT) ** 2
    strong = np.where(squared > 2 * np.sqrt(squared.mean()), squared, 0.0)
    around = np.pad(strong, 1)
    inner = slice(1, -1)
    in_row = (strong > around[inner, :-2]) & (strong > around[inner, 2:])
    return in_row | (strong > around[:-2, inner]) & (strong > around[2:, inner])


def edge_widths(grey: np.ndarray, edges: np.ndarray) -> np.ndarray:  # [H, W], bool [H, W] -> float64 [H, W] px, 0: no edge
    """How far brightness goes on rising, or falling, to both sides of each edge whose gradient points along x within 22.5°."""
    down, across = np.gradient(grey.astype(np.float64))
    angle = np.where(across == 0, 0.0, np.degrees(np.arctan2(down, across)))
    rising, falling = np.abs(angle) <= 22.5, np.abs(angle) >= 157.5
    inside = np.zeros_like(edges)
    inside[1:-1, 1:-1] = edges[1:-1, 1:-1]
    step = np.sign(np.diff(grey.astype(np.float64), axis=1))
    return np.where(inside & rising, _reach(step > 0), np.where(inside & falling, _reach(step < 0), 0.0))


def _reach(goes_on: np.ndarray) -> np.ndarray:  # bool [H, W - 1], from each column to the next -> float64 [H, W]
    """2 and the steps that go on without a break from the left neighbour leftwards and from the right one rightwards."""
    height, width = goes_on.shape[0], goes_on.shape[1] + 1
    left, right = np.zeros((height, width + 1)), np.zeros((height, width + 1))  # before column 0 and behind the last: none
    for x in range(1, width):
        left[:, x] = np.where(goes_on[:, x - 1], np.minimum(left[:, x - 1] + 1, LONGEST), 0)
    for x in range(width - 2, -1, -1):
        right[:, x] = np.where(goes_on[:, x], np.minimum(right[:, x + 1] + 1, LONGEST), 0)
    return 2 + np.concatenate([np.zeros((height, 1)), left[:, :width - 1]], axis=1) + right[:, 1:]
