"""How far the colours of a video drift over its length."""
from __future__ import annotations

import numpy as np

WINDOW = 1.0  # s at both ends that are compared, at most a third of the video


def mean_lab(frame: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] -> float64 [3]
    """Mean CIELAB colour of a frame (sRGB, D65): lightness 0..100, a, b."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(frame)).reshape(-1, 3).mean(axis=0, dtype=np.float64)


def colour_drift(lab: np.ndarray, fps: float) -> float:  # [T, 3] -> CIE76 difference
    """Distance of the mean colours of the first and the last second; NaN under three frames. About 2.3 is just noticed."""
    if len(lab) < 3:
        return float("nan")
    width = max(1, min(round(WINDOW * fps), len(lab) // 3))
    return float(np.linalg.norm(lab[-width:].mean(axis=0) - lab[:width].mean(axis=0)))
