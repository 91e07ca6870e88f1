"""A video gets only its lower face from MToV: the rest stays as recorded."""
from __future__ import annotations

import numpy as np
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.mtov.lower_face import CHIN, lower_face
from talking_heads.moditalker_core.mtov.rasters import NOSE_BASE

SIZE = 128


def face(size: int = SIZE) -> np.ndarray:
    return mean_face()[:, :2] * [0.35 * size, -0.35 * size] + 0.5 * size


def test_the_mouth_and_an_opening_chin_are_taken_and_nothing_above_the_nose():
    points = face()
    mask = lower_face(points, SIZE)
    assert mask.dtype == np.float32 and mask.shape == (SIZE, SIZE) and mask.min() >= 0 and mask.max() <= 1
    x, y = np.rint(points[48:68].mean(0)).astype(int)
    below = points[CHIN] + 0.15 * (points[CHIN] - points[NOSE_BASE])
    assert mask[y, x] == 1 and mask[tuple(np.rint(below[::-1]).astype(int))] > 0.9
    assert not mask[:int(points[NOSE_BASE, 1])].any() and not mask[:, :4].any() and not mask[:, -4:].any()
    assert np.abs(np.diff(mask, axis=0)).max() < 0.3 and np.abs(np.diff(mask, axis=1)).max() < 0.3, "no visible seam"


def test_a_face_outside_the_crop_or_of_one_point_is_no_fault():
    assert not lower_face(face() + 10 * SIZE, SIZE).any()
    assert np.isfinite(lower_face(np.full((68, 2), 20.0), SIZE)).all()
