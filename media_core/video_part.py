"""A rectangle of an image."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Part(NamedTuple):
    """Columns `left` to `right` and rows `top` to `bottom` (both exclusive) of an image, px."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, picture: np.ndarray) -> np.ndarray:  # [H, W, C] -> [h, w, C]
        """The part of an image; a view."""
        return picture[self.top:self.bottom, self.left:self.right]
