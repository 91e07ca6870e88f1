"""A person cut out of a frame that has landmarks: by the person network of `face/mesh`, its edges sharpened by the frame's own.

Everything depends on the frame alone, so it does not matter where a video is resumed.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .guided import Guide, planes
from .guided_kernels import over_half
from .pieces import crumbs, touching
from .regions import HeadAxes, face_outline, head_axes, polygon

WORKING = 256      # pixels: longer edge at which colours are judged and edges found; the network's own size
_SPECK = 0.004     # fraction of the image: smaller holes in a person are filled
_THERE_AND_BACK = np.array([.125, .75, .125], np.float32)  # what enlarging a mask twice and reducing it again does


@dataclass(frozen=True)
class View:
    """A frame with its reduced form, at which it is divided into parts."""
    frame: np.ndarray    # uint8 [H, W, 3]
    points: np.ndarray   # [68, 2] pixels of the frame
    small: np.ndarray    # uint8 [h, w, 3]
    at: np.ndarray       # [68, 2] pixels of `small`

    @classmethod
    def of(cls, frame: np.ndarray, points: np.ndarray) -> View:
        import cv2
        height, width = frame.shape[:2]
        share = min(1.0, WORKING / max(height, width))
        size = max(8, round(width * share)), max(8, round(height * share))
        small = frame if share == 1.0 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        scale = np.array([small.shape[1] / width, small.shape[0] / height])
        points = np.asarray(points, float)
        return cls(frame, points, small, (points + .5) * scale - .5)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the frame."""
        return self.frame.shape[0], self.frame.shape[1]

    @property
    def small_size(self) -> tuple[int, int]:
        return self.small.shape[0], self.small.shape[1]

    @cached_property
    def lab(self) -> np.ndarray:  # uint8 [h, w, 3]
        import cv2
        return cv2.cvtColor(self.small, cv2.COLOR_RGB2Lab)

    @cached_property
    def guide(self) -> Guide:
        return Guide(planes(self.small))

    def reduced(self, mask: np.ndarray) -> np.ndarray:  # [H, W] -> float32 [h, w]
        import cv2
        return cv2.resize(mask.astype(np.float32), self.small_size[::-1], interpolation=cv2.INTER_AREA)

    def enlarged(self, mask: np.ndarray) -> np.ndarray:  # bool [h, w] -> bool [H, W]
        """With smooth edges."""
        import cv2
        return over_half(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0), *self.size).view(bool)

    def sharpened(self, mask: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:  # float32, bool [h, w] -> bool [H, W]
        """With the frame's edges; only what lies in `where` is wanted."""
        return self.guide.enlarged(mask, self.frame, where)

    @cached_property
    def axes(self) -> HeadAxes:
        """The head's, in pixels of the frame."""
        return head_axes(self.points)

    @cached_property
    def small_axes(self) -> HeadAxes:
        """The same in pixels of `small`."""
        return head_axes(self.at)

    @cached_property
    def face(self) -> np.ndarray:  # bool [H, W]
        """What surely is the face."""
        return polygon(face_outline(self.points), self.size)

    @cached_property
    def small_face(self) -> np.ndarray:  # bool [h, w]
        """The same in `small`."""
        return polygon(face_outline(self.at), self.small_size)


def soft_persons(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where people are in frames of one size (uint8 [H, W, 3]), float32 [H, W] 0..1 each; several at a time are cheaper."""
    from ..mesh.nets import shipped_nets
    from ..mesh.person import person_masks
    return person_masks(shipped_nets("cpu"), frames)


def soft_person(view: View) -> np.ndarray:
    """The same for one frame at `small`'s size, float32 [h, w]. A square frame's mask is as large as the network's already."""
    import cv2

    from ..mesh.nets import shipped_nets
    from ..mesh.person import GENERAL, person_masks
    if view.small_size != GENERAL:
        return view.reduced(soft_persons([view.frame])[0])
    soft, = person_masks(shipped_nets("cpu"), [view.small], enlarge=False)
    if view.size == view.small_size:
        return soft
    return cv2.sepFilter2D(soft, -1, _THERE_AND_BACK, _THERE_AND_BACK, borderType=cv2.BORDER_REPLICATE)


def cut_out(view: View, soft: np.ndarray) -> np.ndarray:
    """The person whose face it is, bool [H, W], by `soft_persons`' or `soft_person`'s answer (float32 [H, W] or [h, w])."""
    return tidied(view.sharpened(view.reduced(soft) if soft.shape == view.size else soft) | view.face, view.face)


def tidied(mask: np.ndarray, sure: np.ndarray) -> np.ndarray:  # bool [H, W] each
    """Only what hangs together with sure parts, small holes filled."""
    mask = touching(mask, sure)
    return mask | crumbs(~mask, mask.size * _SPECK)


def disc(radius: float) -> np.ndarray:  # pixels -> uint8 [2r + 1, 2r + 1]
    import cv2
    whole = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * whole + 1, 2 * whole + 1))
