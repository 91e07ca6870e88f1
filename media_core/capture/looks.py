"""What the written frames look like, each one: how sharp the face is, whether something stands before it, who else is there.

A face is compared with itself: parts of it that have another colour than in most of this video's frames, against the cheeks, are
covered by something, be it a hand (lips lose their red) or a microphone. Light that changes changes all parts alike.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..face.geometry import FEATURES
from ..face.landmarks.raw_track import runs
from ..files import load_tensors, save_tensors
from ..read_ahead import mapped
from ..schema import described, record, text
from ..tensor_schema import Numbers, fitting
from ..torch_threads import one_thread_each
from .images import FRAME, read_picture
from .settings import fingerprint

if TYPE_CHECKING:
    from ..face.mesh.finder import FaceFinder

OTHERS_EVERY = 5     # frames between two in which other people are looked for
_FACE_SIDE = 128     # px: a larger face is reduced before its colours are measured
_SMALLEST = 16       # px, sides of a face that can be measured
_PARTS = (  # points whose outline holds each part: lips (without the mouth), cheeks, chin, upper lip, nose
    tuple(range(48, 60)), (1, 2, 3, 48, 31, 40, 41, 36), (15, 14, 13, 54, 35, 47, 46, 45),
    (5, 6, 7, 8, 9, 10, 11, 55, 56, 57, 58, 59), (31, 33, 35, 54, 53, 52, 51, 50, 49, 48), (27, 31, 33, 35))
_INNER_LIPS = list(range(60, 68))
_USUAL = np.array([6, 2, 2], np.float32)  # of 255, Lab: by which a part's colour varies in any video
_COVERED = 3.5       # times its usual variation: a part of another colour (none in clean videos exceeds 3.1)
_BLURRED = -0.5      # of the sharpness' logarithm, against the video's median (none in clean videos is below -0.45)
WAITING = "looks.partial.safetensors"
_KIND, _SETTINGS = "frame_looks", record({"points": text(100)})
_TENSORS = {"sharpness": Numbers(("T",), nan=True), "colours": Numbers(("T", len(_PARTS), 3), nan=True),
            "light": Numbers(("T", 2), nan=True), "seen": Numbers(("T",), (torch.bool,)), "done": Numbers(("T",), (torch.bool,))}
_LEAST_RUN = 3       # frames in a row
_SURE = 0.6          # the detector's score of another face


@dataclass(frozen=True)
class FrameLooks:
    """T written frames; NaN where the face is too small to be measured, or outside."""

    sharpness: np.ndarray   # float32 [T] logarithm of fine detail over contrast
    colours: np.ndarray     # float32 [T, 6, 3] median Lab colour (0..255) of lips, cheeks, chin, upper lip, nose
    light: np.ndarray       # float32 [T, 2] mean grey 0..255 of the face, fraction of it black or white
    others: np.ndarray      # bool [T] frames about those in which another face was seen

    @property
    def blurred(self) -> np.ndarray:  # bool [T]
        """Frames in which the face is far less sharp than usual: out of focus, or moved too fast."""
        known = np.isfinite(self.sharpness)
        if not known.any():
            return known
        return lasting(np.nan_to_num(self.sharpness - np.median(self.sharpness[known])) < _BLURRED)

    @property
    def covered(self) -> np.ndarray:  # bool [T]
        """Frames in which something stands before the face."""
        return lasting(self.strangeness > _COVERED)

    @property
    def strangeness(self) -> np.ndarray:  # float [T]
        """How far the strangest part's colour is off, in times of its usual variation; 0 where unknown."""
        lips, *cheeks, chin, upper, nose = np.moveaxis(self.colours, 1, 0)
        cheek = (cheeks[0] + cheeks[1]) / 2
        ring = np.linalg.norm(lips[:, 1:] - (upper + chin)[:, 1:] / 2, axis=1, keepdims=True)
        told = [_strange((lips - cheek)[:, 1:2], _USUAL[1:2]), _strange(ring, _USUAL[1:2])]
        told += [_strange(part, _USUAL) for part in (chin - cheek, upper - cheek, nose - cheek, cheeks[0] - cheeks[1])]
        return np.max(told, axis=0)


def lasting(told: np.ndarray) -> np.ndarray:  # bool [T] -> bool [T]
    """Without what lasts for a frame or two only."""
    out = np.zeros(len(told), bool)
    for first, stop in runs(told):
        out[first:stop] = stop - first >= _LEAST_RUN
    return out


class Looking:
    """Looks at frames one by one, in any order, by any thread; what was seen of them can wait in a file of the dataset's folder.

    Args:
        folder: of the dataset.
        points: [T, 68, 2] px.
    """

    def __init__(self, folder: Path, points: np.ndarray):
        from ..face.mesh.finder import FaceFinder
        from ..face.mesh.nets import shipped_nets

        total = len(points)
        self.folder, self.points, self._finder = folder, points, FaceFinder(shipped_nets("cpu"))
        self.sharpness, self.colours = np.full(total, np.nan, np.float32), np.full((total, len(_PARTS), 3), np.nan, np.float32)
        self.light, self.seen = np.full((total, 2), np.nan, np.float32), np.zeros(total, bool)
        self.done = np.zeros(total, bool)

    def __call__(self, i: int, picture: np.ndarray) -> None:
        """Frame `i`, uint8 [H, W, 3]."""
        self.sharpness[i], self.light[i], self.colours[i] = face_looks(picture, self.points[i])
        if i % OTHERS_EVERY == 0:
            self.seen[i] = another_face(picture, self.points[i], self._finder)
        self.done[i] = True

    @property
    def looks(self) -> FrameLooks:
        """Of all frames, once each was looked at."""
        return FrameLooks(self.sharpness, self.colours, self.light, _twice(self.seen))

    def save(self) -> None:
        """Keeps what was seen until it is wanted."""
        tensors = {name: torch.from_numpy(getattr(self, name)) for name in _TENSORS}
        save_tensors(self.folder / WAITING, tensors, kind=_KIND, version=1, config={"points": fingerprint(self.points)})

    def load(self) -> None:
        """Takes what waits, where it was seen about the same points."""
        if not (self.folder / WAITING).is_file():
            return
        tensors, config = load_tensors(self.folder / WAITING, kind=_KIND, version=1)
        again = "Delete it and capture the video again"
        described(config, _SETTINGS, WAITING, again)
        fitting(tensors, _TENSORS, WAITING, again)
        if config["points"] == fingerprint(self.points):
            for name in _TENSORS:
                getattr(self, name)[:] = tensors[name].numpy()


