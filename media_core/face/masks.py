"""Head, hair, inside of the mouth, neck and clothes of every frame, from landmarks alone or from a user's mask or parsing.

    shape = learn_shape(samples)                    # (frame, points) of up to SAMPLES frames, evenly over the film
    masker = HeadMasker((512, 512), shape)
    masks = masker(frame, points)                   # each frame for itself

Without a shape the masker learns one from every 8th frame and uses it for the seven that follow (spec/capture.md 7).
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..errors import TalkingHeadsError
from .mouth_inside import mouth_inside
from .person import HeadShape, cut_band, enlarged, learn_shape, reduced
from .regions import above_jaw, face_outline, head_axes, polygon

KEY_EVERY = 8      # frames, without a learnt shape
SAMPLES = 12       # frames that are enough to learn a shape from
PALETTE = {"background": (255, 255, 255), "face": (0, 0, 255), "neck": (0, 255, 0), "clothes": (255, 0, 0),
           "mouth": (100, 100, 100), "hair": (0, 0, 0)}  # RGB, spec/hmtalker.md 2.12
_COLLAR = 0.55     # units below the chin: what is skin-coloured and higher is neck


@dataclass(frozen=True)
class FrameMasks:
    """Regions of one frame, bool [H, W] each."""
    head: np.ndarray    # all of it: skin, hair, eyes, mouth
    hair: np.ndarray    # part of the head
    mouth: np.ndarray   # inside of the mouth, part of the head
    teeth: np.ndarray   # part of the mouth
    torso: np.ndarray   # neck and clothes
    neck: np.ndarray    # part of the torso

    @property
    def background(self) -> np.ndarray:
        """Everything but the person."""
        return ~(self.head | self.torso)

    @property
    def person(self) -> np.ndarray:
        return self.head | self.torso


class HeadMasker:
    """Masks of a film's frames, one after the other.

    Attributes:
        index: number of the next frame. To go on within a film without a learnt shape, set it to a multiple of `KEY_EVERY` and
            begin there: the result is that of an uninterrupted run.
    Args:
        image_size: (H, W) of the frames.
        shape: what `learn_shape` made of the film; each frame is then independent of all others.
    """

    def __init__(self, image_size: tuple[int, int], shape: Optional[HeadShape] = None):
        self.image_size, self.index = tuple(image_size), 0
        self._learnt, self._shape = shape, shape

    def __call__(self, frame: np.ndarray, points: np.ndarray, user: Optional[np.ndarray] = None) -> FrameMasks:
        """Masks of the next frame.

        Args:
            frame: uint8 [H, W, 3].
            points: [68, 2] pixels, finite.
            user: bool [H, W], the person by another tool; taken as it is.
        Raises:
            TalkingHeadsError: a size or a point is wrong, or the first frame after a restart is no key frame.
        """
        self._check(frame, points, user)
        points = np.asarray(points, float)
        if user is None:
            person = self._person(frame, points)
        else:
            person = user.astype(bool)
        self.index += 1
        return split_person(frame, points, person)

    def _person(self, frame, points) -> np.ndarray:  # -> bool [H, W]
        if self._learnt is None and self.index % KEY_EVERY == 0:
            self._shape = learn_shape([(frame, points)])
        if self._shape is None:
            raise TalkingHeadsError(f"Masks must be taken up at a multiple of {KEY_EVERY} frames", f"frame {self.index}",
                                    f"Go back to frame {self.index // KEY_EVERY * KEY_EVERY}")
        lab, small = reduced(frame, points)
        return enlarged(cut_band(lab, small, self._shape), self.image_size)

    def _check(self, frame, points, user) -> None:
        height, width = self.image_size
        if frame.shape != (height, width, 3) or user is not None and user.shape != (height, width):
            raise TalkingHeadsError(f"Frames and masks must be {width} x {height} pixels, as the first",
                                    f"frame {frame.shape}, mask {None if user is None else user.shape}",
                                    "Scale them, or begin anew for another size")
        if np.shape(points) != (68, 2) or not np.isfinite(points).all():
            raise TalkingHeadsError("A frame's masks need its 68 landmarks, finite numbers", f"shape {np.shape(points)}",
                                    "Fill the missing frames first, or leave them out")


def split_person(frame: np.ndarray, points: np.ndarray, person: np.ndarray) -> FrameMasks:
    """The person (bool [H, W]) of a frame (uint8 [H, W, 3], points [68, 2]) divided into its parts."""
    axes = head_axes(points)
    head = person & above_jaw(points, person.shape)
    mouth, teeth = mouth_inside(frame, points, axes.unit)
    head = head | mouth
    torso = person & ~head
    skin = _skin(frame, points)
    hair = head & ~mouth & ~polygon(face_outline(points), person.shape) & ~skin
    rows = np.arange(len(person))[:, None]
    return FrameMasks(head, hair, mouth, teeth, torso, torso & skin & (rows < points[8, 1] + _COLLAR * axes.unit))


def _skin(frame: np.ndarray, points: np.ndarray) -> np.ndarray:  # -> bool [H, W]
    """Pixels of the cheeks' and nose's colour."""
    import cv2
    lab = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2Lab), (5, 5), 0).astype(np.float32)
    cheeks = polygon(points[[1, 3, 48, 33, 54, 13, 15, 28]], frame.shape[:2])
    if cheeks.sum() < 16:
        return cheeks
    sample = lab[cheeks]
    middle = np.median(sample, axis=0)
    spread = np.median(np.abs(sample - middle), axis=0) * 1.5 + np.array([14, 3.5, 3.5], np.float32)
    distance = (((lab - middle) / spread) ** 2).sum(-1)
    return distance < 9


def parsing_png(masks: FrameMasks) -> np.ndarray:
    """uint8 [H, W, 3] RGB: a face parsing in the usual colours (`PALETTE`)."""
    picture = np.empty((*masks.head.shape, 3), np.uint8)
    picture[:] = PALETTE["background"]
    for name, region in (("clothes", masks.torso), ("neck", masks.neck), ("face", masks.head), ("hair", masks.hair),
                         ("mouth", masks.mouth)):
        picture[region] = PALETTE[name]
    return picture


def from_parsing(parsing: np.ndarray, frame: Optional[np.ndarray] = None, points: Optional[np.ndarray] = None) -> FrameMasks:
    """Masks from a face parsing in the colours of `PALETTE`, by another tool or by `parsing_png`.

    Args:
        parsing: uint8 [H, W, 3] RGB. Colours in between (a scaled or lossy picture) count as the nearest of the six.
        frame, points: uint8 [H, W, 3] and [68, 2], to find the teeth with; without them there are none.
    """
    colours = np.array(list(PALETTE.values()), np.int32)
    label = ((parsing.astype(np.int32)[..., None, :] - colours) ** 2).sum(-1).argmin(-1)
    region = {name: label == number for number, name in enumerate(PALETTE)}
    teeth = np.zeros(label.shape, bool)
    if frame is not None and points is not None:
        teeth = mouth_inside(frame, points, head_axes(points).unit)[1] & region["mouth"]
    return FrameMasks(region["face"] | region["hair"] | region["mouth"], region["hair"], region["mouth"], teeth,
                      region["clothes"] | region["neck"], region["neck"])
