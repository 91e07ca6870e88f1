"""The moving face, drawn while it is being sampled."""
from __future__ import annotations

import numpy as np
from torch import Tensor

from ...media_core.face.draw import draw_landmarks
from ..landmarks import absolute

SIZE = 256  # px
STRIDE = 3  # video frames between two images: the face speaks while the steps go by
_MARGIN = 0.2  # of the face's larger side, left free around it


class FacePreview:
    """Images of one face from the front, all at one scale.

    Args:
        rest: [68, 3] canonical, the initial face.
        zero: [68, 3] canonical, the face whose offsets are 0 (key_mean_shape).
    """

    def __init__(self, rest: Tensor, zero: Tensor):
        flat = rest[:, :2].double().cpu().numpy()
        low, high = flat.min(0), flat.max(0)
        self._zero, self._middle = zero.cpu(), (low + high) / 2
        self._scale = SIZE / (float((high - low).max()) * (1 + 2 * _MARGIN))
        self._count = 0

    def picture(self, offsets: Tensor) -> np.ndarray:  # [T, 204] cm -> uint8 [SIZE, SIZE, 3]
        """The next image: each call shows a later frame of the window, in a loop."""
        frame = offsets[self._count * STRIDE % len(offsets)].detach().float().cpu()
        self._count += 1
        points = absolute(frame, self._zero)[:, :2].double().numpy()
        place = (points - self._middle) * self._scale * [1, -1] + (SIZE - 1) / 2
        return draw_landmarks(np.zeros((SIZE, SIZE, 3), np.uint8), np.clip(place, -SIZE, 2 * SIZE))