def frame_looks(folder: Path, points: np.ndarray, tell: Callable[[int, int], None]) -> FrameLooks:
    """Looks at every written frame that nobody has looked at yet; holds a few at a time.

    Args:
        points: [T, 68, 2] px.
        tell: called with (frames done, frames).
    """
    looking = Looking(folder, points)
    looking.load()
    wanted, total = np.flatnonzero(~looking.done).tolist(), len(points)
    with one_thread_each(), closing(mapped(lambda i: looking(i, read_picture(folder / FRAME.format(i))), wanted)) as looked:
        for done, _ in enumerate(looked, total - len(wanted) + 1):
            tell(done, total)
    return looking.looks


def another_face(picture: np.ndarray, points: np.ndarray, finder: FaceFinder) -> bool:
    """Whether the detector sees a face elsewhere than about the points, and the mesh fits it."""
    from dataclasses import replace

    from ..face.mesh.finder import accepted
    from ..face.mesh.squares import Square

    height, width = picture.shape[:2]
    low, high = points.min(axis=0), points.max(axis=0)
    for found in finder.detect(picture, [Square((width - 1) / 2, (height - 1) / 2, max(width, height))]):
        middle = np.array([found.square.x, found.square.y])
        inside = ((middle >= 0) & (middle < (width, height))).all()
        if found.score >= _SURE and inside and not ((low <= middle) & (middle <= high)).all() \
                and accepted(finder.looked(picture, found.square), replace(found, sure=False)):
            return True
    return False


def _twice(seen: np.ndarray) -> np.ndarray:  # bool [T], true at some of every 5th frame -> bool [T]
    """Only what two looks in a row have shown, with the frames between them."""
    out, looked = np.zeros(len(seen), bool), np.arange(0, len(seen), OTHERS_EVERY)
    for first, second in zip(looked, looked[1:]):
        if seen[first] and seen[second]:
            out[first:second + 1] = True
    return out


def face_looks(picture: np.ndarray, points: np.ndarray) -> tuple[float, tuple[float, float], np.ndarray]:
    """Sharpness, light and colours of one frame's face (uint8 [H, W, 3], [68, 2] px), as `FrameLooks` has them."""
    import cv2

    from .detail import spreads

    unknown = np.full((len(_PARTS), 3), np.nan, np.float32)
    face, _ = _cut_out(picture, points[FEATURES])
    whole, corner = _cut_out(picture, points)
    if min(*face.shape[:2], *whole.shape[:2]) < _SMALLEST:
        return np.nan, (np.nan, np.nan), unknown
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    detail, contrast = spreads(grey)
    small = cv2.resize(grey, (_FACE_SIDE, _FACE_SIDE), interpolation=cv2.INTER_AREA)
    light = float(small.mean()), float(((small < 6) | (small > 249)).mean())
    scale = min(1.0, _FACE_SIDE / max(whole.shape[:2]))
    if scale < 1:
        whole = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(whole, cv2.COLOR_RGB2Lab))
    sharpness = float(np.log((detail + 1e-3) / max(contrast, 1.0)))
    return sharpness, light, _part_colours(lab, (points - corner + 0.5) * scale - 0.5)


def _cut_out(picture: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box about points, as far as it lies in the image, and the point that is its first pixel's middle."""
    low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    high = np.maximum(np.ceil(points.max(axis=0)).astype(int) + 1, low)
    return picture[low[1]:high[1], low[0]:high[0]], low


def _part_colours(lab: np.ndarray, points: np.ndarray) -> np.ndarray:  # uint8 [h, w, 3], [68, 2] -> float32 [6, 3]
    from ..face.masks.mouth_kernels import medians
    from ..face.masks.regions import polygon

    out = np.full((len(_PARTS), 3), np.nan, np.float32)
    for k, outline in enumerate(_PARTS):
        part = polygon(points[list(outline)], lab.shape[:2])
        if k == 0:
            part &= ~polygon(points[_INNER_LIPS], lab.shape[:2])
        if np.count_nonzero(part) > 4:
            out[k] = medians(lab, part.view(np.uint8))
    return out


def _strange(values: np.ndarray, usual: np.ndarray) -> np.ndarray:  # [T, C], [C] -> [T]
    """Distance from the median in times of the median distance and what is usual, the largest of the channels."""
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        return np.zeros(len(values))
    away = np.abs(values - np.median(values[known], axis=0))
    spread = 1.48 * np.median(away[known], axis=0) + usual
    return np.nan_to_num((away / spread).max(axis=1))
