"""The body under the head on the processor, at any size; the twin in torch is `backdrop.body_layer`."""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .model.camera import Window
from .model.torso import TorsoModel
from .rasterizer import cpu_compose

Room = Callable[..., np.ndarray]  # `cpu_frames.Room`
FAINT = 1e-7  # a weight below it counts as none


class Taps(NamedTuple):
    """Which numbers of a side make a resized side: output i + begin is the sum of weights[i, t] x input first[i] + t."""
    begin: int            # first output that reads anything
    first: np.ndarray     # int64 [n]
    weights: np.ndarray   # float32 [n, T]


def taps(own: int, whole: int, corner: int, side: int, begin: int, end: int) -> Taps:
    """Of a side of `own` px resized to `whole` as `backdrop.resized` does, of which [corner, corner + side) is shown, where only
    [begin, end) is not 0."""
    square = torch.eye(own)[None, None]
    dense = torch.nn.functional.interpolate(square, size=(whole, own), mode="bicubic", align_corners=False, antialias=True)
    dense = dense[0, 0, corner:corner + side, begin:end].numpy()
    used = np.abs(dense) > FAINT
    outputs = np.flatnonzero(used.any(1))
    if not len(outputs):
        return Taps(0, np.empty(0, np.int64), np.empty((0, 1), np.float32))
    dense, used = dense[outputs[0]:outputs[-1] + 1], used[outputs[0]:outputs[-1] + 1]
    lowest = np.where(used.any(1), used.argmax(1), 0)
    longest = int((used.shape[1] - used[:, ::-1].argmax(1) - lowest).clip(1).max())
    lowest = lowest.clip(max=end - begin - longest)
    weights = np.take_along_axis(dense, lowest[:, None] + np.arange(longest), axis=1)
    return Taps(int(outputs[0]), lowest.astype(np.int64), np.ascontiguousarray(weights, np.float32))


class CpuBody:
    """Draws the states of a torso model."""

    def __init__(self, torso: TorsoModel):
        self.torso = torso
        self.mean = np.ascontiguousarray(torso.mean.movedim(0, -1).float().div(255).numpy())          # [h, w, 4]
        self.components = np.ascontiguousarray(torso.components.movedim(1, -1).numpy())             # int8 [K, h, w, 4]
        self.weights = np.ascontiguousarray((torso.states * torso.scales).float().numpy())          # [P, K]
        self.tables: dict[Window, tuple[Taps, Taps]] = {}

    def layer(self, state: int, window: Window, room: Room) -> tuple[np.ndarray, tuple[int, int]]:
        """Premultiplied RGBA [h, w, 4] and its (row, column) in the frame."""
        crop = room("body", *self.mean.shape)
        cpu_compose.body(self.mean, self.components, self.weights[state], crop)
        if tuple(self.torso.size) == window.size == window.whole:
            return crop, (self.torso.box[0], self.torso.box[2])
        rows, columns = self._tables(window)
        out = room("body enlarged", len(rows.first), len(columns.first), 4)
        cpu_compose.enlarged(crop, rows.first, rows.weights, columns.first, columns.weights, out)
        return out, (rows.begin, columns.begin)

    def _tables(self, window: Window) -> tuple[Taps, Taps]:
        if window not in self.tables:
            sides = zip(self.torso.size, window.whole, window.corner, window.size, (self.torso.box[:2], self.torso.box[2:]))
            rows, columns = (taps(own, whole, corner, side, *box) for own, whole, corner, side, box in sides)
            self.tables = {window: (rows, columns)}  # of one size at a time
        return self.tables[window]
