"""Lip and eye opening measured on pictures, rendered or filmed: a ridge map from a crop that moves rigidly with the head.

The crop's centre is a fixed point of the head projected by the known pose, so nothing about the opening leaks into it. The map
is fitted on filmed training frames, where the landmarks are known, and is checked on filmed frames it has not seen before it
judges any rendering.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

MOUTH, LEFT_EYE, RIGHT_EYE = tuple(range(48, 68)), tuple(range(42, 48)), tuple(range(36, 42))


def rigid_point(landmarks: np.ndarray, points: tuple, viewmats: np.ndarray, focal: float, size: tuple) -> np.ndarray:
    """[3] metres: the head-frame point whose projections fit the mean of some landmarks best in all frames (least squares)."""
    centre = landmarks[:, list(points)].mean(1) - np.array([size[1] / 2, size[0] / 2])
    rows, values = [], []
    for (u, v), view in zip(centre, viewmats):
        for coordinate, axis in ((u, 0), (v, 1)):
            rows.append(focal * view[axis, :3] - coordinate * view[2, :3])
            values.append(coordinate * view[2, 3] - focal * view[axis, 3])
    return np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]


def crop_at(image: np.ndarray, point: np.ndarray, view: np.ndarray, focal: float, reach: float, cells: tuple) -> np.ndarray:
    """Pixels [cells_y * cells_x * 3] of a rectangle of half-width `reach` metres around a head-frame point; bilinear."""
    seen = view[:3, :3] @ point + view[:3, 3]
    height, width = image.shape[:2]
    u, v = focal * seen[0] / seen[2] + width / 2, focal * seen[1] / seen[2] + height / 2
    half = focal * reach / seen[2]
    x = np.linspace(u - half, u + half, cells[1])
    y = np.linspace(v - half * cells[0] / cells[1], v + half * cells[0] / cells[1], cells[0])
    grid = np.stack(np.meshgrid(2 * x / width - 1, 2 * y / height - 1), -1)[None]
    picture = torch.from_numpy(np.ascontiguousarray(image)).float()[None].movedim(-1, 1)
    read = torch.nn.functional.grid_sample(picture, torch.from_numpy(grid).float(), align_corners=False, padding_mode="border")
    return read[0].flatten().numpy()


@dataclass
class Meter:
    """Opening of one part of the face, from pictures with known pose."""

    point: np.ndarray  # [3] metres
    reach: float  # m
    cells: tuple  # crop resolution
    mean: np.ndarray
    weights: np.ndarray
    offset: float

    def __call__(self, images: list, viewmats: np.ndarray, focal: float) -> np.ndarray:  # -> [T]
        x = np.stack([crop_at(i, self.point, v, focal, self.reach, self.cells) for i, v in zip(images, viewmats)])
        return (x - self.mean) @ self.weights + self.offset


def fit_meter(images: Callable[[int], np.ndarray], frames: list, truth: np.ndarray, landmarks: np.ndarray, points: tuple,
              viewmats: np.ndarray, focal: float, size: tuple, reach: float, cells: tuple = (20, 28),
              ridge: float = 3.0) -> Meter:
    """Fits a meter.

    Args:
        images: frame number -> float picture [H, W, 3] in 0..1.
        frames: training frames; truth: [len(frames)] opening there.
        landmarks: [F, 68, 2] px; points: landmark numbers whose mean places the crop; viewmats: [F, 4, 4]; focal px; size (H, W).
        reach: half-width of the crop, metres.
    """
    point = rigid_point(landmarks[frames], points, viewmats[frames], focal, size)
    x = np.stack([crop_at(images(f), point, viewmats[f], focal, reach, cells) for f in frames])
    mean, offset = x.mean(0), truth.mean()
    centred = x - mean
    gram = centred @ centred.T + ridge * np.eye(len(x))
    return Meter(point, reach, cells, mean, centred.T @ np.linalg.solve(gram, truth - offset), float(offset))
